import type { Queryable } from '../db/database.ts';

/** Deletions of a pass, and of them those of one environment: nobody's many delay another's one. */
const BATCH = 100;
const BATCH_OF_ENVIRONMENT = 20;
/** Longer than an executor may be silent: what it was writing at the deletion is written then. */
export const GRACE_MS = 120_000;
const WAIT_FOR_MERGE_MS = 10_000;
/** A run may be paused for a year. */
const KEEP_MS = 366 * 86_400_000;
const FORGET = 1_000;

export type Deletion = {
  readonly id: number;
  readonly environmentId: number;
  readonly collection: string;
  readonly recipientId: string;
  readonly deletedAt: Date;
  /** By the clock of the database, in microseconds: its text. */
  readonly recordedAt: string;
  /** Who gets the messages of the last 30 days; null: they are deleted like all others. */
  readonly mergedInto: string | null;
};

/** What is due, in turns between environments. One look at an index when nothing is. */
export async function dueDeletions(db: Queryable, nowMs: number): Promise<readonly Deletion[]> {
  const now = new Date(nowMs);
  const [any] = await db.query(
    {
      name: 'any_deletion_due',
      text: `select
  from deletion
  where due_at <= $1
  limit 1`,
    },
    [now],
  );
  if (!any) return [];
  return await db.query<Deletion>(
    `select d.id, d.environment_id as "environmentId", d.collection, d.recipient_id as "recipientId",
            d.deleted_at as "deletedAt", d.recorded_at::text as "recordedAt", d.merged_into as "mergedInto"
     from environment e
     cross join lateral (
       select d.*, row_number() over (order by d.due_at, d.id) as turn
       from deletion d
       where d.environment_id = e.id
         and d.due_at <= $1
       order by d.due_at, d.id
       limit ${BATCH_OF_ENVIRONMENT}
     ) d
     order by d.turn, d.due_at, d.id
     limit ${BATCH}`,
    [now],
  );
}

/**
 * Says when to look again after a pass that began at `startedMs`: at once where a page was full, never again where it
 * began after the grace and no merge into the deleted one is under way.
 */
export async function recordPass(
  db: Queryable,
  pass: readonly { readonly deletion: Deletion; readonly isFull: boolean }[],
  { startedMs, nowMs }: { readonly startedMs: number; readonly nowMs: number },
): Promise<void> {
  await db.query(
    `update deletion d
     set due_at = case
       when p.is_full then $3::timestamptz
       when d.deleted_at + interval '${GRACE_MS} ms' > $4::timestamptz then d.deleted_at + interval '${GRACE_MS} ms'
       when exists (
         select
         from deletion earlier
         where earlier.environment_id = d.environment_id
           and earlier.merged_into = d.recipient_id
           and earlier.due_at is not null
           and earlier.id < d.id
       ) then $3::timestamptz + interval '${WAIT_FOR_MERGE_MS} ms'
     end
     from unnest($1::bigint[], $2::bool[]) as p(id, is_full)
     where d.id = p.id`,
    [
      pass.map(({ deletion }) => deletion.id),
      pass.map(({ isFull }) => isFull),
      new Date(nowMs),
      new Date(startedMs),
    ],
  );
}

/** Forgets that there were deletions, a page of the oldest, once no run from before them can be left. */
export async function forgetDeletions(db: Queryable, nowMs: number): Promise<number> {
  const rows = await db.query(
    `delete from deletion
     where id in (
       select id
       from (
         select id, deleted_at, due_at
         from deletion
         order by id
         limit ${FORGET}
       ) oldest
       where deleted_at < $1
         and due_at is null
     )
     returning 1`,
    [new Date(nowMs - KEEP_MS)],
  );
  return rows.length;
}

export type OpenDeletions = { readonly open: number; readonly oldest: Date | null };

/** How many are not over, 10,000 at the most, and when the oldest was asked for. */
export async function openDeletions(db: Queryable): Promise<OpenDeletions> {
  const [row] = await db.query<OpenDeletions>(
    `select count(*)::int as open, min(deleted_at) as oldest
     from (
       select deleted_at
       from deletion
       where due_at is not null
       limit 10000
     ) d`,
  );
  return row ?? { open: 0, oldest: null };
}
