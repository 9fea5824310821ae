import { Agent, request } from 'undici';
import { percentile, rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { decisionMicroseconds, touchNanoseconds } from './support/decisions.ts';
import { startDeepServer } from './support/deep-server.ts';
import { usageOf } from './support/processes.ts';
import type { BenchServer } from './support/server.ts';
import { triggerBody } from './support/workload.ts';

const SHALLOW_RUNS = 10_000;
const TRIGGER_RUNS = 1_000;
const WARM_UP_MS = 8_000;
const POLL_MS = 20;
const DECISIONS = 200_000;
const TOUCHES = 1_000_000;
const ROUNDS = 5;

/**
 * What a run costs with ten million queued and with ten thousand. In both a feeder keeps the depth: it
 * triggers 1,000 recipients whenever fewer runs are queued, so both accept as much as they execute. Then
 * what a decision of the scheduler costs with 100,000 lanes and with 10, without anything around it;
 * `--decisions` measures only that.
 */
export async function depth(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  if (options.has('decisions')) return decisionCost();
  const runs = Number(options.get('runs') ?? 10_000_000);
  const seconds = Number(options.get('seconds') ?? 30);
  const shallow = await drain(SHALLOW_RUNS, seconds, say);
  const deep = await drain(runs, seconds, say);
  return {
    unit: 'recipient runs, feed message each',
    runs,
    shallow_runs: SHALLOW_RUNS,
    runs_per_s_shallow: Math.round(shallow.perSecond),
    runs_per_s_deep: Math.round(deep.perSecond),
    cost_ratio: rounded(shallow.perSecond / deep.perSecond, 2),
    cpu_us_per_run_shallow: rounded(shallow.cpuMicroseconds),
    cpu_us_per_run_deep: rounded(deep.cpuMicroseconds),
    cpu_ratio: rounded(deep.cpuMicroseconds / shallow.cpuMicroseconds, 2),
    ...decisionCost(),
    start_ms_deep: Math.round(deep.startMs),
    peak_node_memory_mb: Math.round(deep.peakNodeMemoryMb),
    peak_memory_mb: Math.round(deep.peakMemoryMb),
  };
}

function decisionCost(): BenchResult {
  const few: number[] = [];
  const many: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    few.push(decisionMicroseconds(10, DECISIONS));
    many.push(decisionMicroseconds(100_000, DECISIONS));
  }
  const [decisionFew, decisionMany] = [percentile(few, 0.5), percentile(many, 0.5)];
  return {
    decision_us_10_lanes: rounded(decisionFew, 2),
    decision_us_100000_lanes: rounded(decisionMany, 2),
    decision_ratio: rounded(decisionMany / decisionFew, 2),
    lane_read_ns_10_lanes: Math.round(touchNanoseconds(10, TOUCHES)),
    lane_read_ns_100000_lanes: Math.round(touchNanoseconds(100_000, TOUCHES)),
  };
}

type Drained = {
  readonly perSecond: number;
  readonly cpuMicroseconds: number;
  readonly startMs: number;
  readonly peakNodeMemoryMb: number;
  readonly peakMemoryMb: number;
};

async function drain(runs: number, seconds: number, say: (line: string) => void): Promise<Drained> {
  const server = await startDeepServer(runs, say);
  const agent = new Agent({ connections: 4 });
  try {
    let feeding = true;
    const feeder = feed(server, agent, runs, () => feeding);
    await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
    const before = usageOf(server.pid, server.postgresPid());
    const doneBefore = await server.metric('belfry_runs_executed');
    const startedMs = performance.now();
    let peakNodeMemoryMb = before.nodeMemoryMb;
    let peakMemoryMb = before.memoryMb;
    while (performance.now() - startedMs < seconds * 1_000) {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const usage = usageOf(server.pid, server.postgresPid());
      peakNodeMemoryMb = Math.max(peakNodeMemoryMb, usage.nodeMemoryMb);
      peakMemoryMb = Math.max(peakMemoryMb, usage.memoryMb);
    }
    const done = (await server.metric('belfry_runs_executed')) - doneBefore;
    const elapsedSeconds = (performance.now() - startedMs) / 1_000;
    const after = usageOf(server.pid, server.postgresPid());
    const queued = await server.metric('belfry_runs_queued');
    say(`${Math.round(done / elapsedSeconds)} runs/s with ${queued} queued`);
    feeding = false;
    await feeder;
    const cpuSeconds =
      after.nodeCpuSeconds +
      after.postgresCpuSeconds -
      before.nodeCpuSeconds -
      before.postgresCpuSeconds;
    return {
      perSecond: done / elapsedSeconds,
      cpuMicroseconds: (cpuSeconds / done) * 1e6,
      startMs: server.startMs,
      ...{ peakNodeMemoryMb, peakMemoryMb },
    };
  } finally {
    await agent.close();
    // What is queued need not be done.
    await server.destroy();
  }
}

async function feed(
  server: BenchServer,
  agent: Agent,
  depthRuns: number,
  goesOn: () => boolean,
): Promise<void> {
  for (let n = 0; goesOn(); ) {
    const missing = depthRuns - (await server.metric('belfry_runs_queued'));
    const triggers = Math.min(Math.ceil(missing / TRIGGER_RUNS), 20);
    await Promise.all(
      Array.from({ length: Math.max(0, triggers) }, async () => {
        const response = await request(`${server.url}/v1/workflows/bench/trigger`, {
          method: 'POST',
          dispatcher: agent,
          headers: {
            authorization: `Bearer ${server.secretKey}`,
            'content-type': 'application/json',
          },
          body: triggerBody(n++, TRIGGER_RUNS),
        });
        await response.body.dump();
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
