import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { DatabasePool } from '../db/database.ts';
import type { Part, PartContext } from '../lib/carrier-part.ts';
import { createClickHouseSink } from './clickhouse/clickhouse-sink.ts';
import type { LogStoreConfig } from './config.ts';
import { type ShipperStats, startShipper as start } from './shipper/shipper.ts';

const CLOSE_MS = 4_000;

/** What the shipper says of itself; see `ShipperStats`. */
export type ShipperState = ShipperStats;

/** Ships to the configured store, as a part of the carrier. */
export async function startShipper(
  ctx: PartContext<DatabasePool>,
  config: LogStoreConfig,
): Promise<Part<ShipperState>> {
  const { url, retention, backlogBytes } = config;
  const sink = await createClickHouseSink({ url, retention, randomId: randomUUID });
  const { db, clock, log, random, processorsAreBusy } = ctx;
  const shipper = start({ db, sink, clock, log, random, processorsAreBusy, backlogBytes });
  return {
    state: shipper.stats,
    // A request that hangs is repeated by the next one.
    close: () => Promise.race([shipper.close(), wait(CLOSE_MS, undefined, { ref: false })]),
  };
}
