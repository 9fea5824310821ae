import { plainArray } from '../db/array-literal.ts';
import { type Database, type Queryable, sqlState } from '../db/database.ts';
import { limitLocks } from '../db/limit-locks.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { faultPoint } from '../lib/fault-point.ts';
import { type FoundPack, unmovedInSlot } from './find-packs.ts';
import { lapsOf } from './ring.ts';

const LOCK_NOT_AVAILABLE = '55P03';
const LOCK_WAIT_MS = 100;
const KEEP_PAGE = 500;
/** Of the messages of a slot, so many may get their contents back without the ring being short of room. */
const CHEAP_SHARE = 0.1;

/** Numbers of `message.status` and `delivery.status`: made for a provider; sent, delivered, undelivered, bounced. */
const QUEUED = 0;
const FINAL = '1, 2, 4, 5';

export type SlotOutcome =
  | { readonly is: 'empty' | 'given back' | 'in use' }
  /** The store does not have these. */
  | { readonly is: 'unmoved'; readonly packs: readonly FoundPack[] }
  /** So many messages are still to be delivered. */
  | { readonly is: 'undelivered'; readonly messages: number };

/**
 * Truncates a slot that nobody writes to any more, when the store has all of it and no delivery needs it. What is still to be
 * delivered gets its content back into its message, where that is cheap or `isNeeded`; `kept` hears how many.
 */
export async function giveBackSlot(
  db: Database,
  slot: number,
  options: { readonly isNeeded: boolean; readonly kept: (count: number) => void },
): Promise<SlotOutcome> {
  // First of all: whatever comes later makes the count under the lock another one.
  const before = await countOf(db, slot);
  if (before.packs === 0) return { is: 'empty' };
  const packs = await unmovedInSlot(db, slot);
  if (packs.length > 0) return { is: 'unmoved', packs };
  let undelivered = 0;
  for (const [fromMs, untilMs] of lapsOf(slot, before.first, before.last)) {
    const lap = await undeliveredBetween(db, lowestUuidAt(fromMs), lowestUuidAt(untilMs));
    const isCheap = lap.ids.length <= lap.messages * CHEAP_SHARE;
    if (isCheap || options.isNeeded) options.kept(await keepContents(db, slot, lap.ids));
    else undelivered += lap.ids.length;
  }
  if (undelivered > 0) return { is: 'undelivered', messages: undelivered };
  return { is: (await truncate(db, slot, before.packs)) ? 'given back' : 'in use' };
}

type SlotCount = { readonly packs: number; readonly first: string; readonly last: string };

async function countOf(db: Queryable, slot: number): Promise<SlotCount> {
  const [row] = await db.query<SlotCount>(
    `select count(*) as packs, min(id::text) as first, max(id::text) as last
     from body_pack_${slot}`,
  );
  return row ?? { packs: 0, first: '', last: '' };
}

/**
 * Messages made between two ids that a provider is still to get and whose contents are in the ring; of how many that were made for
 * providers. Set against set, by ranges of ids: that is linear whatever the planner knows of the tables.
 */
async function undeliveredBetween(
  db: Queryable,
  from: string,
  until: string,
): Promise<{ readonly messages: number; readonly ids: readonly string[] }> {
  const [row] = await db.query<{ messages: number }>(
    `select count(*) as messages
     from message
     where id >= $1
       and id < $2
       and status = ${QUEUED}`,
    [from, until],
  );
  const open = await db.query<{ id: string }>(
    `select id
     from message
     where id >= $1
       and id < $2
       and status = ${QUEUED}
     except
     select message_id
     from delivery
     where message_id >= $1
       and message_id < $2
       and status in (${FINAL})`,
    [from, until],
  );
  const ids: string[] = [];
  for (let at = 0; at < open.length; at += KEEP_PAGE) {
    const page = plainArray(open.slice(at, at + KEEP_PAGE).map(({ id }) => id));
    const stored = await db.query<{ id: string }>(
      `select id
       from message
       where id = any($1::uuid[])
         and content -> '$stored' is not null
         and content -> '$kept' is null`,
      [page],
    );
    ids.push(...stored.map(({ id }) => id));
  }
  return { messages: row?.messages ?? 0, ids };
}

/** Puts the contents of these messages back beside their references; returns how many had theirs in this slot. */
async function keepContents(
  db: Database,
  slot: number,
  messageIds: readonly string[],
): Promise<number> {
  let kept = 0;
  for (let from = 0; from < messageIds.length; from += KEEP_PAGE) {
    const ids = plainArray(messageIds.slice(from, from + KEEP_PAGE));
    kept += await db.transaction(async (tx) => {
      // In the order of ids, as whoever deletes them or changes a status of theirs.
      await tx.query(
        `select
         from message
         where id = any($1::uuid[])
         order by id
         for update`,
        [ids],
      );
      const rows = await tx.query(
        `update message m
         set content = json_build_object(
           '$stored', m.content -> '$stored',
           '$kept', convert_from(
             substring(
               p.bytes
               from (m.content #>> '{$stored,at}')::int + 1
               for (m.content #>> '{$stored,bytes}')::int
             ),
             'UTF8'
           )::json
         )
         from body_pack_${slot} p
         where m.id = any($1::uuid[])
           and p.environment_id = m.environment_id
           and p.id = (m.content #>> '{$stored,pack}')::uuid
         returning 1`,
        [ids],
      );
      return rows.length;
    });
    faultPoint('bodies.after-keep');
  }
  return kept;
}

async function truncate(db: Database, slot: number, packs: number): Promise<boolean> {
  try {
    const isTruncated = await db.transaction(async (tx) => {
      await limitLocks(tx, LOCK_WAIT_MS);
      await tx.query(`lock table body_pack_${slot} in access exclusive mode`);
      // Packs only come, so as many are the same ones.
      if ((await countOf(tx, slot)).packs !== packs) return false;
      await tx.query(`truncate body_pack_${slot}`);
      faultPoint('bodies.before-truncate-commit');
      return true;
    });
    if (isTruncated) faultPoint('bodies.after-truncate');
    return isTruncated;
  } catch (error) {
    if (sqlState(error) === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}
