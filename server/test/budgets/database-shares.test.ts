import { expect, test } from 'vitest';
import { createDatabaseShares } from '../../src/budgets/database-shares.ts';
import type { Database } from '../../src/db/database.ts';
import { waitFor } from '../support/wait.ts';

/** A database whose answers the test gives, one by one. */
function slowDatabase() {
  const running: { readonly text: string; readonly answer: () => void }[] = [];
  let most = 0;
  const db: Database = {
    query: (statement) =>
      new Promise((resolve) => {
        running.push({ text: String(statement), answer: () => resolve([]) });
        most = Math.max(most, running.length);
      }),
    transaction: async () => {
      throw new Error('no transactions here');
    },
    close: async () => {},
  };
  const answerOne = async (): Promise<string> => {
    const { text, answer } = await waitFor('a query', () => running.shift());
    answer();
    return text;
  };
  return { db, running, answerOne, most: () => most };
}

const shares = (db: Database, options: { readonly maxWaitMs?: number } = {}) =>
  createDatabaseShares({ db, connections: 8, nowMs: () => performance.now(), ...options });

test('one account holds at most half of the connections, and the next one finds some free', async () => {
  const { db, running } = slowDatabase();
  const database = shares(db);
  for (let i = 0; i < 100; i++) void database.of(1).query('flood');
  await waitFor('the flood', () => (running.length === 4 ? true : undefined));
  void database.of(2).query('neighbour');
  await waitFor('the neighbour', () => running.find(({ text }) => text === 'neighbour'));
  expect(database.waiting()).toBe(96);
});

test('who waits is served by turns of the accounts, and everybody is', async () => {
  const { db, answerOne, most } = slowDatabase();
  const database = shares(db);
  const work: Promise<unknown>[] = [];
  for (let i = 0; i < 50; i++) work.push(database.of(1).query('flood'));
  for (const account of [2, 3, 4, 5, 6, 7]) {
    for (let i = 0; i < 3; i++) work.push(database.of(account).query('neighbour'));
  }
  const order: string[] = [];
  while (order.length < 68) order.push(await answerOne());
  await Promise.all(work);
  expect(order.lastIndexOf('neighbour')).toBeLessThan(45);
  expect(most()).toBeLessThanOrEqual(8);
  expect(database.waiting()).toBe(0);
});

test('who waits too long, or is one too many, is told so', async () => {
  const { db } = slowDatabase();
  const database = shares(db, { maxWaitMs: 1 });
  for (let i = 0; i < 4; i++) void database.of(1).query('held');
  await expect(database.of(1).query('late')).rejects.toMatchObject({ code: 'overloaded' });

  const patient = shares(db);
  const asked = Array.from({ length: 1_100 }, () => patient.of(1).query('flood'));
  const results = await Promise.race([
    Promise.allSettled(asked.slice(1_004)),
    Promise.allSettled(asked),
  ]);
  expect(results.map((result) => result.status)).not.toContain('fulfilled');
  expect(results[0]).toMatchObject({ reason: { code: 'rate_limited', retryAfterMs: 1_000 } });
});

test('the time for which an account holds connections is counted', async () => {
  const { db, answerOne } = slowDatabase();
  let nowMs = 1_000;
  const database = createDatabaseShares({ db, connections: 8, nowMs: () => nowMs });
  const query = database.of(1).query('x');
  nowMs += 500;
  await answerOne();
  await query;
  expect(database.msPerSecond(1)).toBe(50);
  expect(database.msPerSecond(2)).toBe(0);
  nowMs += 60_000;
  expect(database.msPerSecond(1)).toBeLessThan(1);
});
