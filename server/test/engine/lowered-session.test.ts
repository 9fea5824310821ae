import { getPriority } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { createSessionLowering } from '../../src/engine/ledger/lower-session.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

test('a lowered session has no workers of everybody’s priority', async () => {
  const { url, drop } = await createTestDatabase({ max: 1 });
  onTestFinished(() => drop());
  const db = openDatabase({ url, max: 1, applicationName: 'test', log: silentLog });
  onTestFinished(() => db.close());
  const session = () =>
    db.query<{ pid: number; workers: string }>(
      `select pg_backend_pid() as pid, current_setting('max_parallel_workers_per_gather') as workers`,
    );
  expect((await session())[0]?.workers).not.toBe('0');
  await createSessionLowering(db, silentLog)();
  const [lowered] = await session();
  expect(lowered?.workers).toBe('0');
  await waitFor('the lower priority', () =>
    getPriority(lowered?.pid ?? 0) === 10 ? true : undefined,
  );
});
