import { type Database, type Queryable, sqlState } from '../../db/database.ts';
import { limitLocks } from '../../db/limit-locks.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import { foldDiscarded } from '../ledger/accepted.ts';
import { truncateSlot } from '../log/maintain.ts';
import { asideSlot } from '../log/slots.ts';

const LOCK_NOT_AVAILABLE = '55P03';
const LOCK_WAIT_MS = 100;
const PAGE = 1_000;
/** Of one order a round: others wait meanwhile, and whoever writes receipts of the slot waits for every page. */
const MAX_PAGES = 5;

/** What to take away: chunks whose slices all have receipts, or all that an order set aside. */
type Which = 'done' | 'all';

/**
 * Takes chunks of an order away; true when none of it is left. A late duplicate of a slice finds no chunk,
 * as in a slot that was truncated: nobody can write receipts while this page goes.
 */
export async function clearOrder(db: Database, orderId: number, which: Which): Promise<boolean> {
  const slot = asideSlot(orderId);
  let total = 0;
  for (let page = 0; page < MAX_PAGES; page++) {
    const gone = await clearPage(db, slot, orderId, which);
    if (gone === undefined) return false;
    total += gone;
    if (gone < PAGE) break;
  }
  const [row] = await db.query<{ some: boolean; mine: boolean }>(
    `select exists (select from chunk_${slot}) as some,
            exists (select from chunk_${slot} where order_id = $1) as mine`,
    [orderId],
  );
  // Deleted rows take room until the table is used again.
  if (row && !row.some && total > 0) await truncateSlot(db, slot);
  return row ? !row.mine : false;
}

/** How many chunks went; undefined when somebody works in the slot now. */
async function clearPage(
  db: Database,
  slot: number,
  orderId: number,
  which: Which,
): Promise<number | undefined> {
  const [any] = await candidates(db, slot, orderId, which, 1);
  if (!any) return 0;
  try {
    const cleared = await db.transaction(async (tx) => {
      await limitLocks(tx, LOCK_WAIT_MS);
      await tx.query(`lock table receipt_${slot} in share row exclusive mode`);
      const chunks = await candidates(tx, slot, orderId, which, PAGE);
      const keys = [chunks.map((chunk) => chunk.stream), chunks.map((chunk) => chunk.sequence)];
      if (which === 'all') await foldDiscarded(tx, slot, keys);
      // Sequences are never used twice, so what is forgotten here is remembered there.
      await tx.query(
        `insert into log_stream (stream, high_sequence)
         select stream, max(sequence)
         from unnest($1::smallint[], $2::bigint[]) as gone(stream, sequence)
         group by stream
         on conflict (stream) do update
         set high_sequence = greatest(log_stream.high_sequence, excluded.high_sequence)`,
        keys,
      );
      for (const table of [`receipt_${slot}`, `chunk_${slot}`]) {
        await tx.query(
          `delete from ${table} t
           using unnest($1::smallint[], $2::bigint[]) as gone(stream, sequence)
           where t.stream = gone.stream
             and t.sequence = gone.sequence`,
          keys,
        );
      }
      faultPoint('order.before-clear-commit');
      return chunks.length;
    });
    faultPoint('order.after-clear');
    return cleared;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return undefined;
    throw error;
  }
}

function candidates(
  db: Queryable,
  slot: number,
  orderId: number,
  which: Which,
  limit: number,
): Promise<{ stream: number; sequence: number }[]> {
  return db.query(which === 'done' ? doneOf(slot) : allOf(slot), [orderId, limit]);
}

function allOf(slot: number): string {
  return `select c.stream, c.sequence
     from chunk_${slot} c
     where c.order_id = $1
     order by c.order_id, c.accepted_at, c.stream, c.sequence
     limit $2`;
}

/** By way of the receipts: those of what was done are gone, and most of what an order keeps has none yet. */
function doneOf(slot: number): string {
  return `select done.stream, done.sequence
     from (
       select stream, sequence, count(*) as slices
       from receipt_${slot}
       group by stream, sequence
     ) done
     cross join lateral (
       select c.order_id, c.slice_count
       from chunk_${slot} c
       where c.stream = done.stream
         and c.sequence = done.sequence
       offset 0
     ) c
     where c.order_id = $1
       and done.slices >= c.slice_count
     limit $2`;
}
