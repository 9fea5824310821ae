import { type Database, type Queryable, sqlState } from '../db/database.ts';
import { limitLocks } from '../db/limit-locks.ts';

const SLOTS = 16;
const ROTATION_MS = 30_000;
/** A writer may have read the clock some time ago. */
const SPARE_MS = 5_000;
const LOCK_WAIT_MS = 100;
const LOCK_NOT_AVAILABLE = '55P03';

/** Bytes of the ring and of what is put aside, indexes included. */
export async function ringBytes(db: Queryable): Promise<number> {
  const [row] = await db.query<{ bytes: number }>(
    `select sum(pg_total_relation_size(inhrelid)) + pg_total_relation_size('log_aside') as bytes
     from pg_inherits
     where inhparent = 'log_ring'::regclass`,
  );
  return Number(row?.bytes ?? 0);
}

/** Gives back the slots in which everything is in the position. Returns how many; those that are open or in use stay. */
export async function truncateShipped(db: Database, nowMs: number): Promise<number> {
  const open = new Set(
    [nowMs - SPARE_MS, nowMs, nowMs + SPARE_MS].map((ms) => Math.floor(ms / ROTATION_MS) % SLOTS),
  );
  let given = 0;
  for (let slot = 0; slot < SLOTS; slot++) {
    if (open.has(slot)) continue;
    const [any] = await db.query(`select from log_ring_${slot} limit 1`);
    if (any && (await truncateSlot(db, slot))) given += 1;
  }
  return given;
}

const LARGE_ASIDE_BYTES = 10_000_000;

/** Gives back what was put aside when all of it is sent: rows that were deleted leave their space. */
export async function truncateAside(db: Database): Promise<void> {
  const [row] = await db.query<{ bytes: number; isEmpty: boolean }>(
    `select pg_total_relation_size('log_aside') as bytes,
       not exists (select from log_aside) as "isEmpty"`,
  );
  if (!row?.isEmpty || row.bytes <= LARGE_ASIDE_BYTES) return;
  await unlessLocked(() =>
    db.transaction(async (tx) => {
      await limitLocks(tx, LOCK_WAIT_MS);
      await tx.query('truncate log_aside');
    }),
  );
}

/** Whoever wrote to the slot and has not committed holds a lock on it, so the proof sees everything. */
async function truncateSlot(db: Database, slot: number): Promise<boolean> {
  const isGiven = await unlessLocked(() =>
    db.transaction(async (tx) => {
      await limitLocks(tx, LOCK_WAIT_MS);
      await tx.query(`lock table log_ring_${slot} in access exclusive mode`);
      const [left] = await tx.query(
        `select
         from log_ring_${slot} r, log_shipper s
         where r.xid >= pg_snapshot_xmin(s.shipped)
           and not pg_visible_in_snapshot(r.xid, s.shipped)
         limit 1`,
      );
      if (left) return false;
      await tx.query(`truncate log_ring_${slot}`);
      return true;
    }),
  );
  return isGiven ?? false;
}

/** Undefined: somebody has a lock in the way, as a dump has on all tables for as long as it takes. */
async function unlessLocked<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work();
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return undefined;
    throw error;
  }
}
