import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { createClickHouseLogStore } from '../../src/log-store/clickhouse/clickhouse-log-store.ts';
import { createClickHouseSink } from '../../src/log-store/clickhouse/clickhouse-sink.ts';
import { type ClickHouse, connectClickHouse } from '../../src/log-store/clickhouse/connect.ts';
import { createLogSearch } from '../../src/log-store/log-search.ts';
import type { LogStore } from '../../src/log-store/log-store.ts';
import { type ClickHouseEngine, startClickHouseEngine } from '../support/clickhouse-engine.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { conformanceSuite } from './conformance.ts';
import { type Shipping, startShipping } from './shipping.ts';
import { line, ODD_PATH, type Written, write, writeApiLog, writeEnvironment } from './written.ts';

let database: TestDatabase;
let engine: ClickHouseEngine;
let store: LogStore;
let shipping: Shipping;
let clickHouse: ClickHouse;

const retention = { logs: 90, apiLogs: 30 };

beforeAll(async () => {
  database = await createTestDatabase();
  engine = await startClickHouseEngine();
  const sink = await createClickHouseSink({
    url: engine.url,
    retention,
    randomId: randomUUID,
  });
  shipping = startShipping(database.db, sink);
  store = await createClickHouseLogStore(engine.url);
  clickHouse = await connectClickHouse(engine.url);
  await shipping.settled();
}, 600_000);
afterAll(async () => {
  await shipping?.close();
  await store?.close();
  await clickHouse?.close();
  await engine?.stop();
  await database?.drop();
});

conformanceSuite(() => ({
  db: database.db,
  store,
  environment: () => writeEnvironment(database.db),
  settled: () => shipping.settled(),
}));

const HOUR_MS = 3_600_000;

async function count(query: string): Promise<number> {
  const [row] = await clickHouse.rows<{ n: number }>(`select count() as n from ${query}`);
  return Number(row?.n);
}

const eventsOf = (environmentId: number) =>
  store
    .searchEvents(
      { environmentId, fromMs: Date.now() - HOUR_MS, untilMs: Date.now() + HOUR_MS },
      { size: 50 },
    )
    .then(({ events }) => events);

test('runs, their later executions, deliveries and API logs are there with what they say', async () => {
  const environment = await writeEnvironment(database.db);
  const one = await write(database.db, { environmentId: environment, tenant: 'acme' });
  const log = await writeApiLog(database.db, environment);
  await shipping.settled();
  const rows = (query: string) => clickHouse.rows<Record<string, unknown>>(query);
  const of = `where environment_id = ${environment}`;
  expect(
    await rows(
      `select toString(id) as run, segment, status, steps, tenant from run final ${of} order by segment`,
    ),
  ).toEqual([
    {
      run: one.runId,
      segment: 0,
      status: 'completed',
      steps: '[{"step_ref":"mail"}]',
      tenant: 'acme',
    },
    { run: one.runId, segment: 1, status: 'completed', steps: '[]', tenant: 'acme' },
  ]);
  expect(
    await rows(
      `select toString(message_id) as message, attempt, status, provider, detail from delivery final ${of}`,
    ),
  ).toEqual([
    {
      ...{ message: one.messageId, attempt: 1, status: 'sent', provider: 'smtp' },
      detail: '{"response":"250 OK \\"quoted\\""}',
    },
  ]);
  expect(
    await rows(
      `select toString(id) as id, path, status, request, response from api_log final ${of}`,
    ),
  ).toEqual([{ id: log, path: ODD_PATH, status: 200, request: '{"a":"\\n"}', response: null }]);
});

test('what is sent twice under one token counts once, and under two it does once rows are merged', async () => {
  const sink = await createClickHouseSink({ url: engine.url, retention, randomId: randomUUID });
  const id = '01a1ff65-89c1-7a2b-8c3d-0123456789ab';
  const values = [990_001, id, 1, 'GET', '/', '/', 200, 1, null, null];
  const batch = { source: 'api_log', lines: line(values), rows: 1 } as const;
  await sink.insert(batch, 'one');
  await sink.insert(batch, 'one');
  expect(await count('api_log where environment_id = 990001')).toBe(1);
  await sink.insert(batch, 'another');
  expect(await count('api_log final where environment_id = 990001')).toBe(1);
  await sink.close();
});

test('an event that came twice is in a page once, and the page is full', async () => {
  const environment = await writeEnvironment(database.db);
  await write(database.db, { environmentId: environment, types: ['queued', 'sent', 'delivered'] });
  await shipping.settled();
  await clickHouse.command('system stop merges event');
  await clickHouse.command(
    `insert into event select * from event where environment_id = ${environment}`,
    { insert_deduplicate: 0 },
  );
  const filter = {
    environmentId: environment,
    fromMs: Date.now() - HOUR_MS,
    untilMs: Date.now() + HOUR_MS,
  };
  const { events, pageInfo } = await store.searchEvents(filter, { size: 2 });
  expect(events.map(({ type }) => type)).toEqual(['delivered', 'sent']);
  expect(pageInfo.after).not.toBeNull();
  const counts = await store.countsPerHour(filter);
  expect(counts.map((row) => row.count)).toEqual([1, 1, 1]);
  await clickHouse.command('system start merges event');
});

test('an engine that is killed again and again while it is written to has everything once', async () => {
  const environment = await writeEnvironment(database.db);
  const written: Written[] = [];
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 20; i++)
      written.push(await write(database.db, { environmentId: environment }));
    shipping.wake();
    await engine.kill();
    written.push(await write(database.db, { environmentId: environment }));
    await engine.restart();
  }
  await shipping.settled();
  expect(await count(`event where environment_id = ${environment}`)).toBe(2 * written.length);
  expect(await count(`run final where environment_id = ${environment}`)).toBe(2 * written.length);
});

test('what a merge moved is found under the user that it went to, and nowhere else', async () => {
  const { db } = database;
  const environment = await writeEnvironment(db);
  const one = await write(db, { environmentId: environment, recipient: 'old' });
  await shipping.settled();
  await db.query(
    `with moved as (
       update message
       set recipient_id = 'new'
       where id = $1
     ), runs as (
       update recipient_run
       set recipient_id = 'new'
       where id = $2
     )
     insert into deletion (environment_id, collection, recipient_id, deleted_at, merged_into)
     values ($3, '$users', 'old', $4, 'new')`,
    [one.messageId, one.runId, environment, new Date(Date.now() + 1_000)],
  );
  await shipping.settled();
  const events = await eventsOf(environment);
  expect(events.map(({ recipientId, id }) => [recipientId, id])).toEqual(
    [...one.eventIds].reverse().map((id) => ['new', id]),
  );
  expect(
    await count(`run final where environment_id = ${environment} and recipient_id = 'new'`),
  ).toBe(2);
  for (const table of ['event', 'run', 'delivery']) {
    expect(
      await count(`${table} where environment_id = ${environment} and recipient_id = 'old'`),
    ).toBe(0);
  }
});

test('days that are over their retention go, and a changed one counts from the next start', async () => {
  const environment = await writeEnvironment(database.db);
  const sink = await createClickHouseSink({
    ...{ url: engine.url, randomId: randomUUID },
    retention: { logs: 7, apiLogs: undefined },
  });
  const id = (ms: number) =>
    `${ms
      .toString(16)
      .padStart(12, '0')
      .replace(/^(.{8})/, '$1-')}-7a2b-8c3d-0123456789ab`;
  const old = Date.now() - 20 * 24 * HOUR_MS;
  const values = (at: string) => [environment, at, 1, 'GET', '/', '/', 200, 1, null, null];
  await write(database.db, { environmentId: environment });
  await shipping.settled();
  await sink.migrate();
  const [table] = await clickHouse.rows<{ sql: string }>(
    "select create_table_query as sql from system.tables where name = 'event'",
  );
  expect(table?.sql).toContain('TTL toDateTime(at) + toIntervalDay(7)');
  await sink.insert({ source: 'api_log', lines: line(values(id(old))), rows: 1 }, 'an old one');
  const keeping = await createClickHouseSink({ url: engine.url, retention, randomId: randomUUID });
  const short = await createClickHouseSink({
    ...{ url: engine.url, randomId: randomUUID },
    retention: { logs: 90, apiLogs: 7 },
  });
  await short.migrate();
  await clickHouse.command('optimize table api_log final');
  expect(await count(`api_log where environment_id = ${environment}`)).toBe(0);
  expect(await count(`event where environment_id = ${environment}`)).toBe(2);
  // As if it had ended before it noted that there is no age any more.
  await clickHouse.command('alter table api_log remove ttl');
  const forEver = await createClickHouseSink({
    ...{ url: engine.url, randomId: randomUUID },
    retention: { logs: undefined, apiLogs: undefined },
  });
  await forEver.migrate();
  const [kept] = await clickHouse.rows<{ sql: string }>(
    "select create_table_query as sql from system.tables where name = 'event'",
  );
  expect(kept?.sql).not.toContain('TTL');
  await keeping.migrate();
  for (const one of [sink, short, keeping, forEver]) await one.close();
});

test('a store that is behind answers with what it has, and says since when', async () => {
  const { db } = database;
  const environment = await writeEnvironment(db);
  await write(db, { environmentId: environment });
  await shipping.settled();
  const [store] = await db.query<{ store: string }>('select store from log_shipper');
  const clock = { now: () => systemClock.now() + 60_000 };
  const search = createLogSearch({ url: engine.url, clock, log: silentLog });
  const ask = () =>
    search.searchEvents(
      db,
      { environmentId: environment, fromMs: Date.now() - HOUR_MS, untilMs: Date.now() + HOUR_MS },
      { size: 50 },
    );
  const answered = await ask();
  expect(answered).toMatchObject({ source: 'log_store', lagging: true });
  expect(answered.answer.events).toHaveLength(2);
  expect(answered.dataAsOfMs).toBeLessThan(clock.now() - 30_000);
  // Somebody puts another in its place: what that has nobody knows, until the shipper looks.
  await db.query('update log_shipper set store = $1', [randomUUID()]);
  const other = await ask();
  expect(other).toMatchObject({ source: 'live', lagging: false });
  expect(other.answer.events).toHaveLength(2);
  await db.query('update log_shipper set store = $1', [store?.store]);
  await search.close();
});

test('a row that the store cannot read is left out, and everything around it arrives', async () => {
  const environment = await writeEnvironment(database.db);
  const before = await write(database.db, { environmentId: environment });
  await database.db.transaction(async (tx) => {
    const broken = await writeApiLog(tx, environment);
    // A smallint that is no status.
    await tx.query('update api_log set status = -1 where id = $1', [broken]);
  });
  const after = await writeApiLog(database.db, environment);
  await shipping.settled();
  expect(await eventsOf(environment)).toHaveLength(before.eventIds.length);
  const rows = await clickHouse.rows<{ id: string }>(
    `select toString(id) as id from api_log where environment_id = ${environment}`,
  );
  expect(rows).toEqual([{ id: after }]);
  expect(shipping.stats().refusedRows).toBe(1);
});
