import type { DatabasePool } from '../../src/db/database.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { LogSink } from '../../src/log-store/log-store.ts';
import {
  type Shipper,
  type ShipperOptions,
  startShipper,
} from '../../src/log-store/shipper/shipper.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

export type Shipping = Shipper & {
  /** Resolves when everything that is committed now is in the sink, and every deletion that is over is passed on. */
  readonly settled: () => Promise<void>;
};

/** A shipper in this process. */
export function startShipping(
  db: DatabasePool,
  sink: LogSink,
  options: Partial<ShipperOptions> = {},
): Shipping {
  const shipper = startShipper({
    ...{ db, sink, clock: systemClock, log: silentLog, random: Math.random },
    ...{ backlogBytes: 2 ** 31, inDoubtMs: 0, firstRetryMs: 20, forgetEveryMs: 0 },
    ...options,
  });
  return {
    ...shipper,
    settled: async () => {
      const [now] = await db.query<{ at: Date }>('select clock_timestamp() as at');
      const isSettled = async () => {
        shipper.wake();
        const [left] = await db.query<{ left: boolean }>(
          `select shipped_at <= $1
             or exists (select from log_gap)
             or exists (select from log_aside)
             or forgotten < (select coalesce(max(id), 0) from deletion where due_at is null) as left
           from log_shipper`,
          [now?.at],
        );
        return left?.left === false ? true : undefined;
      };
      await waitFor('the shipper', isSettled).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${shipper.stats().trouble}`);
      });
    },
  };
}
