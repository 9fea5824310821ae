import { Knock } from '@knocklabs/node';
import { afterAll, expect, test } from 'vitest';
import { createAccount } from '../../src/accounts/create-account.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createTestDatabase } from '../support/database.ts';
import { feedStep } from '../support/engine-world.ts';
import { startFaultServer } from '../support/fault-server.ts';
import { silentLog } from '../support/log.ts';
import { noteWrites, writesOf } from '../support/operation-faults.ts';
import { waitFor } from '../support/wait.ts';
import { clientOf, removeDataDirs, startWholeServer } from '../support/whole-server.ts';

afterAll(removeDataDirs);

const users = (prefix: string) =>
  Array.from({ length: 1_000 }, (_, i) => ({ id: `${prefix}-${i}`, name: 'Ada' }));

test('an account with tens of thousands of bulk items in the queue does not hold up the triggers of another', async () => {
  const database = await createTestDatabase();
  const whole = await startWholeServer({ databaseUrl: database.url, executors: 1 });
  const ctx = { db: database.db, clock: systemClock, log: silentLog };
  const quiet = await createAccount(ctx, { name: 'quiet' });
  const client = clientOf(whole.server.url, () => quiet);
  await client.push('hello', [feedStep('Hello')]);
  const apiKey = whole.server.credentials?.environments.development?.secret_key ?? '';
  const sdk = new Knock({ apiKey, baseURL: whole.server.url, maxRetries: 0 });
  const begun = await Promise.all(
    Array.from({ length: 30 }, (_, i) => sdk.users.bulk.identify({ users: users(`noisy-${i}`) })),
  );
  const runId = await client.trigger('hello', { recipients: ['quiet'] });
  await waitFor('the message', async () => {
    const rows = await database.db.query('select from message where workflow_run_id = $1', [runId]);
    return rows.length > 0 ? true : undefined;
  });
  const open = await database.db.query('select from bulk_operation where completed_at is null');
  expect(open.length).toBeGreaterThan(0);
  const [first] = begun;
  const over = await waitFor(
    'the end of an operation',
    async () => {
      const operation = await sdk.bulkOperations.get(first?.id ?? '');
      return operation.status === 'completed' ? operation : undefined;
    },
    60_000,
  );
  expect(over).toMatchObject({ processed_rows: 1_000, success_count: 1_000, error_count: 0 });
  await whole.stop();
  await database.drop();
}, 120_000);

test('kill -9 of a server again and again, while it works on operations, loses and repeats no item', async () => {
  const server = await startFaultServer();
  await noteWrites(server);
  const ids: string[] = [];
  const processed = async () => {
    const [row] = await server.test.db.query<{ n: number }>(
      'select coalesce(sum(processed), 0)::int as n from bulk_operation',
    );
    return row?.n ?? 0;
  };
  for (let round = 0; round < 3; round++) {
    await server.ensureRunning();
    for (let i = 0; i < 2; i++) {
      const user_ids = users(`round-${round}-${i}`).map(({ id }) => id);
      const body = { user_ids, preferences: { workflows: {} } };
      ids.push(String((await server.call('POST', '/v1/users/bulk/preferences', body)).id));
    }
    const before = await processed();
    await waitFor('work', async () => ((await processed()) > before ? true : undefined));
    await server.kill();
  }
  await server.ensureRunning();
  const over = async () => {
    const open = await server.test.db.query(
      'select from bulk_operation where completed_at is null',
    );
    return open.length === 0 ? true : undefined;
  };
  await waitFor('all operations', over, 60_000);
  for (const id of ids) {
    const operation = await server.call('GET', `/v1/bulk_operations/${id}`);
    expect(operation).toMatchObject({ processed_rows: 1_000, success_count: 1_000 });
  }
  expect(await writesOf(server, 'round')).toEqual({ users: 6_000, writes: 6_000 });
  await server.close();
}, 120_000);
