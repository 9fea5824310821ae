import { Agent, request } from 'undici';
import { rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { bareLimit } from './support/limit.ts';
import { usageOf } from './support/processes.ts';
import { startBenchServer } from './support/server.ts';
import { pushBenchWorkflow, seedUsers, triggerBody } from './support/workload.ts';

const TRIGGER_RUNS = 1_000;
const SENDERS = 4;
const SAMPLE_MS = 500;

/**
 * Fan-out: triggers of 1,000 recipients through preferences, a condition and a Liquid template into the
 * feed. Recipient runs a second, from the first accepted trigger to the last receipt, beside the limit of
 * the same rows written by a bare loop before and after.
 */
export async function engine(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const runs = Number(options.get('runs') ?? 1_000_000);
  const server = await startBenchServer();
  const agent = new Agent({ connections: SENDERS });
  try {
    await seedUsers(server);
    await pushBenchWorkflow(server);
    const channel = server.channels['in-app'] ?? '';
    const limitRuns = Math.max(100_000, runs / 5);
    say(`limit: ${limitRuns} runs by a bare loop`);
    const idle = usageOf(server.pid, server.postgresPid());
    const limitBefore = await bareLimit(server.db, server.environmentId, channel, limitRuns);
    const limitCpu =
      usageOf(server.pid, server.postgresPid()).postgresCpuSeconds - idle.postgresCpuSeconds;
    await server.db.query('truncate message, message_event, recipient_run');
    await server.db.query('checkpoint');

    const triggers = runs / TRIGGER_RUNS;
    const bodies = Array.from({ length: 100 }, (_, n) => triggerBody(n, TRIGGER_RUNS));
    const before = usageOf(server.pid, server.postgresPid());
    let peakMemoryMb = before.memoryMb;
    let sent = 0;
    let maxQueued = 0;
    const startedMs = performance.now();
    const senders = Array.from({ length: SENDERS }, async () => {
      while (sent < triggers) {
        const n = sent++;
        const response = await request(`${server.url}/v1/workflows/bench/trigger`, {
          method: 'POST',
          dispatcher: agent,
          headers: {
            authorization: `Bearer ${server.secretKey}`,
            'content-type': 'application/json',
          },
          body: bodies[n % bodies.length] ?? '',
        });
        if (response.statusCode !== 200)
          throw new Error(`trigger answered ${response.statusCode}: ${await response.body.text()}`);
        await response.body.dump();
      }
    });
    let acceptedMs = 0;
    const accepting = Promise.all(senders).then(() => {
      acceptedMs = performance.now() - startedMs;
    });
    let done = 0;
    while (done < runs) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
      done = await server.metric('belfry_runs_executed');
      maxQueued = Math.max(maxQueued, await server.metric('belfry_runs_queued'));
      peakMemoryMb = Math.max(peakMemoryMb, usageOf(server.pid, server.postgresPid()).memoryMb);
      say(
        `${done} of ${runs} runs, ${Math.round((done / (performance.now() - startedMs)) * 1_000)}/s`,
      );
    }
    await accepting;
    const [span] = await server.db.query<{ seconds: number; messages: number }>(
      `select extract(epoch from max(m.inserted_at) - min(w.accepted_at))::float as seconds,
              (select count(*) from message) as messages
       from (select inserted_at from message order by id desc limit 1) m,
            (select accepted_at from workflow_run order by id limit 1) w`,
    );
    const after = usageOf(server.pid, server.postgresPid());
    const seconds = span?.seconds ?? Number.NaN;
    say('limit again');
    const limitAfter = await bareLimit(server.db, server.environmentId, channel, limitRuns);
    const limit = (limitBefore + limitAfter) / 2;
    return {
      unit: 'recipient runs, feed message each',
      runs,
      messages: span?.messages ?? 0,
      runs_per_s: Math.round(runs / seconds),
      limit_runs_per_s: Math.round(limit),
      share_of_limit: rounded(runs / seconds / limit, 2),
      accept_seconds: rounded(acceptedMs / 1_000),
      seconds: rounded(seconds),
      max_queued_runs: maxQueued,
      node_cpu_us_per_run: rounded(((after.nodeCpuSeconds - before.nodeCpuSeconds) / runs) * 1e6),
      postgres_cpu_us_per_run: rounded(
        ((after.postgresCpuSeconds - before.postgresCpuSeconds) / runs) * 1e6,
      ),
      limit_postgres_cpu_us_per_run: rounded((limitCpu / limitRuns) * 1e6),
      peak_memory_mb: Math.round(peakMemoryMb),
    };
  } finally {
    await agent.close();
    await server.destroy();
  }
}
