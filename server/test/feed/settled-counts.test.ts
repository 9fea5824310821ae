import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type Database, openDatabase } from '../../src/db/database.ts';
import { countFeed, type FeedCounts } from '../../src/feed/count-feed.ts';
import type { FeedFilter } from '../../src/feed/feed-filter.ts';
import { type MessageStatus, updateMessageStatuses } from '../../src/feed/message-status.ts';
import { CHANGING, forgetFeeds, SETTLE_AFTER_MS } from '../../src/feed/settled-counts.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { createMessageWorld, type MessageFixture, type MessageWorld } from '../support/messages.ts';
import { changeMessages, createOperations } from '../support/operations.ts';

let database: TestDatabase;
let world: MessageWorld;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
});
afterAll(() => database.drop());

const everything: FeedFilter = { status: 'all', archived: 'exclude', insertedAt: {} };
const filters: readonly FeedFilter[] = [
  everything,
  { ...everything, archived: 'include' },
  { ...everything, archived: 'only' },
  { ...everything, status: 'unread' },
  { ...everything, status: 'seen' },
  { ...everything, tenant: 'a' },
  { ...everything, hasTenant: false },
  { ...everything, source: 'alert', tenant: 'a', hasTenant: true },
  { ...everything, workflowCategories: ['social'] },
];

const topicOf = (userId: string) => ({
  environmentId: world.development.environment.id,
  channelId: world.channels['in-app'] ?? '',
  userId,
});

/** The same, from rows alone: a filter by time is never answered from groups. */
const counted = (userId: string, nowMs: number, chosen = filters, db: Database = database.db) =>
  countFeed(db, topicOf(userId), chosen, { nowMs, settledBefore: new Date(nowMs - 30_000) });
const truth = (userId: string, nowMs: number): Promise<FeedCounts[]> =>
  countFeed(
    database.db,
    topicOf(userId),
    filters.map((filter) => ({ ...filter, insertedAt: { gt: new Date(0) } })),
    { nowMs, settledBefore: new Date(nowMs - 30_000) },
  );

/** Items since an hour before `nowMs`, in every group. */
function items(userId: string, count: number, nowMs: number): MessageFixture[] {
  return Array.from({ length: count }, (_, i) => ({
    userId,
    insertedMs: nowMs - 3_600_000 + Math.floor((i * 3_600_000) / count),
    workflow: i % 3 === 0 ? 'alert' : 'comment-created',
    categories: i % 3 === 0 ? ['work'] : ['social', 'work'],
    tenant: [null, 'a', 'b'][i % 7] ?? null,
    seen: i % 2 === 0,
    read: i % 5 === 0,
    archived: i % 11 === 0,
  }));
}

async function settledItems(userId: string): Promise<number> {
  const [row] = await database.db.query<{ n: number }>(
    'select coalesce(sum(n), 0)::int as n from feed_count where recipient_id = $1',
    [userId],
  );
  return row?.n ?? 0;
}

test('counts of a large feed are exact while it settles, changes, grows and settles again', async () => {
  const startMs = Date.now();
  const ids = await world.insert(items('ada', 600, startMs));
  const change = (messageIds: readonly string[], status: 'read' | 'unseen' | 'archived') =>
    updateMessageStatuses(world.development, { messageIds, status });

  const first = await truth('ada', startMs);
  expect(first[0]?.total).toBeGreaterThan(400);
  expect(await counted('ada', startMs)).toEqual(first);
  expect(await settledItems('ada')).toBe(500);
  expect(await counted('ada', startMs)).toEqual(first);

  // Old ones, new ones, and the same again.
  await change(ids.slice(450, 550), 'read');
  await change(ids.slice(0, 60), 'archived');
  await change(ids.slice(30, 90), 'unseen');
  await change(ids.slice(30, 90), 'unseen');
  const second = await truth('ada', startMs);
  expect(second).not.toEqual(first);
  expect(await counted('ada', startMs)).toEqual(second);

  await world.insert(items('ada', 400, startMs + 3_600_000));
  const third = await truth('ada', startMs + 3_600_000);
  expect(await counted('ada', startMs + 3_600_000)).toEqual(third);
  expect(await settledItems('ada')).toBeGreaterThan(850);

  const body = { recipient_ids: ['ada'] };
  const operations = await createOperations(database.url);
  const channelId = world.channels['in-app'] ?? '';
  await changeMessages(world.development, operations, {
    ...{ channelId, action: 'archive', body, scope: {} },
  });
  await operations.close();
  const [all, , archived] = await counted('ada', startMs + 3_600_000);
  expect(all).toMatchObject({ total: 0, unread: 0, unseen: 0, ever: 1_000 });
  expect(archived).toMatchObject({ total: 1_000 });
});

test('people who look and change at once leave exact counts', async () => {
  const nowMs = Date.now();
  const ids = await world.insert(items('bea', 500, nowMs));
  const statuses: readonly MessageStatus[] = ['seen', 'read', 'archived', 'unseen', 'unread'];
  await Promise.all(
    Array.from({ length: 24 }, async (_, turn) => {
      if (turn % 3 === 0) await counted('bea', nowMs + turn * 1_000, filters.slice(0, 2));
      else {
        await updateMessageStatuses(world.development, {
          messageIds: ids.filter((_id, i) => (i + turn) % 4 === 0),
          status: statuses[turn % statuses.length] ?? 'seen',
        });
      }
    }),
  );
  await counted('bea', nowMs + 60_000);
  expect(await settledItems('bea')).toBeGreaterThan(400);
  expect(await counted('bea', nowMs + 60_000)).toEqual(await truth('bea', nowMs + 60_000));
});

test('who changes statuses keeps nobody waiting, and no feed settles without it', async () => {
  const nowMs = Date.now();
  const [id = ''] = await world.insert(items('cleo', 300, nowMs));
  await database.db.transaction(async (tx) => {
    await tx.query(`select ${CHANGING} from message m where recipient_id = 'cleo' limit 1`);
    expect((await counted('cleo', nowMs))[0]?.ever).toBe(300);
    expect(await settledItems('cleo')).toBe(0);
  });
  await counted('cleo', nowMs);
  expect(await settledItems('cleo')).toBe(250);
  await updateMessageStatuses(world.development, { messageIds: [id], status: 'archived' });
  expect(await counted('cleo', nowMs)).toEqual(await truth('cleo', nowMs));
});

test('a feed that is forgotten, or a day old, is counted afresh', async () => {
  const nowMs = Date.now();
  await world.insert(items('dora', 600, nowMs));
  await counted('dora', nowMs);
  const { db } = database;
  await db.query(`delete from message where recipient_id = 'dora' and read_at is not null`);
  await db.transaction((tx) =>
    forgetFeeds(tx, { environmentId: topicOf('dora').environmentId, userIds: ['dora'] }),
  );
  expect(await settledItems('dora')).toBe(0);
  expect(await counted('dora', nowMs)).toEqual(await truth('dora', nowMs));
  expect(await settledItems('dora')).toBe(400);

  await db.query(`update feed_count set n = n + 7 where recipient_id = 'dora'`);
  await world.insert(items('dora', 300, nowMs + 90_000_000));
  await counted('dora', nowMs + 90_000_000);
  expect(await counted('dora', nowMs + 90_000_000)).toEqual(
    await truth('dora', nowMs + 90_000_000),
  );
});

test('a small feed has no groups, and of a large one only what is new is read', async () => {
  const nowMs = Date.now();
  await world.insert(items('eve', 150, nowMs));
  await counted('eve', nowMs);
  expect(await settledItems('eve')).toBe(0);
  await world.insert(items('eve', 2_000, nowMs));
  await counted('eve', nowMs);

  const statements: { text: string; values: readonly unknown[] }[] = [];
  await counted('eve', nowMs, filters, {
    ...database.db,
    query: (statement, values = []) => {
      statements.push({ text: typeof statement === 'string' ? statement : statement.text, values });
      return database.db.query(statement, values);
    },
  });
  expect(statements).toHaveLength(1);
  const [{ text, values } = { text: '', values: [] }] = statements;
  const plan = await database.db.query<{ 'QUERY PLAN': string }>(
    `explain (analyze, timing off) ${text}`,
    values,
  );
  const scans = plan.map((row) => row['QUERY PLAN']).filter((line) => / on message_/.test(line));
  expect(scans.length).toBeGreaterThan(0);
  expect(scans.filter((line) => line.includes('Seq Scan'))).toEqual([]);
  const rowsRead = scans.reduce(
    (sum, line) => sum + Number(/actual rows=([\d.]+)/.exec(line)?.[1] ?? 0),
    0,
  );
  const newItems = Math.ceil((SETTLE_AFTER_MS / 3_600_000) * 2_150);
  expect(rowsRead).toBeLessThanOrEqual(newItems + 10);
});

/** How often the session has counted with a plan for any values, and with one of its own. */
async function plansOfCounts(db: Database) {
  const [row] = await db.query<{ generic: number; own: number }>(
    `select generic_plans as generic, custom_plans as own
     from pg_prepared_statements
     where statement like 'select asked.nth%'`,
  );
  return row;
}

test('a small environment beside a large one is counted without a plan of its own each time', async () => {
  const { drop, url } = await createTestDatabase();
  const db = openDatabase({ url, max: 1, applicationName: 'test', log: silentLog });
  onTestFinished(async () => {
    await db.close();
    await drop();
  });
  const large = await createMessageWorld(db);
  const nowMs = Date.now();
  const small = {
    environmentId: large.production.environment.id,
    channelId: large.channels['in-app'] ?? '',
    userId: 'ada',
  };
  const plans = async (counts: number) => {
    for (let i = 0; i < counts; i++) await countFeed(db, small, [everything], { nowMs });
    return await plansOfCounts(db);
  };
  // The first five are planned for their values whatever they are.
  expect(await plans(20)).toEqual({ generic: 15, own: 5 });
  for (let user = 0; user < 20; user++) {
    await large.insert(items(`user-${user}`, 500, nowMs));
  }
  await db.query('analyze message');
  expect((await plans(200))?.own).toBeLessThan(100);
});

test('what watchers ask never has a plan of its own, and a large feed settles with plans for any values', async () => {
  const db = openDatabase({
    ...{ url: database.url, max: 1, applicationName: 'test', log: silentLog },
    plansForAnyValues: true,
  });
  onTestFinished(() => db.close());
  const nowMs = Date.now();
  await world.insert(items('gus', 600, nowMs));
  const expected = await truth('gus', nowMs);
  for (let i = 0; i < 20; i++) expect(await counted('gus', nowMs, filters, db)).toEqual(expected);
  expect(await settledItems('gus')).toBe(500);
  expect(await plansOfCounts(db)).toEqual({ generic: 20, own: 0 });
});
