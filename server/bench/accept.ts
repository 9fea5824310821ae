import { Agent, request } from 'undici';
import { percentile, rounded } from '../src/drill/statistics.ts';
import { bareAppendLimit } from './support/append-limit.ts';
import type { BenchResult } from './support/bench.ts';
import { openLoop } from './support/open-loop.ts';
import { startBenchServer } from './support/server.ts';
import { pushBenchWorkflow, seedUsers, triggerBody } from './support/workload.ts';

const OPEN_LOOP_RATE = 1_000;
const CONNECTIONS = 64;

/**
 * Triggers of one recipient each over HTTP, the load generator on the same machine: latency in an open loop
 * at 1,000/s (a late start counts as latency), then the most that is acknowledged with 64 requests under
 * way. The engine executes what is accepted meanwhile.
 */
export async function accept(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const seconds = Number(options.get('seconds') ?? 20);
  const server = await startBenchServer();
  const agent = new Agent({ connections: CONNECTIONS, pipelining: 1 });
  try {
    await seedUsers(server);
    await pushBenchWorkflow(server);
    const limit = await bareAppendLimit(server.db, 3);
    say(
      `limit: ${Math.round(limit)} single-row commits of a chunk per second on 64 connections’ worth of group commit`,
    );
    let n = 0;
    const trigger = async (): Promise<void> => {
      const response = await request(`${server.url}/v1/workflows/bench/trigger`, {
        method: 'POST',
        dispatcher: agent,
        headers: {
          authorization: `Bearer ${server.secretKey}`,
          'content-type': 'application/json',
        },
        body: triggerBody(n++, 1),
      });
      if (response.statusCode !== 200) throw new Error(`trigger answered ${response.statusCode}`);
      await response.body.dump();
    };
    for (let i = 0; i < 500; i++) await trigger();

    say(`open loop, ${OPEN_LOOP_RATE}/s for ${seconds} s`);
    const latencies = await openLoop(trigger, OPEN_LOOP_RATE, seconds);
    say(`closed loop, ${CONNECTIONS} at once for ${seconds} s`);
    const closedStart = performance.now();
    let acked = 0;
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        while (performance.now() - closedStart < seconds * 1_000) {
          await trigger();
          acked += 1;
        }
      }),
    );
    const ackedPerSecond = acked / ((performance.now() - closedStart) / 1_000);
    return {
      unit: 'acknowledged triggers, one recipient each',
      acked_per_s: Math.round(ackedPerSecond),
      limit_acked_per_s: Math.round(limit),
      open_loop_rate: OPEN_LOOP_RATE,
      p50_ms: rounded(percentile(latencies, 0.5), 2),
      p99_ms: rounded(percentile(latencies, 0.99), 2),
      max_ms: rounded(percentile(latencies, 1), 1),
    };
  } finally {
    await agent.close();
    await server.destroy();
  }
}
