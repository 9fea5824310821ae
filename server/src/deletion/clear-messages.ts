import { recordErasures } from '../bodies/record-erasures.ts';
import { plainArray, textArray } from '../db/array-literal.ts';
import type { Database, Queryable } from '../db/database.ts';
import { forgetFeeds } from '../feed/settled-counts.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { faultPoint } from '../lib/fault-point.ts';
import { USERS } from '../recipients/reference.ts';
import type { Deletion } from './open-deletions.ts';

/** What a merge takes over. */
const MOVED_MS = 30 * 86_400_000;

/** By how much the clock may have been set back. */
const CLOCK_STEP_MS = 3_600_000;

const PAGE = {
  name: 'messages_to_clear',
  text: `select d.n::int as deletion, m.id, m.workflow_run_id as "workflowRun"
  from unnest($1::int[], $2::text[], $3::text[], $4::uuid[]) with ordinality
    as d(environment_id, collection, recipient_id, before, n)
  cross join lateral (
    select m.id, m.workflow_run_id
    from message m
    where m.environment_id = d.environment_id
      and m.collection = d.collection
      and m.recipient_id = d.recipient_id
      and m.workflow_run_id < d.before
    limit $5
  ) m`,
};

type Row = {
  readonly deletion: number;
  readonly id: string;
  readonly workflowRun: string;
};

/**
 * Deletes a page of messages of each, with all that hangs on them, or gives them to the user that it was merged into.
 * Returns how many each had; as many as `limit` means that there may be more. With `nowMs`, what they say is recorded to
 * be blanked in the object store.
 */
export async function clearMessages(
  db: Database,
  deletions: readonly Deletion[],
  limit: number,
  nowMs: number,
): Promise<readonly number[]> {
  const found = await db.query<Row>(PAGE, [...keysOf(deletions), triggersBefore(deletions), limit]);
  const counts = deletions.map(() => 0);
  for (const row of found) counts[row.deletion - 1] = (counts[row.deletion - 1] ?? 0) + 1;
  if (found.length === 0) return counts;
  await db.transaction(async (tx) => {
    // Before the counts of the feed, as whoever changes a status does, and in the order of ids.
    await tx.query(
      `select
       from message
       where id = any($1::uuid[])
       order by id
       for update`,
      [plainArray(found.map(({ id }) => id))],
    );
    await forgetTheirFeeds(tx, found, deletions);
    const moved = found.filter((row) => isMoved(row, deletions));
    const gone = found.filter((row) => !isMoved(row, deletions));
    if (moved.length > 0) await move(tx, moved, deletions);
    if (gone.length > 0) await remove(tx, gone, nowMs);
    faultPoint('deletion.before-commit');
  });
  return counts;
}

/** An event is not older than the trigger of its message; this chooses its partitions. */
function eventsSince(rows: readonly Row[]): string {
  const [first = ''] = rows.map(({ workflowRun }) => workflowRun).sort();
  const triggeredMs = Number.parseInt(first.replace('-', '').slice(0, 12), 16);
  return lowestUuidAt(Math.max(0, triggeredMs - CLOCK_STEP_MS));
}

/** Columns of `deletions` for `unnest`: environments, collections, ids. */
export function keysOf(deletions: readonly Deletion[]): [string, string, string] {
  return [
    plainArray(deletions.map(({ environmentId }) => environmentId)),
    textArray(deletions.map(({ collection }) => collection)),
    textArray(deletions.map(({ recipientId }) => recipientId)),
  ];
}

/** Before which workflow runs were accepted before each deletion. */
export function triggersBefore(deletions: readonly Deletion[]): string {
  return plainArray(deletions.map(({ deletedAt }) => lowestUuidAt(deletedAt.getTime())));
}

/** Whether a message or run goes to the user that its owner was merged into. */
export function isMoved(
  { deletion, id }: { readonly deletion: number; readonly id: string },
  deletions: readonly Deletion[],
): boolean {
  const of = deletions[deletion - 1];
  return of?.mergedInto != null && id >= lowestUuidAt(of.deletedAt.getTime() - MOVED_MS);
}

async function forgetTheirFeeds(
  tx: Queryable,
  rows: readonly Row[],
  deletions: readonly Deletion[],
): Promise<void> {
  const users = new Map<number, Set<string>>();
  for (const number of new Set(rows.map(({ deletion }) => deletion))) {
    const deletion = deletions[number - 1];
    if (deletion?.collection !== USERS) continue;
    const { environmentId, recipientId, mergedInto } = deletion;
    const ids = users.get(environmentId) ?? new Set();
    users.set(environmentId, ids.add(recipientId));
    if (mergedInto !== null) ids.add(mergedInto);
  }
  for (const [environmentId, ids] of users) {
    await forgetFeeds(tx, { environmentId, userIds: [...ids] });
  }
}

async function move(
  tx: Queryable,
  rows: readonly Row[],
  deletions: readonly Deletion[],
): Promise<void> {
  const owners = textArray(rows.map(({ deletion }) => deletions[deletion - 1]?.mergedInto));
  await tx.query(
    `update message m
     set recipient_id = t.owner
     from unnest($1::uuid[], $2::text[]) as t(id, owner)
     where m.id = t.id`,
    [plainArray(rows.map(({ id }) => id)), owners],
  );
}

async function remove(tx: Queryable, rows: readonly Row[], nowMs: number): Promise<void> {
  const messages = plainArray(rows.map(({ id }) => id));
  await recordErasures(tx, messages, nowMs);
  await tx.query(
    `delete from message_event
     where message_id = any($1::uuid[])
       and id >= $2`,
    [messages, eventsSince(rows)],
  );
  await tx.query(
    `delete from delivery
     where message_id = any($1::uuid[])`,
    [messages],
  );
  await tx.query(
    `delete from short_link
     where message_id = any($1::uuid[])`,
    [messages],
  );
  await tx.query(
    `delete from message
     where id = any($1::uuid[])`,
    [messages],
  );
}
