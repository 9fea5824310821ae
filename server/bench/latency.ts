import { WebSocket } from 'ws';
import { percentile, rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { call, startBenchServer } from './support/server.ts';
import { pushBenchWorkflow, seedUsers } from './support/workload.ts';

const PAUSE_MS = 40;

/** Idle system: from sending a trigger to the socket event that rings the bell. */
export async function latency(
  _say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const count = Number(options.get('count') ?? 500);
  const server = await startBenchServer();
  try {
    await seedUsers(server, 1_000);
    await pushBenchWorkflow(server);
    const socket = new WebSocket(
      `${server.url.replace('http', 'ws')}/ws/v1/websocket?user_token=&api_key=${server.publicKey}&&vsn=2.0.0`,
    );
    const topic = `feeds:${server.channels['in-app']}:user-1`;
    let heard: () => void = () => undefined;
    let joined: () => void = () => undefined;
    socket.on('message', (data) => {
      const [, , , event] = JSON.parse(data.toString()) as unknown[];
      if (event === 'new-message') heard();
      if (event === 'phx_reply') joined();
    });
    await new Promise((resolve) => socket.once('open', resolve));
    const join = new Promise<void>((resolve) => {
      joined = resolve;
    });
    socket.send(
      JSON.stringify(['1', '1', topic, 'phx_join', { client_bench: { archived: 'exclude' } }]),
    );
    await join;

    const latencies: number[] = [];
    for (let i = 0; i < count + 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      const rung = new Promise<void>((resolve) => {
        heard = resolve;
      });
      const sentMs = performance.now();
      await call(server, 'POST', '/v1/workflows/bench/trigger', {
        recipients: ['user-1'],
        data: { amount: 42, actor_name: 'Ada', payment_id: `p-${i}` },
      });
      await rung;
      // The first ones warm the server up.
      if (i >= 20) latencies.push(performance.now() - sentMs);
    }
    socket.close();
    return {
      unit: 'trigger sent to socket event, idle system',
      count,
      p50_ms: rounded(percentile(latencies, 0.5), 2),
      p99_ms: rounded(percentile(latencies, 0.99), 2),
      max_ms: rounded(percentile(latencies, 1), 2),
    };
  } finally {
    await server.destroy();
  }
}
