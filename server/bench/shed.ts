import { percentile, rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { startDeepServer } from './support/deep-server.ts';
import { usageOf } from './support/processes.ts';
import { type BenchServer, call } from './support/server.ts';

const WATCH_MS = 5_000;
const GIVEN_BACK_WITHIN_MS = 180_000;
const LIMIT_COMMITS = 50;

/**
 * Five million queued runs of one account that are being executed: how long a preview, a hold and a discard
 * take to answer, what starts after the answer, and when the space is back. The limit is a commit.
 */
export async function shed(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const runs = Number(options.get('runs') ?? 5_000_000);
  const server = await startDeepServer(runs, say);
  try {
    const operate = async (path: string, body: object) => {
      const startedMs = performance.now();
      const answer = (await call(server, 'POST', path, body, server.operatorToken)) as {
        readonly id?: number;
      };
      const answeredAt = new Date();
      return { answer, ms: performance.now() - startedMs, answeredAt };
    };
    const scope = { account: 'demo' };
    while ((await server.metric('belfry_runs_executed')) === 0) await wait(50);
    const depth = await server.metric('belfry_runs_queued');
    const usage = usageOf(server.pid, server.postgresPid());
    const logBefore = await logMegabytes(server);

    const preview = await operate('/ops/v1/orders/preview', { scope });
    const hold = await operate('/ops/v1/orders', { verb: 'hold', scope, reason: 'bench' });
    say(`${depth} queued; hold answered in ${hold.ms.toFixed(1)} ms`);
    await wait(WATCH_MS);
    const startedAfterHold = await startedAfter(server, hold.answeredAt);
    const end = await operate(`/ops/v1/orders/${hold.answer.id}/undo`, { reason: 'bench' });
    await wait(WATCH_MS);
    const resumed = await startedAfter(server, end.answeredAt);
    say(`released; ${resumed} runs started since`);

    const discard = await operate('/ops/v1/orders', { verb: 'discard', scope, reason: 'bench' });
    say(`discard answered in ${discard.ms.toFixed(1)} ms`);
    await wait(WATCH_MS);
    const startedAfterDiscard = await startedAfter(server, discard.answeredAt);
    const givenBackMs = await emptied(server);
    return {
      unit: 'queued recipient runs of one account',
      queued_runs: depth,
      preview_ms: rounded(preview.ms),
      hold_ms: rounded(hold.ms),
      release_ms: rounded(end.ms),
      discard_ms: rounded(discard.ms),
      limit_commit_ms: rounded(await commitMs(server), 2),
      started_after_hold: startedAfterHold,
      started_after_release: resumed,
      started_after_discard: startedAfterDiscard,
      ring_mb_before: rounded(logBefore),
      ring_mb_after: rounded(await logMegabytes(server)),
      ring_given_back_s: givenBackMs === undefined ? 'not yet' : rounded(givenBackMs / 1_000),
      node_memory_mb: Math.round(usage.nodeMemoryMb),
      memory_mb: Math.round(usage.memoryMb),
      start_ms: Math.round(server.startMs),
      failed: startedAfterHold + startedAfterDiscard > 0,
    };
  } finally {
    await server.destroy();
  }
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs whose execution began after this moment. */
async function startedAfter(server: BenchServer, moment: Date): Promise<number> {
  const [row] = await server.db.query<{ n: number }>(
    `select count(*) as n
     from recipient_run
     where executed_at > $1`,
    [moment],
  );
  return row?.n ?? 0;
}

/** Of the slots that hold work due at once. */
async function logMegabytes(server: BenchServer): Promise<number> {
  const [row] = await server.db.query<{ bytes: number }>(
    `select sum(pg_total_relation_size(format('chunk_%s', slot)::regclass))::bigint as bytes
     from generate_series(0, 15) as slot`,
  );
  return (row?.bytes ?? 0) / 2 ** 20;
}

/** Milliseconds until the ring has less than a megabyte, undefined when that takes too long. */
async function emptied(server: BenchServer): Promise<number | undefined> {
  const startedMs = performance.now();
  while (performance.now() - startedMs < GIVEN_BACK_WITHIN_MS) {
    if ((await logMegabytes(server)) < 1) return performance.now() - startedMs + WATCH_MS;
    await wait(500);
  }
  return undefined;
}

/** A durable row: the least that an order costs. Median. */
async function commitMs(server: BenchServer): Promise<number> {
  const times: number[] = [];
  await server.db.query('create table bench_commit (n int)');
  for (let n = 0; n < LIMIT_COMMITS; n++) {
    const startedMs = performance.now();
    await server.db.query('insert into bench_commit values ($1)', [n]);
    times.push(performance.now() - startedMs);
  }
  await server.db.query('drop table bench_commit');
  return percentile(times, 0.5);
}
