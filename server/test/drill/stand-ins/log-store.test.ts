import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { NO_FAULTS } from '../../../src/drill/stand-ins/faults.ts';
import { type LogStoreStandIn, startLogStore } from '../../../src/drill/stand-ins/log-store.ts';

const access = { user: 'belfry', password: 'secret', database: 'logs' };

let store: LogStoreStandIn;
const clients: ClickHouseClient[] = [];

beforeAll(async () => {
  store = await startLogStore({
    ...access,
    version: '25.8.1.1',
    nowMs: Date.now,
    random: () => 0.5,
  });
});

afterEach(() => store.setFaults(NO_FAULTS));

afterAll(async () => {
  for (const client of clients) await client.close();
  await store.close();
});

function clientOf(changes: Partial<typeof access> = {}, gzip = false): ClickHouseClient {
  const { user, password, database } = { ...access, ...changes };
  const client = createClient({
    url: store.url,
    ...{ username: user, password, database },
    compression: { request: gzip, response: gzip },
    log: { level: ClickHouseLogLevel.OFF },
  });
  clients.push(client);
  return client;
}

async function createTable(): Promise<string> {
  const table = `t_${randomUUID().replaceAll('-', '')}`;
  const query = `create table if not exists ${table} (id UUID, at DateTime64(3)) engine = MergeTree order by id`;
  await clientOf().command({ query });
  return table;
}

const rowsOf = (ids: readonly string[]) => ids.map((id) => ({ at: '2026-01-01 00:00:00', id }));
const newIds = (count: number) => Array.from({ length: count }, () => randomUUID());

async function insert(table: string, ids: readonly string[], token?: string): Promise<void> {
  await clientOf({}, true).insert({
    table,
    values: rowsOf(ids),
    format: 'JSONEachRow',
    ...(token && { clickhouse_settings: { insert_deduplication_token: token } }),
  });
}

test('it answers a ping, its version and one', async () => {
  expect(await clientOf().ping()).toEqual({ success: true });
  expect(await clientOf().ping({ select: true })).toEqual({ success: true });
  const version = await clientOf().query({
    query: 'select version() as v',
    format: 'JSONEachRow',
  });
  expect(await version.json()).toMatchObject([{ v: '25.8.1.1' }]);
});

test('a wrong password, user or database is answered with the error of ClickHouse', async () => {
  const failure = (changes: Partial<typeof access>) =>
    clientOf(changes)
      .command({ query: 'select 1' })
      .then(
        () => undefined,
        (error: unknown) => error,
      );
  expect(await failure({ password: 'x' })).toMatchObject({ type: 'AUTHENTICATION_FAILED' });
  expect(await failure({ user: 'x' })).toMatchObject({ code: '516' });
  expect(await failure({ database: 'x' })).toMatchObject({ type: 'UNKNOWN_DATABASE' });
  await expect(insert('nowhere', newIds(1))).rejects.toMatchObject({ type: 'UNKNOWN_TABLE' });
});

test('rows that come are counted by their ids, and none is missing', async () => {
  const table = await createTable();
  const ids = newIds(20_000);
  await insert(table, ids.slice(0, 12_000));
  expect(store.missing(table, ids)).toBe(8_000);
  await insert(table, ids.slice(10_000));
  expect(store.missing(table, ids)).toBe(0);
  expect(store.tables()[table]).toMatchObject({ rows: 22_000, distinct: 20_000, inserts: 2 });
});

test('rows without names of columns are read too, and a table says which of some ids it has', async () => {
  const table = await createTable();
  const [first = '', second = '', third = ''] = newIds(3);
  const client = clientOf();
  const at = '2026-01-01 00:00:00';
  const insertLine = (columns: [string, string], values: readonly string[]) =>
    client.insert({
      ...{ table, columns, format: 'TabSeparated' },
      values: Readable.from([`${values.join('\t')}\n`], { objectMode: false }),
    });
  await insertLine(['id', 'at'], [first, at]);
  await insertLine(['at', 'id'], [at, second]);
  const found = await client.query({
    query: `select id from ${table} where id in {ids:Array(UUID)}`,
    query_params: { ids: [second, third, first] },
    format: 'JSONEachRow',
  });
  expect(await found.json()).toEqual([{ id: second }, { id: first }]);
});

test('a batch with a token that was there is not inserted again', async () => {
  const table = await createTable();
  const ids = newIds(10);
  await insert(table, ids, 'batch-1');
  await insert(table, ids, 'batch-1');
  expect(store.tables()[table]).toEqual({
    ...{ rows: 10, distinct: 10, inserts: 1, repeatedInserts: 1 },
  });
});

test('an insert whose answer is lost has happened, and one that is cut has not', async () => {
  const table = await createTable();
  const ids = newIds(4);
  store.setFaults({ kind: 'reset_answer', share: 1 });
  await expect(insert(table, ids.slice(0, 2))).rejects.toThrow();
  store.setFaults({ kind: 'reset' });
  await expect(insert(table, ids.slice(2))).rejects.toThrow();
  expect(store.tables()[table]).toMatchObject({ rows: 2 });
});

test('too many queries and a full memory are errors of ClickHouse', async () => {
  const table = await createTable();
  store.setFaults({ kind: 'slow_down', share: 1 });
  await expect(insert(table, newIds(1))).rejects.toMatchObject({ code: '202' });
  store.setFaults({ kind: 'internal_error' });
  await expect(insert(table, newIds(1))).rejects.toMatchObject({ code: '241' });
});

test('a small table is read back as it was written', async () => {
  const table = await createTable();
  const [id = ''] = newIds(1);
  await insert(table, [id]);
  const found = await clientOf().query({ query: `select * from ${table}`, format: 'JSON' });
  expect((await found.json()).data).toEqual(rowsOf([id]));
});

test('a query that it does not know is an error and no empty answer', async () => {
  const query = clientOf().query({ query: 'select count() from system.parts' });
  await expect(query).rejects.toMatchObject({ type: 'SYNTAX_ERROR' });
});
