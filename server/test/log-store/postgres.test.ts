import { afterAll, beforeAll, expect, test } from 'vitest';
import { createPostgresLogStore } from '../../src/log-store/postgres/postgres-log-store.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { conformanceSuite } from './conformance.ts';
import { writeEnvironment } from './written.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database?.drop());

conformanceSuite(() => ({
  db: database.db,
  store: createPostgresLogStore(database.db),
  environment: () => writeEnvironment(database.db),
  settled: async () => undefined,
}));

test('a search that takes too long is ended and says how to narrow it', async () => {
  // Somebody who changes the schema has the table for himself.
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let locked = (): void => undefined;
  const isLocked = new Promise<void>((resolve) => {
    locked = resolve;
  });
  const lock = database.db.transaction(async (tx) => {
    await tx.query('lock table message_event in access exclusive mode');
    locked();
    await released;
  });
  await isLocked;
  const store = createPostgresLogStore(database.db, 50);
  const search = store.searchEvents(
    { environmentId: 1, fromMs: Date.now() - 1_000, untilMs: Date.now() },
    { size: 50 },
  );
  await expect(search).rejects.toMatchObject({
    code: 'overloaded',
    message: expect.stringContaining('narrow the time'),
  });
  release();
  await lock;
});
