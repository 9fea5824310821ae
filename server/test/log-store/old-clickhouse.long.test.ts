import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ClickHouse, connectClickHouse } from '../../src/log-store/clickhouse/connect.ts';
import type { LogSink } from '../../src/log-store/log-store.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type OldClickHouse, startOldClickHouse } from '../support/old-clickhouse.ts';
import { startShipping } from './shipping.ts';
import { write } from './written.ts';

let database: TestDatabase;
let server: OldClickHouse;
let clickHouse: ClickHouse;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => {
  await clickHouse?.close();
  await server?.close();
  await database?.drop();
}, 60_000);

/** Ids only: what the server of 2018 can hold. A batch that came twice is merged by its key. */
const sink: LogSink = {
  migrate: async () => {
    await clickHouse.command(
      `create table if not exists shipped (day Date default today(), id String)
       engine = ReplacingMergeTree(day, id, 8192)`,
    );
    return '7d5b4b5e-9d44-4b8f-9a9a-3a6f0d0a4c11';
  },
  insert: async ({ source, lines }) => {
    if (source !== 'message_event') return;
    const ids = lines.toString().match(/^\d+\t[^\t]+/gm) ?? [];
    const text = ids.map((found) => `${found.split('\t')[1]}\n`).join('');
    await clickHouse.insert('insert into shipped (id) format TabSeparated', text, {});
  },
  eventsAmong: async (ids) => {
    const rows = await clickHouse.rows<{ id: string }>(
      `select id from shipped where id in (${ids.map((id) => `'${id}'`).join(', ')})`,
    );
    return rows.map(({ id }) => id);
  },
  isWithoutTables: () => false,
  refusalCode: () => undefined,
  forget: async () => undefined,
  close: async () => undefined,
};

test('a server that is killed and started again while it is written to has every event', async () => {
  // Here and not before the test, which would count as skipped where the server cannot be had.
  server = await startOldClickHouse();
  clickHouse = await connectClickHouse(server.url, { requestMs: 2_000 });
  const shipping = startShipping(database.db, sink);
  await shipping.settled();
  const ids: string[] = [];
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 30; i++) ids.push(...(await write(database.db)).eventIds);
    shipping.wake();
    await server.kill();
    ids.push(...(await write(database.db)).eventIds);
    await server.start();
  }
  await shipping.settled();
  const [row] = await clickHouse.rows<{ n: string }>('select uniqExact(id) as n from shipped');
  expect(Number(row?.n)).toBe(ids.length);
  expect(shipping.stats().failures).toBeGreaterThan(0);
  await shipping.close();
}, 600_000);
