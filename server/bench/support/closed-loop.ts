import { Client } from 'undici';
import { percentile, rounded } from '../../src/drill/statistics.ts';
import type { BenchServer } from './server.ts';

/** One request of a load: the n-th. */
export type LoadRequest = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly body?: string;
};

export type LoadResult = {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

const WARM_UP_SHARE = 0.2;

/**
 * So many connections, each of which sends its next request when it has the answer, for so many seconds; what was sent
 * in a fifth of the time before that does not count. A 429 is waited for and not counted; throws at any other answer but 2xx.
 */
export async function closedLoop(
  server: BenchServer,
  connections: number,
  seconds: number,
  requestOf: (n: number) => LoadRequest,
): Promise<LoadResult> {
  const headers = {
    authorization: `Bearer ${server.secretKey}`,
    'content-type': 'application/json',
  };
  const latencies: number[] = [];
  const warmMs = performance.now() + seconds * 1_000 * WARM_UP_SHARE;
  const endMs = warmMs + seconds * 1_000;
  let n = 0;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      const client = new Client(server.url);
      while (performance.now() < endMs) {
        const { method, path, body } = requestOf(n++);
        const sentMs = performance.now();
        const answer = await client.request({ method, path, headers, body: body ?? null });
        if (answer.statusCode === 429) {
          await answer.body.dump();
          const seconds = Number(answer.headers['retry-after'] ?? 1);
          await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
          continue;
        }
        if (answer.statusCode > 299) {
          const text = await answer.body.text();
          throw new Error(`${method} ${path} answered ${answer.statusCode}: ${text}`);
        }
        await answer.body.dump({ limit: Number.POSITIVE_INFINITY });
        const nowMs = performance.now();
        if (sentMs >= warmMs) latencies.push(nowMs - sentMs);
      }
      await client.close();
    }),
  );
  return {
    perSecond: Math.round(latencies.length / seconds),
    p50Ms: rounded(percentile(latencies, 0.5), 2),
    p99Ms: rounded(percentile(latencies, 0.99), 2),
  };
}
