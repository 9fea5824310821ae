import { rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { processTree, usageOf } from './support/processes.ts';
import { startBenchServer } from './support/server.ts';

const SETTLE_MS = 5_000;

/** Start to ready with and without a data dir, and what a server with nothing to do costs. */
export async function idle(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const seconds = Number(options.get('seconds') ?? 30);
  const environment = { BELFRY_CANARY: 'on' };
  const first = await startBenchServer({ environment });
  await first.stop();
  say('second start');
  const server = await startBenchServer({ dataDir: first.dataDir, environment });
  try {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const before = usageOf(server.pid, server.postgresPid());
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    const after = usageOf(server.pid, server.postgresPid());
    const cpuSeconds =
      after.nodeCpuSeconds +
      after.postgresCpuSeconds -
      before.nodeCpuSeconds -
      before.postgresCpuSeconds;
    return {
      unit: 'idle server',
      first_start_ms: Math.round(first.startMs),
      start_ms: Math.round(server.startMs),
      memory_mb: Math.round(after.memoryMb),
      cpu_percent_of_one_core: rounded((cpuSeconds / seconds) * 100, 2),
      processes: processTree(server.pid).length + processTree(server.postgresPid()).length,
    };
  } finally {
    await server.destroy();
  }
}
