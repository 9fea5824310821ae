import { plainArray } from '../db/array-literal.ts';
import type { Database, Queryable } from '../db/database.ts';
import { dropDetached, dropPartition, oldPartitions } from '../db/drop-partitions.ts';
import { firstKept } from '../db/partitions.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { faultPoint } from '../lib/fault-point.ts';
import { objectKey } from './object-key.ts';
import { MAX_DELETED, type ObjectStore } from './object-store.ts';

/** Packs whose objects are deleted before it is written down: of one object there are many. */
const PAGE = 5_000;
/** Longer than any request is under way. */
export const ABANDONED_MS = 600_000;

export type ExpireContext = {
  readonly db: Database;
  readonly store: ObjectStore;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
};

/**
 * Deletes the objects of months whose messages were dropped, then drops those months of `body_object`. Returns how many objects it
 * deleted. Throws what the store throws; the next call goes on where this one ended.
 */
export async function expireObjects(ctx: ExpireContext): Promise<number> {
  const { db, nowMs, signal } = ctx;
  await dropDetached(db, 'body_object');
  let deleted = 0;
  for (const partition of await oldPartitions(
    db,
    'body_object',
    firstKept('body_object', nowMs()),
  )) {
    const messages = partition.name.replace(/^body_object/, 'message');
    const [row] = await db.query<{ is_there: boolean }>(
      'select to_regclass($1) is not null as is_there',
      [messages],
    );
    if (row?.is_there) continue;
    for (;;) {
      if (signal.aborted) return deleted;
      const count = await deletePage(ctx, partition.name);
      if (count === 0) break;
      deleted += count;
    }
    await dropPartition(db, 'body_object', partition, {
      signal,
      alongside: async (tx) => {
        await tx.query('delete from body_erasure where pack_id < $1', [
          lowestUuidAt(partition.untilMs),
        ]);
      },
    });
  }
  return deleted;
}

type PlacedObject = { readonly objectId: string; readonly environmentId: number };

/** Deletes the objects of the first packs of a month, then forgets these packs. An object may come again; that does no harm. */
async function deletePage({ db, store }: ExpireContext, month: string): Promise<number> {
  const objects = await db.query<PlacedObject & { last: string }>(
    `select object_id as "objectId", environment_id as "environmentId", max(pack_id::text) as last
     from (
       select *
       from ${month}
       order by pack_id
       limit ${PAGE}
     ) first
     group by 1, 2`,
  );
  if (objects.length === 0) return 0;
  await deleteObjects(store, objects);
  faultPoint('bodies.after-delete');
  const last = objects.map((object) => object.last).sort();
  await db.query(`delete from ${month} where pack_id <= $1`, [last.at(-1)]);
  return objects.length;
}

/** Deletes objects that were intended more than ten minutes ago and never recorded; returns how many. */
export async function clearUploads(
  { db, store, nowMs }: ExpireContext,
  underWay: readonly string[],
): Promise<number> {
  const objects = await db.query<PlacedObject>(
    `select object_id as "objectId", environment_id as "environmentId"
     from body_upload
     where started_at < $1
       and object_id <> all($2::uuid[])
     order by started_at
     limit ${MAX_DELETED}`,
    [new Date(nowMs() - ABANDONED_MS), plainArray(underWay)],
  );
  if (objects.length === 0) return 0;
  await deleteObjects(store, objects);
  faultPoint('bodies.after-clear');
  await forgetUploads(db, objects);
  return objects.length;
}

async function forgetUploads(db: Queryable, objects: readonly PlacedObject[]): Promise<void> {
  await db.query('delete from body_upload where object_id = any($1::uuid[])', [
    plainArray(objects.map(({ objectId }) => objectId)),
  ]);
}

async function deleteObjects(store: ObjectStore, objects: readonly PlacedObject[]): Promise<void> {
  for (let from = 0; from < objects.length; from += MAX_DELETED) {
    const keys = objects
      .slice(from, from + MAX_DELETED)
      .map(({ environmentId, objectId }) => objectKey(environmentId, objectId));
    await store.delete(keys);
  }
}
