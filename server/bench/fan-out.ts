import { rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { usageOf } from './support/processes.ts';
import { call, startBenchServer } from './support/server.ts';
import { pushBenchWorkflow } from './support/workload.ts';

const SAMPLE_MS = 500;

/**
 * One trigger for objects with a million subscribers between them. Each subscribes to `overlap` of the objects, in a
 * ring, so that with two and more everybody has to be remembered. Runs a second from the trigger to the last item,
 * memory, and whether everybody got it once.
 */
export async function fanOut(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const subscribers = Number(options.get('subscribers') ?? 1_000_000);
  const objects = Number(options.get('objects') ?? 1);
  const overlap = Math.min(objects, Number(options.get('overlap') ?? 1));
  const server = await startBenchServer();
  try {
    await pushBenchWorkflow(server);
    await server.db.query(
      `insert into subscription
         (environment_id, object_collection, object_id, recipient_collection, recipient_id, properties)
       select $1, 'topics', 'topic-' || (n + o) % $3::int, '$users', 'reader-' || n, '{"role":"reader"}'
       from generate_series(1, $2::int) as n, generate_series(0, $4::int - 1) as o`,
      [server.environmentId, subscribers, objects, overlap],
    );
    await server.db.query('analyze subscription');
    await server.db.query('checkpoint');
    say(`${subscribers} subscribers of ${objects} objects`);
    const before = usageOf(server.pid, server.postgresPid());
    let { memoryMb: peakMemoryMb, nodeMemoryMb: peakNodeMemoryMb } = before;
    let maxQueued = 0;
    const recipients = Array.from({ length: objects }, (_, i) => ({
      collection: 'topics',
      id: `topic-${i}`,
    }));
    const runs = subscribers + objects;
    const startedMs = performance.now();
    await call(server, 'POST', '/v1/workflows/bench/trigger', {
      recipients,
      data: { amount: 20, actor_name: 'Ada', payment_id: 'p-1' },
    });
    let done = 0;
    while (done < runs) {
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
      done = await server.metric('belfry_runs_executed');
      maxQueued = Math.max(maxQueued, await server.metric('belfry_runs_queued'));
      const use = usageOf(server.pid, server.postgresPid());
      peakMemoryMb = Math.max(peakMemoryMb, use.memoryMb);
      peakNodeMemoryMb = Math.max(peakNodeMemoryMb, use.nodeMemoryMb);
      say(
        `${done} of ${runs} runs, ${Math.round((done / (performance.now() - startedMs)) * 1_000)}/s`,
      );
    }
    const after = usageOf(server.pid, server.postgresPid());
    const [span] = await server.db.query<{ seconds: number }>(
      `select extract(epoch from max(m.inserted_at) - min(w.accepted_at))::float as seconds
       from (select inserted_at from message order by id desc limit 1) m,
            (select accepted_at from workflow_run order by id limit 1) w`,
    );
    const [counted] = await server.db.query<{ items: number; recipients: number }>(
      'select count(*) as items, count(distinct (collection, recipient_id)) as recipients from recipient_run',
    );
    const { items = 0, recipients: reached = 0 } = counted ?? {};
    const cpu = (name: 'nodeCpuSeconds' | 'postgresCpuSeconds'): number =>
      rounded(((after[name] - before[name]) / runs) * 1e6);
    return {
      unit: 'subscribers, feed message each',
      subscribers,
      objects,
      subscriptions: subscribers * overlap,
      runs_per_s: Math.round(runs / (span?.seconds ?? Number.NaN)),
      seconds: rounded(span?.seconds ?? Number.NaN),
      duplicates: items - reached,
      missing: runs - reached,
      max_queued_runs: maxQueued,
      node_cpu_us_per_run: cpu('nodeCpuSeconds'),
      postgres_cpu_us_per_run: cpu('postgresCpuSeconds'),
      node_memory_before_mb: Math.round(before.nodeMemoryMb),
      peak_node_memory_mb: Math.round(peakNodeMemoryMb),
      peak_memory_mb: Math.round(peakMemoryMb),
      failed: items !== runs || reached !== runs,
    };
  } finally {
    await server.destroy();
  }
}
