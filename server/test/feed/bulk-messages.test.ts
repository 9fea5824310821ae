import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Queryable } from '../../src/db/database.ts';
import {
  type BulkChange,
  changeNextMessages,
  FIRST_MESSAGES,
  readBulkFilter,
} from '../../src/feed/bulk-message-status.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';
import { changeMessages, createOperations, type Operations } from '../support/operations.ts';

const MESSAGES = 12_000;
const USERS = 1_200;

let database: TestDatabase;
let world: MessageWorld;
let operations: Operations;

// Ten messages for each of many users, and as many in another environment between them.
beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
  operations = await createOperations(database.url);
  await world.insert([{ userId: 'template' }]);
  await world.insert([{ userId: 'template' }], world.production.environment);
  await database.db.query(
    `insert into message
     select (jsonb_populate_record(m, jsonb_build_object(
       'id', overlay(lowest.id placing lpad(to_hex(n * 2 + m.environment_id % 2), 12, '0') from 25),
       'recipient_id', 'user-' || n % ${USERS}
     ))).*
     from message m, (select min(id::text) as id from message) as lowest, generate_series(1, ${MESSAGES}) as n`,
  );
  await database.db.query('analyze');
});
afterAll(async () => {
  await operations.close();
  await database.drop();
});

const users = (count: number) => Array.from({ length: count }, (_, i) => `user-${i}`);
const channelId = () => world.channels['in-app'] ?? '';

async function changed(column: 'seen_at' | 'read_at' | 'archived_at'): Promise<unknown> {
  const rows = await database.db.query(
    `select environment_id, count(*)::int as n, count(distinct recipient_id)::int as users
     from message
     where ${column} is not null
     group by 1`,
  );
  return rows;
}

test('messages of several hundred named people are each changed once, in several turns', async () => {
  const operation = await changeMessages(world.development, operations, {
    ...{ channelId: channelId(), action: 'seen', scope: {} },
    body: { recipient_ids: [...users(300), 'nobody'] },
  });
  expect(operation).toMatchObject({ status: 'completed', success_count: 3_000 });
  const { id } = world.development.environment;
  expect(await changed('seen_at')).toEqual([{ environment_id: id, n: 3_000, users: 300 }]);
  const events = await database.db.query<{ n: number }>(
    `select count(*)::int as n from message_event e join message m on m.id = e.message_id where m.seen_at is not null`,
  );
  expect(events).toEqual([{ n: 3_000 }]);
});

test('everybody’s messages are all changed, whatever lies between them, and none of another environment', async () => {
  const operation = await changeMessages(world.development, operations, {
    ...{ channelId: channelId(), action: 'archive', scope: {}, body: {} },
  });
  const all = MESSAGES + 1;
  expect(operation).toMatchObject({ success_count: all, estimated_total_rows: all });
  const { id } = world.development.environment;
  expect(await changed('archived_at')).toEqual([{ environment_id: id, n: all, users: USERS + 1 }]);
});

test('whoever signed in reaches their own messages only, whomever they name', async () => {
  const by = async (recipient_ids: string[]) =>
    (
      await changeMessages(world.development, operations, {
        ...{ channelId: channelId(), action: 'read', body: { recipient_ids } },
        scope: { userId: 'user-5' },
      })
    ).success_count;
  expect(await by(['user-6'])).toBe(0);
  expect(await by(['user-6', 'user-5'])).toBe(10);
  const { id } = world.development.environment;
  expect(await changed('read_at')).toEqual([{ environment_id: id, n: 10, users: 1 }]);
});

test('a turn reads by indexes, however much there is of others', async () => {
  const plans: string[] = [];
  // As the sessions of executors do: one plan for whatever the values are.
  const explained = (queryable: Queryable): Queryable => ({
    query: async (statement, values) => {
      const text = typeof statement === 'string' ? statement : statement.text;
      const plan = `explain (generic_plan) ${text}`;
      const rows = await database.db.query<{ 'QUERY PLAN': string }>(plan);
      plans.push(...rows.map((row) => row['QUERY PLAN']));
      return queryable.query(statement, values);
    },
  });
  const { db } = world.development;
  const ctx = {
    ...world.development,
    db: {
      ...explained(db),
      transaction: <Result>(work: (tx: Queryable) => Promise<Result>) =>
        db.transaction((tx) => work(explained(tx))),
      close: db.close,
    },
  };
  const change = (body: object): BulkChange => ({
    channelId: channelId(),
    filter: readBulkFilter({ ...body }),
    status: 'interacted',
    until: new Date(Date.now() + 3_600_000),
  });
  const named = change({ recipient_ids: users(1_000), engagement_status: 'seen' });
  const first = await changeNextMessages(ctx, named, FIRST_MESSAGES);
  expect(first).toMatchObject({ changed: 500, isLast: false, cursor: { position: 50 } });
  const anybody = await changeNextMessages(ctx, change({}), FIRST_MESSAGES);
  expect(anybody).toMatchObject({ changed: 2_000, isLast: false });
  const scans = plans.filter((line) => / on (message|delivery)/.test(line));
  expect(scans.length).toBeGreaterThan(5);
  expect(scans.filter((line) => /Seq Scan .*cost=[\d.]+\.\.\d{3,}/.test(line))).toEqual([]);
});
