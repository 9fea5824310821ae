import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EnvironmentContext } from '../../src/context.ts';
import type { Json, JsonObject } from '../../src/lib/json.ts';
import { forgetOperations, getOperation } from '../../src/operations/get-operation.ts';
import type { ItemOperation } from '../../src/operations/kinds.ts';
import { newOperation, OPEN_OPERATIONS } from '../../src/operations/new-operation.ts';
import { operationAnswer } from '../../src/operations/operation.ts';
import { identify } from '../../src/recipients/identify.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createMessageWorld } from '../support/messages.ts';
import { createOperations, type Operations } from '../support/operations.ts';

let database: TestDatabase;
let ctx: EnvironmentContext;
let other: EnvironmentContext;
let operations: Operations;

beforeAll(async () => {
  database = await createTestDatabase({ max: 8 });
  const world = await createMessageWorld(database.db);
  ctx = world.development;
  other = world.production;
  operations = await createOperations(database.url);
});
afterAll(async () => {
  await operations.close();
  await database.drop();
});
afterEach(() => operations.settle());

const COLLECTIONS = { users: '$users', tenants: '$tenants' } as const;

/** Begins an operation; nothing is done before it gets its turns. */
async function begin(
  name: ItemOperation,
  items: readonly Json[],
  { input, by = ctx }: { readonly input?: JsonObject; readonly by?: EnvironmentContext } = {},
): Promise<string> {
  const collection = name.startsWith('tenants') ? COLLECTIONS.tenants : COLLECTIONS.users;
  const asked = newOperation(by, { name, items, input: { collection, ...input } });
  await operations.operate(asked);
  return asked.operation.id;
}

const state = async (id: string, by = ctx) => {
  const { operation, errors } = await getOperation(by, { id });
  return operationAnswer(operation, errors);
};

const properties = async (collection: string, prefix: string) => {
  const rows = await database.db.query<{ id: string; properties: JsonObject }>(
    `select id, properties
     from recipient
     where environment_id = $1 and collection = $2 and starts_with(id, $3)
     order by id`,
    [ctx.environment.id, collection, prefix],
  );
  return new Map(rows.map((row) => [row.id, row.properties]));
};

const usersNamed = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `${prefix}${i}`, name: `${prefix} ${i}` }));

async function turnOnce(): Promise<void> {
  const ref = operations.waiting.shift();
  if (!ref) throw new Error('no turn waits');
  await operations.turn(ref);
}

test('an operation is queued, then processing as its items are done, then completed, with the times of each', async () => {
  const id = await begin('users.identify', usersNamed('seq-', 250));
  expect(await state(id)).toMatchObject({
    __typename: 'BulkOperation',
    name: 'users.identify',
    status: 'queued',
    ...{ estimated_total_rows: 250, processed_rows: 0, success_count: 0, error_count: 0 },
    ...{ started_at: null, completed_at: null, failed_at: null, error_items: [] },
    progress_path: `/v1/bulk_operations/${id}`,
  });
  await turnOnce();
  expect(await state(id)).toMatchObject({
    status: 'processing',
    ...{ processed_rows: 100, success_count: 100, completed_at: null },
    started_at: expect.any(String),
  });
  await operations.settle();
  expect(await state(id)).toMatchObject({
    status: 'completed',
    ...{ processed_rows: 250, success_count: 250, completed_at: expect.any(String) },
  });
  const found = await properties('$users', 'seq-');
  expect(found.size).toBe(250);
  expect(found.get('seq-249')).toEqual({ name: 'seq- 249' });
});

test('what is wrong with an item is said of it, and keeps none of the others', async () => {
  const items: JsonObject[] = usersNamed('part-', 100);
  items[30] = { id: 'part-30', note: 'x'.repeat(300_000) };
  items[31] = { id: 'part-31', preferences: { default: { workflows: 5 } } };
  items[99] = { id: 'part-99', channel_data: { nowhere: {} } };
  const id = await begin('users.identify', items);
  await operations.settle();
  expect(await state(id)).toMatchObject({
    status: 'completed',
    ...{ processed_rows: 100, success_count: 97, error_count: 3 },
    error_items: [{ id: 'part-30' }, { id: 'part-31' }, { id: 'part-99' }],
  });
  expect((await properties('$users', 'part-')).size).toBe(97);
});

test('what the database refuses of an item is an error of that item', async () => {
  const items = [{ id: 'ok-1' }, { id: 'ok-2', broken: 'half a pair: \ud800' }, { id: 'ok-3' }];
  const id = await begin('users.identify', items);
  await operations.settle();
  expect(await state(id)).toMatchObject({ success_count: 2, error_items: [{ id: 'ok-2' }] });
  expect([...(await properties('$users', 'ok-')).keys()]).toEqual(['ok-1', 'ok-3']);
});

test('refused objects are named with their collection', async () => {
  const input = { collection: 'projects' };
  const items = [{ id: 'good' }, { id: 'bad', preferences: 'none' }];
  const id = await begin('objects.set', items, { input });
  await operations.settle();
  expect(await state(id)).toMatchObject({ error_items: [{ id: 'bad', collection: 'projects' }] });
});

test('an id that is there twice is treated twice, in order', async () => {
  const twice = (key: string, n: number): JsonObject => ({ id: 'twice', [key]: n, last: n });
  const items = [twice('a', 1), ...usersNamed('between-', 150), twice('b', 2)];
  const id = await begin('users.identify', items);
  await operations.settle();
  expect(await state(id)).toMatchObject({ success_count: 152 });
  expect((await properties('$users', 'twice')).get('twice')).toEqual({ a: 1, b: 2, last: 2 });
});

test('a user that is deleted and then identified in later operations is there, with the new properties only', async () => {
  await identify(ctx, { collection: '$users', id: 'phoenix', properties: { old: true } });
  await begin('users.delete', ['phoenix']);
  await begin('users.identify', [{ id: 'phoenix', young: true }]);
  await operations.settle();
  expect((await properties('$users', 'phoenix')).get('phoenix')).toEqual({ young: true });
});

test('a preference set of many users is replaced, never merged', async () => {
  const first = { workflows: { a: false }, categories: { x: false } };
  const set = (preferences: JsonObject) =>
    begin('users.preferences', ['pref-1', 'pref-2', 'pref-1'], {
      input: { set_id: 'default', preferences },
    });
  await set(first);
  const id = await set({ workflows: { b: true } });
  await operations.settle();
  expect(await state(id)).toMatchObject({ status: 'completed', success_count: 3 });
  const rows = await database.db.query(
    `select recipient_id, preferences from preference_set where starts_with(recipient_id, 'pref-') order by 1`,
  );
  const preferences = { workflows: { b: true } };
  expect(rows).toEqual([
    { recipient_id: 'pref-1', preferences },
    { recipient_id: 'pref-2', preferences },
  ]);
});

test('tenants are set by id or with properties; a set that replaces does so for its tenant alone', async () => {
  const withSet = (id: string, workflows: JsonObject, more: JsonObject = {}) => ({
    id,
    settings: { preference_set: { workflows, ...more } },
  });
  await begin('tenants.set', [withSet('t-1', { a: true }), withSet('t-2', { a: true }), 't-3']);
  const replace = { __persistence_strategy__: 'replace' };
  await begin('tenants.set', [
    withSet('t-1', { c: true }),
    withSet('t-1', { b: true }, replace),
    withSet('t-2', { b: true }),
  ]);
  await operations.settle();
  const found = await properties('$tenants', 't-');
  const workflowsOf = (id: string) =>
    JSON.parse(JSON.stringify(found.get(id)))?.settings?.preference_set?.workflows;
  expect(workflowsOf('t-1')).toEqual({ b: true });
  expect(workflowsOf('t-2')).toEqual({ a: true, b: true });
  expect(found.get('t-3')).toEqual({});
});

test('an empty list is completed at its first turn', async () => {
  const id = await begin('users.delete', []);
  await operations.settle();
  expect(await state(id)).toMatchObject({ status: 'completed', processed_rows: 0 });
});

describe('a turn that is repeated', () => {
  test('after its commit and before its receipt goes on where it was, and no item counts twice', async () => {
    const id = await begin('users.identify', usersNamed('again-', 250));
    const [ref] = operations.waiting;
    if (!ref) throw new Error('no turn waits');
    const stream = await operations.openStream();
    const { query } = stream.session;
    const dies = {
      ...stream,
      session: {
        ...stream.session,
        query: async <Row>(...[statement, values]: Parameters<typeof query>): Promise<Row[]> => {
          if (JSON.stringify(statement).includes('write_operation')) throw new Error('killed');
          return query<Row>(statement, values);
        },
      },
    };
    await expect(operations.turn(ref, { stream: dies })).rejects.toThrow('killed');
    expect(await state(id)).toMatchObject({ processed_rows: 100 });
    await operations.settle();
    expect(await state(id)).toMatchObject({ status: 'completed', success_count: 250 });
  });

  test('by two executors at once has one successor and does each item once', async () => {
    await database.db.query(
      `create table written (id text not null);
       create function note() returns trigger language plpgsql as
         $$ begin insert into written values (new.recipient_id); return new; end $$;
       create trigger note after insert or update on preference_set
         for each row when (starts_with(new.recipient_id, 'race-')) execute function note()`,
    );
    const items = usersNamed('race-', 300).map((user) => user.id);
    const input = { set_id: 'default', preferences: { workflows: { a: true } } };
    const id = await begin('users.preferences', items, { input });
    const [ref] = operations.waiting.splice(0);
    if (!ref) throw new Error('no turn waits');
    const streams = [await operations.openStream(), await operations.openStream()];
    await Promise.all(streams.map((stream) => operations.turn(ref, { stream })));
    expect(operations.waiting).toHaveLength(1);
    await operations.settle();
    expect(await state(id)).toMatchObject({ processed_rows: 300, success_count: 300 });
    const written = await database.db.query<{ id: string }>('select id from written');
    expect(written.map((row) => row.id).sort()).toEqual([...items].sort());
  });

  test('after the operation is over changes nothing', async () => {
    const id = await begin('users.delete', ['gone']);
    const [ref] = operations.waiting;
    if (!ref) throw new Error('no turn waits');
    await operations.settle();
    const before = await state(id);
    await identify(ctx, { collection: '$users', id: 'gone', properties: { back: true } });
    await operations.turn(ref);
    expect(await state(id)).toEqual(before);
    expect(operations.waiting).toEqual([]);
    expect((await properties('$users', 'gone')).get('gone')).toEqual({ back: true });
  });

  test('and kills its executor again is given up: the operation is failed, what is done stays', async () => {
    const id = await begin('users.identify', usersNamed('poison-', 150));
    await turnOnce();
    const [ref] = operations.waiting.splice(0);
    if (!ref) throw new Error('no turn waits');
    await operations.turn(ref, { skip: [0] });
    expect(await state(id)).toMatchObject({
      status: 'failed',
      ...{ processed_rows: 100, completed_at: null, failed_at: expect.any(String) },
    });
    expect(operations.waiting).toEqual([]);
    expect((await properties('$users', 'poison-')).size).toBe(100);
  });
});

test('operations of a name that this version does not know are failed, not tried for ever', async () => {
  const asked = newOperation(ctx, { name: 'users.teleport', items: ['a'] });
  await operations.operate(asked);
  await operations.settle();
  expect(await state(asked.operation.id)).toMatchObject({ status: 'failed', processed_rows: 0 });
});

test('an environment sees its own operations only', async () => {
  const id = await begin('users.delete', ['a']);
  await expect(state(id, other)).rejects.toMatchObject({ code: 'resource_missing' });
  await expect(state('not-an-id')).rejects.toMatchObject({ code: 'resource_missing' });
});

test('an environment has at most 100 operations that are not over; others are not touched by that', async () => {
  await Promise.all(Array.from({ length: OPEN_OPERATIONS }, () => begin('users.delete', ['a'])));
  await expect(begin('users.delete', ['a'])).rejects.toMatchObject({ code: 'rate_limited' });
  await begin('users.delete', ['a'], { by: other });
  await operations.settle();
  await begin('users.delete', ['a']);
});

test('what is over is forgotten after seven days, with its items and errors; what is not over never is', async () => {
  const over = await begin('users.identify', [{ id: 'f', preferences: 5 }]);
  await operations.settle();
  const open = await begin('users.delete', ['a']);
  const inDays = (days: number) => Date.now() + days * 86_400_000;
  await forgetOperations(database.db, inDays(6.9));
  expect(await state(over)).toMatchObject({ status: 'completed', error_count: 1 });
  await forgetOperations(database.db, inDays(7.1));
  await expect(state(over)).rejects.toMatchObject({ code: 'resource_missing' });
  expect(await state(open)).toMatchObject({ status: 'queued' });
  await operations.settle();
  const pages = await database.db.query('select from bulk_operation_page');
  expect(pages).toEqual([]);
  const errors = await database.db.query(
    'select from bulk_operation_error where operation_id = $1',
    [over],
  );
  expect(errors).toEqual([]);
});
