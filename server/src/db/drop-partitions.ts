import { setTimeout as wait } from 'node:timers/promises';
import { lowestUuidAt } from '../lib/address.ts';
import { faultPoint } from '../lib/fault-point.ts';
import { type Database, isDeadlock, type Queryable, sqlState } from './database.ts';
import { limitLocks } from './limit-locks.ts';
import { PARTITIONS_LOCK } from './partitions.ts';

/** A partition of a month (`message_2026_08`) or of a day (`message_event_2026_08_31`). */
export type OldPartition = { readonly name: string; readonly untilMs: number };

const LOCK_WAIT_MS = 100;
const ATTEMPTS = 20;
const RETRY_MS = 5_000;
const LOCK_NOT_AVAILABLE = '55P03';
const PAGE = 10_000;

/** The partitions of which everything is older than `beforeMs`, the oldest first. */
export async function oldPartitions(
  db: Queryable,
  parent: string,
  beforeMs: number,
): Promise<readonly OldPartition[]> {
  const rows = await db.query<{ name: string }>(
    `select c.relname as name
     from pg_inherits i
     join pg_class c on c.oid = i.inhrelid
     where i.inhparent = $1::regclass
     order by 1`,
    [parent],
  );
  return rows.flatMap(({ name }) => {
    const untilMs = endOf(parent, name);
    return untilMs !== undefined && untilMs <= beforeMs ? [{ name, untilMs }] : [];
  });
}

/** When the time of a partition is over; undefined of another table. */
function endOf(parent: string, name: string): number | undefined {
  const match = new RegExp(`^${parent}_(\\d{4})_(\\d\\d)(?:_(\\d\\d))?$`).exec(name);
  if (!match) return undefined;
  const [year, month, day] = match.slice(1).map((digits) => Number(digits ?? Number.NaN));
  if (year === undefined || month === undefined) return undefined;
  return day === undefined || Number.isNaN(day)
    ? Date.UTC(year, month)
    : Date.UTC(year, month - 1, day + 1);
}

/**
 * Detaches the oldest partition of a table and drops it; false when somebody used the table whenever it was tried, or
 * `signal` ended it. With `past`, the column that chooses the partition, rows of that time go to the partition
 * `PARENT_past` from then on. `alongside` is part of the transaction.
 */
export async function dropPartition(
  db: Database,
  parent: string,
  { name, untilMs }: OldPartition,
  options: {
    readonly past?: string | undefined;
    readonly alongside?: ((tx: Queryable) => Promise<void>) | undefined;
    readonly signal?: AbortSignal | undefined;
    /** Between two attempts, in milliseconds. */
    readonly retryMs?: number;
  } = {},
): Promise<boolean> {
  const bound = lowestUuidAt(untilMs);
  const swap = async (): Promise<void> => {
    if (options.past !== undefined) await proveBound(db, parent, options.past, bound);
    faultPoint('retention.before-detach');
    await db.transaction(async (tx) => {
      await limitLocks(tx, LOCK_WAIT_MS);
      await tx.query('select pg_advisory_xact_lock($1)', [PARTITIONS_LOCK]);
      await tx.query(`alter table ${parent} detach partition ${name}`);
      if (options.past !== undefined) await movePast(tx, parent, bound);
      await options.alongside?.(tx);
      faultPoint('retention.before-commit');
    });
  };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await swap();
      break;
    } catch (error) {
      if (sqlState(error) !== LOCK_NOT_AVAILABLE && !isDeadlock(error)) throw error;
      if (attempt === ATTEMPTS || options.signal?.aborted) return false;
      await wait(options.retryMs ?? RETRY_MS, undefined, {
        ...(options.signal ? { signal: options.signal } : {}),
      });
    }
  }
  faultPoint('retention.after-detach');
  await db.query(`drop table if exists ${name}`);
  return true;
}

/** Makes the partition of the past when there is none, and proves that its rows are below the bound that it will have. */
async function proveBound(db: Database, parent: string, key: string, bound: string): Promise<void> {
  const past = `${parent}_past`;
  await db.transaction(async (tx) => {
    await limitLocks(tx, LOCK_WAIT_MS);
    if (!(await isAttached(tx, past))) {
      // Made by somebody who died before he attached it: the parent may have changed since.
      await tx.query(`drop table if exists ${past}`);
      await tx.query(`create table ${past} (like ${parent} including all)`);
    }
    await tx.query(`alter table ${past} drop constraint if exists ${past}_bound`);
    await tx.query(
      `alter table ${past} add constraint ${past}_bound check (${key} < '${bound}') not valid`,
    );
  });
  await db.query(`alter table ${past} validate constraint ${past}_bound`);
}

async function movePast(tx: Queryable, parent: string, bound: string): Promise<void> {
  const past = `${parent}_past`;
  if (await isAttached(tx, past)) await tx.query(`alter table ${parent} detach partition ${past}`);
  await tx.query(
    `alter table ${parent} attach partition ${past} for values from (minvalue) to ('${bound}')`,
  );
  await tx.query(`alter table ${past} drop constraint ${past}_bound`);
}

async function isAttached(tx: Queryable, name: string): Promise<boolean> {
  const rows = await tx.query('select from pg_inherits where inhrelid = to_regclass($1)', [name]);
  return rows.length > 0;
}

/** Drops partitions that were detached by somebody who died before he dropped them; returns their names. */
export async function dropDetached(db: Queryable, parent: string): Promise<readonly string[]> {
  const rows = await db.query<{ name: string }>(
    `select relname as name
     from pg_class
     where relnamespace = 'public'::regnamespace
       and relkind = 'r'
       and not relispartition
       and starts_with(relname, $1)`,
    [`${parent}_`],
  );
  const names = rows.map(({ name }) => name).filter((name) => endOf(parent, name) !== undefined);
  for (const name of names) await db.query(`drop table if exists ${name}`);
  return names;
}

/** Deletes a page of the rows of the past from before a time; returns how many. */
export async function clearPast(
  db: Queryable,
  parent: string,
  key: string,
  beforeMs: number,
): Promise<number> {
  const past = `${parent}_past`;
  const [table] = await db.query<{ exists: boolean }>(
    'select to_regclass($1) is not null as exists',
    [past],
  );
  if (!table?.exists) return 0;
  const rows = await db.query(
    `delete from ${past}
     where ctid = any(array(
       select ctid
       from ${past}
       where ${key} < $1
       limit ${PAGE}
     ))
     returning 1`,
    [lowestUuidAt(beforeMs)],
  );
  return rows.length;
}
