import { WebSocket } from 'ws';
import { percentile, rounded } from '../src/drill/statistics.ts';
import type { BenchResult } from './support/bench.ts';
import { usageOf } from './support/processes.ts';
import { call, startBenchServer } from './support/server.ts';
import { pushBenchWorkflow, seedUsers } from './support/workload.ts';

const CONNECTING = 50;
const ROUNDS = 5;
const TRIGGER_RECIPIENTS = 1_000;

/**
 * Sockets of one server process, each with the feed of a user of its own: what one takes in memory, and how long it is
 * from triggering for everybody until the last one has heard.
 */
export async function sockets(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const count = Number(options.get('sockets') ?? 5_000);
  const server = await startBenchServer();
  try {
    await seedUsers(server, count);
    await pushBenchWorkflow(server);
    await pause(5_000);
    const before = usageOf(server.pid, server.postgresPid());
    const heard = createHeard();
    const url = `${server.url.replace('http', 'ws')}/ws/v1/websocket?user_token=&api_key=${server.publicKey}&&vsn=2.0.0`;
    const open: WebSocket[] = [];
    let next = 0;
    await Promise.all(
      Array.from({ length: CONNECTING }, async () => {
        while (next < count) {
          const topic = `feeds:${server.channels['in-app']}:user-${++next}`;
          open.push(await join(url, topic, heard.tell));
        }
      }),
    );
    say(`${open.length} sockets joined`);
    await pause(5_000);
    const after = usageOf(server.pid, server.postgresPid());
    const rounds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const startedMs = performance.now();
      const everybody = heard.next(count);
      for (let from = 0; from < count; from += TRIGGER_RECIPIENTS) {
        const recipients = Array.from(
          { length: Math.min(TRIGGER_RECIPIENTS, count - from) },
          (_, i) => `user-${from + i + 1}`,
        );
        const data = { amount: 42, actor_name: 'Ada', payment_id: `p-${round}` };
        await call(server, 'POST', '/v1/workflows/bench/trigger', { recipients, data });
      }
      await everybody;
      rounds.push(performance.now() - startedMs);
      say(`all have heard after ${Math.round(rounds.at(-1) ?? 0)} ms`);
      await pause(1_000);
    }
    for (const socket of open) socket.terminate();
    return {
      unit: 'sockets, each with a feed of its own',
      sockets: count,
      kb_each: rounded(((after.nodeMemoryMb - before.nodeMemoryMb) * 1_024) / count),
      all_heard_ms: Math.round(percentile(rounds, 0.5)),
      all_heard_max_ms: Math.round(Math.max(...rounds)),
    };
  } finally {
    await server.destroy();
  }
}

/** Counts who has heard since the last time that somebody waited for all. */
function createHeard() {
  let topics = new Set<string>();
  let wanted = 0;
  let done: () => void = () => undefined;
  return {
    tell: (topic: string): void => {
      topics.add(topic);
      if (topics.size === wanted) done();
    },
    next: (count: number): Promise<void> => {
      topics = new Set();
      wanted = count;
      return new Promise((resolve) => {
        done = resolve;
      });
    },
  };
}

function join(url: string, topic: string, tell: (topic: string) => void): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.once('error', reject);
    socket.on('message', (data) => {
      const [, , , event] = JSON.parse(data.toString()) as unknown[];
      if (event === 'new-message') tell(topic);
      if (event === 'phx_reply') resolve(socket);
    });
    socket.once('open', () =>
      socket.send(JSON.stringify(['1', '1', topic, 'phx_join', { bell: { archived: 'exclude' } }])),
    );
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
