import { prefill } from './prefill.ts';
import { type BenchServer, startBenchServer } from './server.ts';
import { pushBenchWorkflow, seedUsers } from './workload.ts';

/** A server that comes up with so many runs queued. */
export async function startDeepServer(
  runs: number,
  say: (line: string) => void,
): Promise<BenchServer> {
  const first = await startBenchServer();
  await seedUsers(first);
  await pushBenchWorkflow(first);
  await first.stop();
  await prefill(first.dataDir, first.environmentId, runs, say);
  const server = await startBenchServer({ dataDir: first.dataDir });
  say(`ready after ${Math.round(server.startMs)} ms with ${runs} runs queued`);
  return server;
}
