import type { BenchResult } from './support/bench.ts';
import { closedLoop, type LoadRequest } from './support/closed-loop.ts';
import { usageOf } from './support/processes.ts';
import { call, startBenchServer } from './support/server.ts';
import { pushBenchWorkflow, seedUsers, triggerBody } from './support/workload.ts';

const USERS = 10_000;
const ITEMS = 50;
/** Users whose feeds are listed: they have `ITEMS` items each. */
const READERS = 200;

/**
 * What one API process answers a second, each operation alone, with the load generator on the same machine: identify a
 * user, get one, list a feed of 50 items, mark a message as read, trigger for one recipient.
 */
export async function api(
  say: (line: string) => void,
  options: ReadonlyMap<string, string>,
): Promise<BenchResult> {
  const seconds = Number(options.get('seconds') ?? 10);
  const connections = Number(options.get('connections') ?? 32);
  const server = await startBenchServer();
  try {
    await seedUsers(server, USERS);
    await pushBenchWorkflow(server);
    say(`${READERS} feeds of ${ITEMS} items`);
    for (let i = 0; i < ITEMS; i++) {
      const recipients = Array.from({ length: READERS }, (_, n) => `user-${n + 1}`);
      const data = { amount: 42, actor_name: 'Ada', payment_id: `p-${i}` };
      await call(server, 'POST', '/v1/workflows/bench/trigger', { recipients, data });
    }
    await server.db.query('analyze');
    const messages = await messageIds(server);
    const feed = server.channels['in-app'] ?? '';
    const requests: readonly (readonly [string, (n: number) => LoadRequest])[] = [
      ['identify', (n) => ({ method: 'PUT', path: user(n), body: identity(n) })],
      ['get_user', (n) => ({ method: 'GET', path: user(n) })],
      [
        'feed_list',
        (n) => ({
          method: 'GET',
          path: `/v1/users/user-${(n % READERS) + 1}/feeds/${feed}?page_size=${ITEMS}`,
        }),
      ],
      [
        'mark_read',
        (n) => ({ method: 'PUT', path: `/v1/messages/${messages[n % messages.length]}/read` }),
      ],
      [
        'trigger',
        (n) => ({
          method: 'POST',
          path: '/v1/workflows/bench/trigger',
          body: triggerBody(n, 1, USERS),
        }),
      ],
    ];
    const figures: Record<string, number> = {};
    const only = options.get('only');
    for (const [name, requestOf] of requests) {
      if (only !== undefined && only !== name) continue;
      say(`${name}: ${connections} connections for ${seconds} s`);
      const before = usageOf(server.pid, server.postgresPid());
      const { perSecond, p99Ms } = await closedLoop(server, connections, seconds, requestOf);
      const after = usageOf(server.pid, server.postgresPid());
      const cpu = (of: 'nodeCpuSeconds' | 'postgresCpuSeconds') =>
        Math.round(((after[of] - before[of]) / (perSecond * seconds)) * 1e6);
      figures[`${name}_per_s`] = perSecond;
      figures[`${name}_p99_ms`] = p99Ms;
      figures[`${name}_node_cpu_us`] = cpu('nodeCpuSeconds');
      figures[`${name}_postgres_cpu_us`] = cpu('postgresCpuSeconds');
    }
    return { unit: 'requests answered', connections, ...figures };
  } finally {
    await server.destroy();
  }
}

const user = (n: number): string => `/v1/users/user-${(n % USERS) + 1}`;

const identity = (n: number): string =>
  JSON.stringify({ name: `User ${n}`, email: `user${n}@example.com`, plan: 'pro', visits: n });

async function messageIds(server: Parameters<typeof call>[0]): Promise<string[]> {
  const ids: string[] = [];
  for (;;) {
    const feed = `/v1/users/user-${ids.length / ITEMS + 1}/feeds/${server.channels['in-app']}`;
    const page = (await call(server, 'GET', `${feed}?page_size=${ITEMS}`)) as {
      entries: { id: string }[];
    };
    // What was triggered last may still be on its way.
    if (page.entries.length < ITEMS) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    ids.push(...page.entries.map(({ id }) => id));
    if (ids.length === READERS * ITEMS) return ids;
  }
}
