import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database, Queryable } from '../../src/db/database.ts';
import { sweepDeletions } from '../../src/deletion/deletion-clock.ts';
import { deleteRecipient } from '../../src/recipients/delete-recipients.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createMessageWorld } from '../support/messages.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** What becomes of the rows of a recipient in each table that names one. */
const named: Readonly<Record<string, string>> = {
  audience_member: 'deleted with the request',
  bulk_operation_error: 'an id and no more, forgotten a week after the operation',
  cancellation:
    'an id and no more, forgotten after a year; whoever comes back with it is not concerned',
  channel_data: 'deleted with the request',
  deletion: 'the deletion itself, forgotten after a year',
  event_wait: 'deleted by a pass',
  fan_out_seen: 'an id and no more, forgotten when the fan-out is over',
  feed_count: 'deleted with messages of the feed',
  feed_settled: 'deleted with messages of the feed',
  guide_display: 'deleted with the request',
  guide_engagement: 'deleted with the request',
  message: 'deleted by a pass, with events, deliveries and short links',
  preference_set: 'deleted with the request',
  recipient: 'deleted with the request',
  recipient_run: 'emptied by a pass: the ledger counts the rows',
  schedule: 'deleted with the request, beyond 1,000 by a pass',
  subscription: 'deleted with the request, beyond 1,000 by a pass',
};

test('of every table that names a recipient it is known what a deletion does', async () => {
  const rows = await database.db.query<{ name: string }>(
    `select distinct c.relname as name
     from pg_attribute a
     join pg_class c on c.oid = a.attrelid
     join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'public'
       and c.relkind in ('r', 'p')
       and not c.relispartition
       and a.attname in ('recipient_id', 'user_id', 'collection')
       and not a.attisdropped
     union
     select 'recipient'
     order by 1`,
  );
  expect(rows.map(({ name }) => name)).toEqual(Object.keys(named).sort());
  const source = [
    ['recipients', 'delete-recipients.ts'],
    ['deletion', 'clear-messages.ts'],
    ['deletion', 'clear-runs.ts'],
    ['deletion', 'clear-rest.ts'],
    ['feed', 'settled-counts.ts'],
  ]
    .map((path) => readFileSync(new URL(`../../src/${path.join('/')}`, import.meta.url), 'utf8'))
    .join();
  const touched = Object.entries(named).filter(([, fate]) => /^(deleted|emptied)/.test(fate));
  for (const [name] of touched) {
    expect(source).toMatch(new RegExp(`(delete from|update|clear\\(\\s*)\\s*'?${name}\\b`));
  }
});

const MESSAGES = 10_000;
const SUBSCRIPTIONS = 5_000;

test('a pass finds what it deletes by indexes, however much there is of others', async () => {
  const { db } = database;
  const world = await createMessageWorld(db);
  const { id: environment } = world.development.environment;
  await world.insert([{ userId: 'ada' }]);
  await db.query(
    `insert into message
     select (jsonb_populate_record(m, jsonb_build_object(
       'id', overlay(m.id::text placing lpad(to_hex(n), 12, '0') from 25),
       'recipient_id', 'user-' || n % 5000
     ))).*
     from message m, generate_series(1, $1::int) as n`,
    [MESSAGES],
  );
  await db.query(
    `insert into message_event (id, message_id, environment_id, type, inserted_at)
     select id, id, environment_id, 1, inserted_at
     from message`,
  );
  await db.query(
    `insert into recipient_run
       (id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, executed_at)
     select id, environment_id, workflow_run_id, collection, recipient_id, 2, 0, '[]', inserted_at
     from message`,
  );
  await db.query(
    `insert into subscription (environment_id, object_collection, object_id, recipient_collection, recipient_id)
     select $1, 'topics', 'topic-' || n % 500, '$users', 'user-' || n % 5000
     from generate_series(1, $2::int) as n
     on conflict do nothing`,
    [environment, SUBSCRIPTIONS],
  );
  await db.query('analyze');
  await deleteRecipient(world.development, { collection: '$users', id: 'user-7' });
  await deleteRecipient(world.development, { collection: 'topics', id: 'topic-7' });
  const plans: string[] = [];
  const explained = (queryable: Queryable): Queryable => ({
    query: async (statement, values) => {
      const text = typeof statement === 'string' ? statement : statement.text;
      if (/^(select|with|update|delete)/.test(text)) {
        const rows = await queryable.query<{ 'QUERY PLAN': string }>(`explain ${text}`, values);
        plans.push(...rows.map((row) => row['QUERY PLAN']));
      }
      return queryable.query(statement, values);
    },
  });
  const watched: Database = {
    ...explained(db),
    transaction: (work) => db.transaction((tx) => work(explained(tx))),
    close: db.close,
  };
  expect(await sweepDeletions(watched, { now: () => Date.now() + 1_000 })).toBe(2);
  const scans = plans.filter((line) => / on (message|subscription|recipient_run)/.test(line));
  expect(scans.length).toBeGreaterThan(5);
  // Partitions that are empty may be read as a whole.
  const whole = scans.filter((line) => /Seq Scan .*cost=[\d.]+\.\.\d{2,}/.test(line));
  expect(whole).toEqual([]);
  const [left] = await db.query<{ messages: number; events: number; subscriptions: number }>(
    `select (select count(*)::int from message where recipient_id = 'user-7') as messages,
            (select count(*)::int from message_event) as events,
            (select count(*)::int from subscription where object_id = 'topic-7' or recipient_id = 'user-7') as subscriptions`,
  );
  expect(left).toEqual({ messages: 0, events: MESSAGES + 1 - 2, subscriptions: 0 });
}, 120_000);
