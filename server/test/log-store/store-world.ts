import { randomUUID } from 'node:crypto';
import type { Database } from '../../src/db/database.ts';
import { type LogStoreStandIn, startLogStore } from '../../src/drill/stand-ins/log-store.ts';
import { createClickHouseSink } from '../../src/log-store/clickhouse/clickhouse-sink.ts';
import type { LogSink } from '../../src/log-store/log-store.ts';
import type { ShipperOptions } from '../../src/log-store/shipper/shipper.ts';
import { createTestDatabase } from '../support/database.ts';
import { type RecordedWire, startRecordedWire } from './recorded-wire.ts';
import { type Shipping, startShipping } from './shipping.ts';

export type StoreWorld = {
  readonly db: Database;
  readonly store: LogStoreStandIn;
  readonly wire: RecordedWire;
  readonly connect: () => Promise<LogSink>;
  readonly ship: (options?: Partial<ShipperOptions>) => Promise<Shipping>;
  readonly close: () => Promise<void>;
};

const PLACE = { user: 'belfry', password: 'of-tests', database: 'logs', version: '26.7' };

/** A database of its own and a stand-in for a log store; shippers that were started end with it. */
export async function createStoreWorld(): Promise<StoreWorld> {
  const database = await createTestDatabase();
  const store = await startLogStore({ ...PLACE, nowMs: Date.now, random: Math.random });
  const { port } = new URL(store.url);
  const wire = await startRecordedWire(
    `http://${PLACE.user}:${PLACE.password}@127.0.0.1:${port}/${PLACE.database}`,
  );
  const connect = () =>
    createClickHouseSink({
      url: wire.url,
      retention: { logs: 90, apiLogs: 30 },
      randomId: randomUUID,
      requestMs: 500,
    });
  const started: Shipping[] = [];
  return {
    db: database.db,
    store,
    wire,
    connect,
    ship: async (options = {}) => {
      const shipping = startShipping(database.db, options.sink ?? (await connect()), options);
      started.push(shipping);
      return shipping;
    },
    close: async () => {
      for (const shipping of started) await shipping.close();
      await wire.close();
      await store.close();
      await database.drop();
    },
  };
}
