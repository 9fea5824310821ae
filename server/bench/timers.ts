import { Agent, request } from 'undici';
import { rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { usageOf } from './support/processes.ts';
import { type BenchServer, call, startBenchServer } from './support/server.ts';
import { seedUsers, USERS } from './support/workload.ts';

const SENDERS = 4;
const SAMPLE_MS = 500;
/** From when on those that are due next are read: that is what waking costs. */
const HORIZON_MS = 70_000;
/** What parking takes at the most, for the time at which the first is due. */
const PARKED_PER_SECOND = 20_000;
const MARGIN_SECONDS = 60;

/**
 * Parks delays through the API, each `--together` of them with a time of their own; measures what they cost while
 * nothing is due; then they fall due at `--per-second`, more than can be done. Runs woken a second, each with a
 * message into the feed, and how far the order in which they went on was from the order in which they were due.
 */
export async function timers(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const delays = Number(options.get('delays') ?? 5_000_000);
  const together = Math.min(delays, Number(options.get('together') ?? 100));
  const perSecond = Number(options.get('per-second') ?? 50_000);
  const idleSeconds = Number(options.get('seconds') ?? 30);
  const server = await startBenchServer();
  try {
    await seedUsers(server);
    await pushWorkflow(server);
    const parkSeconds = delays / PARKED_PER_SECOND + MARGIN_SECONDS;
    const firstDueMs = Date.now() + (parkSeconds + idleSeconds) * 1_000 + HORIZON_MS;
    const empty = usageOf(server.pid, server.postgresPid());
    const startedMs = performance.now();
    const lot = (n: number) =>
      JSON.stringify({
        recipients: Array.from(
          { length: Math.min(together, delays - n * together) },
          (_, i) => `user-${((n * together + i) % USERS) + 1}`,
        ),
        data: { at: new Date(firstDueMs + (n * together * 1_000) / perSecond).toISOString() },
      });
    await park(server, Math.ceil(delays / together), lot);
    await until(server, delays, (done) => say(`${done} of ${delays} parked`));
    const parkedSeconds = (performance.now() - startedMs) / 1_000;
    say(`parked ${Math.round(delays / parkedSeconds)}/s`);

    // As late as can be: what parking leaves behind, a checkpoint and tables to analyse, is not their idle cost.
    const idleFromMs = firstDueMs - HORIZON_MS - idleSeconds * 1_000;
    if (Date.now() > idleFromMs) {
      throw new Error(`parking took ${Math.round(parkedSeconds)} s: too long for this benchmark`);
    }
    await sleep(idleFromMs - Date.now());
    const before = usageOf(server.pid, server.postgresPid());
    await sleep(idleSeconds * 1_000);
    const after = usageOf(server.pid, server.postgresPid());
    say(
      `idle with ${delays} parked; the first is due in ${Math.round((firstDueMs - Date.now()) / 1_000)} s`,
    );

    await sleep(Math.max(0, firstDueMs - Date.now()));
    const woken = usageOf(server.pid, server.postgresPid());
    let peakNodeMemoryMb = woken.nodeMemoryMb;
    await until(server, 2 * delays, (done) => {
      const use = usageOf(server.pid, server.postgresPid());
      peakNodeMemoryMb = Math.max(peakNodeMemoryMb, use.nodeMemoryMb);
      say(`${done - delays} of ${delays} woken`);
    });
    const end = usageOf(server.pid, server.postgresPid());
    const wake = await wakeFigures(server);
    const wokenPerSecond = delays / wake.seconds;
    const cpu = (name: 'nodeCpuSeconds' | 'postgresCpuSeconds') =>
      rounded(((end[name] - woken[name]) / delays) * 1e6);
    return {
      unit: 'parked delays, feed message each when they wake',
      delays,
      together,
      parked_per_s: Math.round(delays / parkedSeconds),
      idle_cpu_percent_of_one_core: rounded(
        ((after.nodeCpuSeconds +
          after.postgresCpuSeconds -
          before.nodeCpuSeconds -
          before.postgresCpuSeconds) /
          idleSeconds) *
          100,
        2,
      ),
      idle_node_memory_mb: Math.round(after.nodeMemoryMb),
      empty_node_memory_mb: Math.round(empty.nodeMemoryMb),
      due_per_s: perSecond,
      woken_per_s: Math.round(wokenPerSecond),
      order_error_ms: Math.round(wake.orderErrorMs),
      early: wake.early,
      woken: wake.woken,
      twice: wake.woken - wake.runs,
      node_cpu_us_per_run: cpu('nodeCpuSeconds'),
      postgres_cpu_us_per_run: cpu('postgresCpuSeconds'),
      peak_node_memory_mb: Math.round(peakNodeMemoryMb),
      failed: wake.woken !== delays || wake.runs !== delays || wake.early > 0,
    };
  } finally {
    await server.destroy();
  }
}

async function pushWorkflow(server: BenchServer): Promise<void> {
  const steps = [
    { type: 'delay', ref: 'delay_1', settings: { delay_until_field_path: 'data.at' } },
    {
      type: 'channel',
      ref: 'in_app_feed_1',
      channel_key: 'in-app',
      template: { markdown_body: 'Hi {{ recipient.name }}' },
    },
  ];
  const workflows = [{ key: 'parked', content: { name: 'Parked', steps } }];
  const path = '/control/v1/push?environment=development';
  await call(server, 'POST', path, { workflows }, server.serviceToken);
}

async function park(server: BenchServer, lots: number, lot: (n: number) => string): Promise<void> {
  const agent = new Agent({ connections: SENDERS });
  let next = 0;
  const send = async (): Promise<void> => {
    while (next < lots) {
      const body = lot(next);
      next += 1;
      for (let accepted = false; !accepted; ) {
        const response = await request(`${server.url}/v1/workflows/parked/trigger`, {
          method: 'POST',
          dispatcher: agent,
          headers: {
            authorization: `Bearer ${server.secretKey}`,
            'content-type': 'application/json',
          },
          body,
        });
        const text = await response.body.text();
        accepted = response.statusCode === 200;
        if (!accepted && response.statusCode !== 429 && response.statusCode !== 503) {
          throw new Error(`a trigger was answered ${response.statusCode}: ${text}`);
        }
        if (!accepted) await sleep(SAMPLE_MS);
      }
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, send));
  await agent.close();
}

/** Until so many executions of runs are done since the start. */
async function until(
  server: BenchServer,
  executed: number,
  sample: (done: number) => void,
): Promise<void> {
  for (;;) {
    const done = await server.metric('belfry_runs_executed');
    sample(done);
    if (done >= executed) return;
    await sleep(SAMPLE_MS);
  }
}

type WakeFigures = {
  readonly seconds: number;
  /** By how much a run that went on later was due before one that went on earlier, the most. */
  readonly orderErrorMs: number;
  readonly early: number;
  readonly woken: number;
  readonly runs: number;
};

async function wakeFigures(server: BenchServer): Promise<WakeFigures> {
  const [row] = await server.db.query<WakeFigures>(
    `with woken as (
       select s.recipient_run_id, s.executed_at, (w.data ->> 'at')::timestamptz as due_at
       from recipient_run_segment s
       join recipient_run r on r.id = s.recipient_run_id
       join workflow_run w on w.id = r.workflow_run_id
     ), in_order as (
       select *, max(due_at) over (order by executed_at range between unbounded preceding and '1 microsecond' preceding)
                 as latest_due_before
       from woken
     )
     select extract(epoch from max(executed_at) - min(due_at))::float as seconds,
            1000 * greatest(0, max(extract(epoch from latest_due_before - due_at)))::float as "orderErrorMs",
            count(*) filter (where executed_at < due_at)::int as early,
            count(*)::int as woken,
            count(distinct recipient_run_id)::int as runs
     from in_order`,
  );
  if (!row) throw new Error('nothing woke');
  return row;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
