import type { Database } from '../../db/database.ts';
import { sqlState } from '../../db/database.ts';
import { limitLocks } from '../../db/limit-locks.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import { foldSlot } from '../ledger/accepted.ts';
import { idempotencyDays } from './idempotency.ts';
import { FAR_SLOT, FIRST_TIMER_SLOT, NEAR_TIMER_MS } from './slots.ts';

const LOCK_NOT_AVAILABLE = '55P03';
const LOCK_WAIT_MS = 100;
const DAY_MS = 86_400_000;
const TIMER_SLOTS = FAR_SLOT - FIRST_TIMER_SLOT;

/**
 * Gives a slot back when every slice in it has a receipt; false when it does not, or when somebody uses
 * it. The proof is made under the slot's exclusive lock, so nothing can be appended in between.
 */
export async function truncateSlot(db: Database, slot: number): Promise<boolean> {
  try {
    const isTruncated = await db.transaction(async (tx) => {
      await limitLocks(tx, LOCK_WAIT_MS);
      await tx.query(`lock table chunk_${slot}, receipt_${slot} in access exclusive mode`);
      const [row] = await tx.query<{ slices: number; receipts: number }>(
        `select coalesce((select sum(slice_count) from chunk_${slot}), 0)::bigint as slices,
                (select count(*) from receipt_${slot}) as receipts`,
      );
      if (!row || row.slices !== row.receipts) return false;
      // Sequences are never used twice, so what is forgotten here is remembered there.
      await tx.query(
        `insert into log_stream (stream, high_sequence)
         select stream, max(sequence)
         from chunk_${slot}
         group by stream
         on conflict (stream) do update
         set high_sequence = greatest(log_stream.high_sequence, excluded.high_sequence)`,
      );
      faultPoint('truncation.before-fold');
      await foldSlot(tx, slot);
      faultPoint('truncation.before-truncate');
      await tx.query(`truncate chunk_${slot}, receipt_${slot}`);
      faultPoint('truncation.before-commit');
      return true;
    });
    if (isTruncated) faultPoint('truncation.after-commit');
    return isTruncated;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}

/** Moves timers that have come within a day from the far slot to the ring of hours; returns how many. */
export async function bringTimersNear(db: Database, nowMs: number): Promise<number> {
  // An hour short of the limit, so that a moved timer cannot land in an hour that is not open yet.
  const before = new Date(nowMs + NEAR_TIMER_MS - 3_600_000);
  faultPoint('timers.before-move');
  const rows = await db.query<{ moved: number }>(
    `with moved as (
       delete from chunk_${FAR_SLOT}
       where due_at <= $1
       returning *
     ), placed as (
       insert into chunk
         (slot, stream, sequence, lane_id, kind, run_count, slice_count, accepted_at, due_at, body, flow,
          order_id, source_stream, source_sequence)
       select ${FIRST_TIMER_SLOT} + floor(extract(epoch from greatest(due_at, $2)) / 3600)::bigint % ${TIMER_SLOTS},
              stream, sequence, lane_id, kind, run_count, slice_count, accepted_at, due_at, body, flow,
              order_id, source_stream, source_sequence
       from moved
       returning 1
     )
     select count(*)::int as moved from placed`,
    [before, new Date(nowMs)],
  );
  faultPoint('timers.after-move');
  return rows[0]?.moved ?? 0;
}

/**
 * Forgets the idempotency keys from before yesterday. Their list is truncated; when nobody did that in
 * time, because no server ran, they lie in a list that is in use again and are deleted.
 */
export async function forgetIdempotencyKeys(db: Database, nowMs: number): Promise<void> {
  const { today, yesterday, expired } = idempotencyDays(nowMs);
  const before = new Date((Math.floor(nowMs / DAY_MS) - 1) * DAY_MS);
  for (const day of [today, yesterday, expired]) {
    // Lists only grow, so that a list's first row is its oldest.
    const [oldest] = await db.query<{ created_at: Date }>(
      `select created_at
       from idempotency_${day}
       limit 1`,
    );
    if (!oldest || oldest.created_at >= before) continue;
    if (day === expired) await truncateKeys(db, day);
    else await db.query(`delete from idempotency_${day} where created_at < $1`, [before]);
  }
}

async function truncateKeys(db: Database, day: number): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      await limitLocks(tx, LOCK_WAIT_MS);
      await tx.query(`truncate idempotency_${day}`);
    });
  } catch (error) {
    if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
  }
}

/** Forgets cancellations that no paused run can be waiting for any more. */
export async function forgetCancellations(db: Database, nowMs: number): Promise<void> {
  await db.query('delete from cancellation where cancelled_at < $1', [
    new Date(nowMs - 366 * DAY_MS),
  ]);
}

/** Rows that are deleted in one statement. */
const PAGE = 10_000;

/**
 * Forgets whom fan-outs that are over have reached, a page at a time, and 30 days later that there were any; those that never
 * ended, because an order dropped them, after a year.
 */
export async function forgetFanOuts(db: Database, nowMs: number): Promise<void> {
  const [row] = await db.query<{ ids: string[] | null }>(
    `select array_agg(workflow_run_id) as ids
     from (
       select workflow_run_id
       from fan_out
       where seen
         and ended_at is not null
       limit ${PAGE}
     ) as ended`,
  );
  const ids = row?.ids ?? [];
  for (;;) {
    const gone = await db.query(
      `delete from fan_out_seen
       where ctid = any(array(
         select ctid
         from fan_out_seen
         where workflow_run_id = any($1::uuid[])
         limit ${PAGE}
       ))
       returning 1`,
      [ids],
    );
    if (gone.length < PAGE) break;
  }
  await db.query('update fan_out set seen = false where workflow_run_id = any($1::uuid[])', [ids]);
  await db.query(
    `delete from fan_out
     where not seen
       and (ended_at < $1 or updated_at < $2)`,
    [new Date(nowMs - 30 * DAY_MS), new Date(nowMs - 366 * DAY_MS)],
  );
}
