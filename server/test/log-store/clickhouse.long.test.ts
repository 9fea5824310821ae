import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { createClickHouseLogStore } from '../../src/log-store/clickhouse/clickhouse-log-store.ts';
import { createClickHouseSink } from '../../src/log-store/clickhouse/clickhouse-sink.ts';
import type { LogStore } from '../../src/log-store/log-store.ts';
import { type ClickHouseEngine, startClickHouseEngine } from '../support/clickhouse-engine.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { conformanceSuite } from './conformance.ts';
import { type Shipping, startShipping } from './shipping.ts';
import { writeEnvironment } from './written.ts';

let database: TestDatabase;
let engine: ClickHouseEngine;
let store: LogStore;
let shipping: Shipping;

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
  await shipping.settled();
}, 600_000);
afterAll(async () => {
  await shipping?.close();
  await store?.close();
  await engine?.stop();
  await database?.drop();
});

conformanceSuite(() => ({
  db: database.db,
  store,
  environment: () => writeEnvironment(database.db),
  settled: () => shipping.settled(),
}));
