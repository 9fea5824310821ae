import { readFileSync } from 'node:fs';
import { rounded } from '../../src/drill/statistics.ts';
import type { BenchResult } from './bench.ts';
import { bareLimit } from './limit.ts';
import { startShippingServer } from './log-stand-in.ts';
import { processTree } from './processes.ts';
import type { BenchServer } from './server.ts';

/** A backlog of runs, each with an event, that the carrier ships to a stand-in that takes everything. */
export async function shipLogs(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const runs = Number(options.get('runs') ?? 500_000);
  const { server, standIn, shipped, destroy } = await startShippingServer();
  try {
    await shipped();
    await standIn.setFaults({ kind: 'internal_error', share: 1 });
    await bareLimit(server.db, server.environmentId, server.channels['in-app'] ?? '', runs);
    await server.db.query(
      `insert into workflow_run (id, environment_id, workflow_key, version_id, data, accepted_at)
       select distinct workflow_run_id, $1::int, 'bench', 1, '{}'::jsonb, now()
       from recipient_run
       on conflict do nothing`,
      [server.environmentId],
    );
    await server.db.query('analyze');
    say(`${2 * runs} rows wait`);
    const before = await usage(server);
    await standIn.heal();
    // The pause after a failure is no part of it.
    while (((await standIn.tables()).event?.inserts ?? 0) === 0) await wait(5);
    const seconds = await shipped();
    const after = await usage(server);
    const tables = await standIn.tables();
    const rows = (tables.event?.rows ?? 0) + (tables.run?.rows ?? 0);
    const twice = rows - (tables.event?.distinct ?? 0) - (tables.run?.distinct ?? 0);
    const carrierUs = ((after.carrier - before.carrier) * 1e6) / rows;
    const postgresUs = ((after.postgres - before.postgres) * 1e6) / rows;
    return {
      shipped_rows: rows,
      shipped_rows_per_second: Math.round(rows / seconds),
      shipped_twice: twice,
      // What one core does for both sides: loading and sending.
      one_core_rows_per_second: Math.round(1e6 / (carrierUs + postgresUs)),
      carrier_cpu_us_a_row: rounded(carrierUs, 2),
      postgres_cpu_us_a_row: rounded(postgresUs, 2),
      failed: twice > 0,
    };
  } finally {
    await destroy();
  }
}

/** CPU seconds of the carrier, and of its sessions. */
async function usage(server: BenchServer) {
  const carrier = processTree(server.pid).find(({ pid }) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('carrier/main.ts'),
  );
  const sessions = await server.db.query<{ pid: number }>(
    `select pid
     from pg_stat_activity
     where application_name = 'belfry carrier logs'`,
  );
  const postgres = sessions
    .flatMap(({ pid }) => processTree(pid))
    .reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  return { carrier: carrier?.cpuSeconds ?? 0, postgres };
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
