import { afterAll, beforeAll, expect, test } from 'vitest';
import { limitLocks } from '../../src/db/limit-locks.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase({ max: 4 });
});
afterAll(() => database.drop());

test('a transaction whose session is ended between two statements fails, and the process lives on', async () => {
  const { db } = database;
  const cut = db.transaction(async (tx) => {
    const [row] = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
    await db.query('select pg_terminate_backend($1)', [row?.pid]);
    await waitFor('the session to be over', async () => {
      const left = await db.query('select from pg_stat_activity where pid = $1', [row?.pid]);
      return left.length === 0 ? true : undefined;
    });
    await tx.query('select 1');
  });
  await expect(cut).rejects.toThrow();
  expect(await db.query('select 1 as one')).toEqual([{ one: 1 }]);
});

test('whoever says nothing while it has a lock that others need loses it', async () => {
  const { db } = database;
  const lock = (idleMs: number, then: () => Promise<void>) =>
    db.transaction(async (tx) => {
      await limitLocks(tx, 100, idleMs);
      await tx.query('lock table governance in exclusive mode');
      await then();
      await tx.query('update governance set version = version + 1');
    });
  const silent = lock(50, async () => {
    await waitFor('the lock to be free', () =>
      lock(5_000, async () => undefined).then(
        () => true,
        () => undefined,
      ),
    );
  });
  await expect(silent).rejects.toThrow();
  expect(await db.query('select version from governance')).toEqual([{ version: 2 }]);
});

test('a peer that is gone without a word keeps its locks for seconds, not for hours', async () => {
  const rows = await database.db.query(
    `select name, setting
     from pg_settings
     where name in ('tcp_user_timeout', 'tcp_keepalives_idle')
       and source = 'client'`,
  );
  expect(rows).toHaveLength(2);
});
