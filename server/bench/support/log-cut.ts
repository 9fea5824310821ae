import { rounded } from '../../src/drill/statistics.ts';
import type { BenchResult } from './bench.ts';
import { startShippingServer } from './log-stand-in.ts';
import { type BenchServer, call } from './server.ts';
import { pushBenchWorkflow, seedUsers, triggerBody } from './workload.ts';

const RUNS_A_TRIGGER = 10;
const CALM_SECONDS = 30;
const IDS_AT_ONCE = 20_000;

/** Triggers at a rate while the log store is there, is cut off, and is filled again. */
export async function cutLogStore(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const minutes = Number(options.get('minutes') ?? 10);
  const rate = Number(options.get('rate') ?? 2_000);
  const { server, standIn, shipped, destroy } = await startShippingServer();
  try {
    await seedUsers(server);
    await pushBenchWorkflow(server);
    await send(server, rate, 5);
    const calm = await during(server, () => send(server, rate, CALM_SECONDS));
    say(`calm: p99 ${calm.p99Ms} ms`);
    await standIn.setFaults({ kind: 'reset', share: 1 });
    const cut = await during(server, () => send(server, rate, minutes * 60));
    say(`cut off for ${minutes} min: p99 ${cut.p99Ms} ms`);
    const backlogBytes = await server.metric('belfry_log_store_backlog_bytes');
    await standIn.heal();
    let refilled = false;
    const refill = shipped().then((seconds) => {
      refilled = true;
      return seconds;
    });
    const filled = await during(server, async () => {
      while (!refilled) await send(server, rate, 5);
    });
    const refillSeconds = await refill;
    say(`refilled in ${refillSeconds.toFixed(1)} s: p99 ${filled.p99Ms} ms`);
    await shipped();
    const gap =
      (await missing(server, standIn.missing, 'message_event', 'event')) +
      (await missing(server, standIn.missing, 'recipient_run', 'run'));
    const tables = await standIn.tables();
    return {
      cut_minutes: minutes,
      cut_runs: cut.runs,
      calm_p50_ms: calm.p50Ms,
      cut_p50_ms: cut.p50Ms,
      refill_p50_ms: filled.p50Ms,
      calm_p99_ms: calm.p99Ms,
      cut_p99_ms: cut.p99Ms,
      refill_p99_ms: filled.p99Ms,
      backlog_mb: rounded(backlogBytes / 1e6),
      refill_s: rounded(refillSeconds),
      gap_rows: gap,
      rows_twice: (tables.event?.rows ?? 0) - (tables.event?.distinct ?? 0),
      failed: gap > 0,
    };
  } finally {
    await destroy();
  }
}

/** Open loop: a trigger is sent when it is due, whether or not the one before was answered. */
async function send(server: BenchServer, rate: number, seconds: number): Promise<void> {
  const perSecond = rate / RUNS_A_TRIGGER;
  const startedMs = performance.now();
  const under: Promise<unknown>[] = [];
  for (let n = 0; n < perSecond * seconds; n++) {
    const waitMs = startedMs + (n * 1_000) / perSecond - performance.now();
    if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
    under.push(
      call(
        server,
        'POST',
        '/v1/workflows/bench/trigger',
        JSON.parse(triggerBody(n, RUNS_A_TRIGGER)),
      ),
    );
    if (under.length >= 500) await Promise.all(under.splice(0, 250));
  }
  await Promise.all(under);
}

type Spent = { readonly runs: number; readonly p50Ms: number; readonly p99Ms: number };

/** How long runs that were accepted during `work` took until their message was there, by the clock of the machine. */
async function during(server: BenchServer, work: () => Promise<void>): Promise<Spent> {
  const from = new Date();
  await work();
  const until = new Date();
  while ((await server.metric('belfry_runs_queued')) > 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const [row] = await server.db.query<{ runs: number; p50: number; p99: number }>(
    `select count(*)::float8 as runs,
       percentile_cont(0.5) within group (order by ms) as p50,
       percentile_cont(0.99) within group (order by ms) as p99
     from (
       select extract(epoch from r.executed_at - w.accepted_at)::float8 * 1000 as ms
       from workflow_run w
       join recipient_run r on r.workflow_run_id = w.id
       where w.accepted_at between $1 and $2
         and w.workflow_key = 'bench'
     ) run`,
    [from, until],
  );
  return {
    runs: row?.runs ?? 0,
    p50Ms: rounded(row?.p50 ?? 0, 2),
    p99Ms: rounded(row?.p99 ?? 0, 2),
  };
}

/** Rows of a table that never came. */
async function missing(
  server: BenchServer,
  ask: (table: string, ids: readonly string[]) => Promise<number>,
  from: string,
  to: string,
): Promise<number> {
  let count = 0;
  let after = '00000000-0000-0000-0000-000000000000';
  for (;;) {
    const rows = await server.db.query<{ id: string }>(
      `select id
       from ${from}
       where id > $1
       order by id
       limit ${IDS_AT_ONCE}`,
      [after],
    );
    const last = rows.at(-1);
    if (!last) return count;
    count += await ask(
      to,
      rows.map(({ id }) => id),
    );
    after = last.id;
  }
}
