import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BenchServer, call, startBenchServer } from '../../bench/support/server.ts';
import { pushBenchWorkflow, seedUsers } from '../../bench/support/workload.ts';
import { waitFor } from './wait.ts';

const USERS = 500;
const SENDERS = 6;
const VERBS = ['hold', 'discard', 'slow'] as const;

type Answered = { readonly id: number };

export type OrderCrashResult = {
  readonly acknowledged: number;
  readonly done: number;
  readonly lost: number;
  readonly duplicates: number;
  /** Runs that lay aside when a server was killed, all rounds together. */
  readonly setAside: number;
  readonly ledger: unknown;
};

/**
 * Under load: orders are given and ended, and the server's process group is killed at another point of that in
 * each round. In the end every order is ended, and messages are counted for each acknowledged recipient.
 */
export async function orderCrashRounds(rounds: number): Promise<OrderCrashResult> {
  const acknowledged = new Map<string, readonly string[]>();
  let server = await startBenchServer();
  const { dataDir } = server;
  const credentials = readFileSync(join(dataDir, 'credentials.json'), 'utf8');
  const { account, operator_token: operator } = JSON.parse(credentials) as {
    account: string;
    operator_token: string;
  };
  const scope = { account };
  const ops = (method: string, path: string, body?: object): Promise<unknown> =>
    call(server, method, `/ops/v1${path}`, body, operator);
  const endAll = async (): Promise<void> => {
    const { entries } = (await ops('GET', '/orders?active=true')) as { entries: Answered[] };
    for (const { id } of entries) await ops('POST', `/orders/${id}/undo`, { reason: 'over' });
  };
  let setAside = 0;
  try {
    await seedUsers(server, USERS);
    await pushBenchWorkflow(server);
    for (let round = 0; round < rounds; round++) {
      const load = startSenders(server, round, acknowledged);
      await load.more(15);
      const verb = VERBS[round % VERBS.length];
      const rate = verb === 'slow' ? { rate: 50 } : {};
      const giving = ops('POST', '/orders', { verb, scope, reason: 'test', ...rate });
      const given = giving.catch(() => 'the server was killed meanwhile');
      // A third of the rounds dies while the order is given, another while it is ended.
      if (round % 3 !== 0) {
        await giving;
        await load.more(15);
      }
      const ended = (round % 3 === 2 ? endAll() : Promise.resolve()).catch(() => 'the same');
      const [row] = await server.db.query<{ runs: number }>(
        'select coalesce(sum(run_count), 0)::int as runs from chunk where order_id is not null',
      );
      setAside += row?.runs ?? 0;
      await server.stop('SIGKILL');
      await load.stop();
      await Promise.all([given, ended]);
      server = await startBenchServer({ dataDir });
    }
    await endAll();
    const result = await waitFor(
      'everything to be done',
      async () => {
        const counts = await count(server, acknowledged);
        return counts.lost === 0 || counts.duplicates > 0 ? counts : undefined;
      },
      60_000,
    );
    const ledger = await waitFor(
      'the ledger',
      async () => {
        const answer = (await ops('GET', '/ledger')) as { state: string };
        return answer.state === 'unchecked' ? undefined : answer;
      },
      40_000,
    );
    return { ...result, setAside, ledger };
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

function startSenders(
  server: BenchServer,
  round: number,
  acknowledged: Map<string, readonly string[]>,
) {
  let alive = true;
  let n = 0;
  const senders = Array.from({ length: SENDERS }, async (_, sender) => {
    while (alive) {
      n += 1;
      const size = n % 10 === 0 ? 300 : 1 + (n % 3);
      const first = (round * 7_919 + sender * 131 + n * 17) % USERS;
      const recipients = Array.from(
        { length: size },
        (_u, i) => `user-${((first + i) % USERS) + 1}`,
      );
      const data = { amount: 42, actor_name: 'Ada', payment_id: `${round}-${sender}-${n}` };
      try {
        const answer = (await call(server, 'POST', '/v1/workflows/bench/trigger', {
          recipients,
          data,
        })) as { workflow_run_id: string };
        acknowledged.set(answer.workflow_run_id, recipients);
      } catch {
        // Not acknowledged: it may or may not be done, and is not counted.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  });
  return {
    more: async (triggers: number): Promise<void> => {
      const goal = acknowledged.size + triggers;
      await waitFor(`${triggers} more triggers`, () =>
        acknowledged.size >= goal ? true : undefined,
      );
    },
    stop: async (): Promise<void> => {
      alive = false;
      await Promise.all(senders);
    },
  };
}

async function count(
  server: BenchServer,
  acknowledged: ReadonlyMap<string, readonly string[]>,
): Promise<Omit<OrderCrashResult, 'setAside' | 'ledger'>> {
  const rows = await server.db.query<{ run: string; recipient: string; messages: number }>(
    `select workflow_run_id as run, recipient_id as recipient, count(*) as messages
     from message
     group by 1, 2`,
  );
  const found = new Set(rows.map((row) => `${row.run} ${row.recipient}`));
  const expected = [...acknowledged].flatMap(([run, recipients]) =>
    recipients.map((recipient) => `${run} ${recipient}`),
  );
  const done = expected.filter((key) => found.has(key)).length;
  return {
    acknowledged: expected.length,
    done,
    lost: expected.length - done,
    duplicates: rows.filter((row) => row.messages > 1).length,
  };
}
