import { setTimeout as wait } from 'node:timers/promises';
import { lowestUuidAt } from '../lib/address.ts';
import { type Database, isDeadlock, type Queryable, sqlState } from './database.ts';

type Period = 'month' | 'day';

type Partition = {
  readonly parent: string;
  readonly name: string;
  readonly from: string;
  readonly until: string;
};

/** Tables partitioned by the time in their ids, each with the length of a partition. */
const PERIODS: Readonly<Record<string, Period>> = {
  workflow_run: 'month',
  batch_activity: 'month',
  message: 'month',
  delivery: 'month',
  body_object: 'month',
  recipient_run: 'day',
  recipient_run_segment: 'day',
  message_event: 'day',
  quarantine_event: 'month',
  api_log: 'day',
};

/** Which periods around now are kept ready, as offsets. */
const AROUND: Readonly<Record<Period, readonly number[]>> = {
  month: [-1, 0, 1, 2],
  day: [-2, -1, 0, 1, 2, 3],
};

/** Held by whoever makes or drops partitions. */
export const PARTITIONS_LOCK = 4_400_002;
const ATTEMPTS = 20;
const RETRY_MS = 250;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Makes the partitions that ids from about `nowMs` fall into: for workflow_run, batch_activity, message, delivery, body_object and
 * quarantine_event the months (UTC) from the previous to the next but one, for recipient_run, recipient_run_segment,
 * message_event and api_log the days from two before to three after. One query when nothing is missing.
 * With another time than now it makes the partitions around that.
 *
 * @returns the names of the partitions that this call made.
 */
export async function ensurePartitions(db: Database, nowMs: number): Promise<readonly string[]> {
  const wanted = partitionsAround(nowMs);
  if ((await missingOf(db, wanted)).length === 0) return [];
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.transaction((tx) => createMissing(tx, wanted));
    } catch (error) {
      const busy = sqlState(error) === LOCK_NOT_AVAILABLE || isDeadlock(error);
      if (!busy || attempt === ATTEMPTS) throw error;
      await wait(RETRY_MS);
    }
  }
}

// A table is made by itself and attached when it is complete: attaching locks out neither readers
// nor writers of the parent, as `create table .. partition of` would. Who else holds the lock that it
// takes, a vacuum say, is not waited for, because others would queue behind us.
async function createMissing(
  tx: Queryable,
  wanted: readonly Partition[],
): Promise<readonly string[]> {
  await tx.query(`set local lock_timeout = '1s'`);
  await tx.query('select pg_advisory_xact_lock($1)', [PARTITIONS_LOCK]);
  const missing = await missingOf(tx, wanted);
  for (const { parent, name, from, until } of missing) {
    await tx.query(`create table ${name} (like ${parent} including all)`);
    await tx.query(
      `alter table ${parent} attach partition ${name} for values from ('${from}') to ('${until}')`,
    );
  }
  return missing.map((partition) => partition.name);
}

async function missingOf(db: Queryable, wanted: readonly Partition[]): Promise<Partition[]> {
  const rows = await db.query<{ name: string }>(
    `select name
     from unnest($1::text[]) as name
     where to_regclass(name) is null`,
    [wanted.map((partition) => partition.name)],
  );
  const names = new Set(rows.map((row) => row.name));
  return wanted.filter((partition) => names.has(partition.name));
}

/** Partitions of a table that begin at this time or later are made, and so must not be dropped. */
export function firstKept(parent: string, nowMs: number): number {
  const period = PERIODS[parent] ?? 'month';
  return startOf(period, nowMs, Math.min(...AROUND[period]));
}

function partitionsAround(nowMs: number): Partition[] {
  return Object.entries(PERIODS).flatMap(([parent, period]) =>
    AROUND[period].map((offset) => ({
      parent,
      name: `${parent}_${suffixOf(period, startOf(period, nowMs, offset))}`,
      from: lowestUuidAt(startOf(period, nowMs, offset)),
      until: lowestUuidAt(startOf(period, nowMs, offset + 1)),
    })),
  );
}

function startOf(period: Period, nowMs: number, offset: number): number {
  const now = new Date(nowMs);
  const [year, month, day] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()];
  return period === 'month'
    ? Date.UTC(year, month + offset, 1)
    : Date.UTC(year, month, day + offset);
}

function suffixOf(period: Period, startMs: number): string {
  const text = new Date(startMs).toISOString().slice(0, period === 'month' ? 7 : 10);
  return text.replaceAll('-', '_');
}
