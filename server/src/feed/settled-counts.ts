import type { Database, Queryable } from '../db/database.ts';
import { HAS_LEFT } from './conditions.ts';
import type { FeedTopic } from './feed-topic.ts';

/** Items older than this become settled: many times what an executor may be silent before it is killed. */
export const SETTLE_AFTER_MS = 600_000;
/** As few are counted one by one. */
export const FEW_ITEMS = 200;
const RECOUNT_AFTER = '1 day';
const LOCK_CLASS = 0x66656564;
export const LOWEST_ID = '00000000-0000-0000-0000-000000000000';

/** The bits of a group's state. */
const STATE = `((m.seen_at is not null)::int + 2 * (m.read_at is not null)::int + 4 * (m.archived_at is not null)::int)`;

/**
 * A from item `m` with the columns of messages that filters look at and `n`, for the feed in a row `t`:
 * a row for each group of settled items, and one for each item since. `is_old` is true of items that could be settled up
 * to `bound`.
 */
export function countedItems(bound: string): string {
  const columns = `m.id, m.tenant, m.workflow_key, m.version_id, m.scheduled_at, m.inserted_at,
    m.seen_at, m.read_at, m.archived_at`;
  return `(
  select ${columns}, 1 as n, m.id < ${bound}::uuid as is_old
  from message m
  where m.environment_id = t.environment_id
    and m.collection = '$users'
    and m.recipient_id = t.user_id
    and m.channel_id = t.channel_id
    and m.scheduled_at is null
    and m.id >= coalesce((
      select settled_before
      from feed_settled
      where environment_id = t.environment_id
        and recipient_id = t.user_id
        and channel_id = t.channel_id
    ), '${LOWEST_ID}')
  union all
  select ${columns}, 1, false
  from message m
  where m.environment_id = t.environment_id
    and m.collection = '$users'
    and m.recipient_id = t.user_id
    and m.channel_id = t.channel_id
    and m.scheduled_at is not null
    and ${HAS_LEFT}
  union all
  select null, c.tenant, c.workflow_key, c.version_id, null, '-infinity',
    case when c.state & 1 > 0 then '-infinity'::timestamptz end,
    case when c.state & 2 > 0 then '-infinity'::timestamptz end,
    case when c.state & 4 > 0 then '-infinity'::timestamptz end,
    c.n, false
  from feed_count c
  where c.environment_id = t.environment_id
    and c.recipient_id = t.user_id
    and c.channel_id = t.channel_id
) m`;
}

/** For whoever deletes messages of users, first in the transaction: their feeds are counted anew. */
export async function forgetFeeds(
  tx: Queryable,
  input: { readonly environmentId: number; readonly userIds: readonly string[] },
): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock_shared(${LOCK_CLASS}, $1)`, [input.environmentId]);
  const feeds = [input.environmentId, input.userIds];
  // The bound first, as everybody: whoever has that is not waited for with groups in hand.
  await tx.query(
    `delete from feed_settled
where environment_id = $1
  and recipient_id = any($2::text[])`,
    feeds,
  );
  await tx.query(
    `delete from feed_count
where environment_id = $1
  and recipient_id = any($2::text[])`,
    feeds,
  );
}

/** Settles the items of a feed below an id. Does nothing while somebody changes it: it is tried again later. */
export async function settleFeed(
  db: Database,
  topic: FeedTopic,
  input: { readonly before: string; readonly nowMs: number },
): Promise<void> {
  const feed = [topic.environmentId, topic.userId, topic.channelId];
  const now = new Date(input.nowMs);
  if (!(await hasBound(db, feed))) {
    // Committed before anything is counted: until then nobody in the environment can change a status.
    const isMade = await db.transaction((tx) => makeBound(tx, topic, now));
    if (!isMade) return;
  }
  await db.transaction(async (tx) => {
    const [bound] = await tx.query<{ settled_before: string; is_stale: boolean }>(
      `select settled_before, recounted_at < $4::timestamptz - interval '${RECOUNT_AFTER}' as is_stale
from feed_settled
where environment_id = $1
  and recipient_id = $2
  and channel_id = $3
for update skip locked`,
      [...feed, now],
    );
    if (!bound || bound.settled_before >= input.before) return;
    if (bound.is_stale) await forgetCounts(tx, feed);
    await tx.query(
      `with counted as (
  insert into feed_count (environment_id, recipient_id, channel_id, tenant, workflow_key, version_id, state, n)
  select $1, $2, $3, m.tenant, m.workflow_key, m.version_id, ${STATE}, count(*)
  from message m
  where m.environment_id = $1
    and m.collection = '$users'
    and m.recipient_id = $2
    and m.channel_id = $3
    and m.scheduled_at is null
    and m.id >= $4
    and m.id < $5
  group by m.tenant, m.workflow_key, m.version_id, ${STATE}
  on conflict (environment_id, recipient_id, channel_id, tenant, workflow_key, version_id, state)
  do update set n = feed_count.n + excluded.n
)
update feed_settled
set settled_before = $5,
  recounted_at = case when $6 then $7 else recounted_at end
where environment_id = $1
  and recipient_id = $2
  and channel_id = $3`,
      [
        ...feed,
        bound.is_stale ? LOWEST_ID : bound.settled_before,
        input.before,
        bound.is_stale,
        now,
      ],
    );
  });
}

/** Held from before a status changes until that is committed. A column of a statement that locks messages. */
export const CHANGING = `pg_advisory_xact_lock_shared(${LOCK_CLASS}, m.environment_id)`;

/**
 * CTEs that move items from group to group, after a CTE `changed` with the messages as they are now and `was`, the
 * `STATE` from before.
 */
export const MOVED = `moved as (
  select m.*, ${STATE} as becomes
  from changed m
  where m.collection = '$users'
    and m.scheduled_at is null
    and m.was <> ${STATE}
), bound as (
  select s.environment_id, s.recipient_id, s.channel_id, s.settled_before
  from feed_settled s
  where (s.environment_id, s.recipient_id, s.channel_id) in (
    select environment_id, recipient_id, channel_id
    from moved
  )
  for share
), recounted as (
  insert into feed_count (environment_id, recipient_id, channel_id, tenant, workflow_key, version_id, state, n)
  select m.environment_id, m.recipient_id, m.channel_id, m.tenant, m.workflow_key, m.version_id, move.state, sum(move.n)
  from moved m
  join bound b using (environment_id, recipient_id, channel_id)
  cross join lateral (values (m.was, -1), (m.becomes, 1)) as move(state, n)
  where m.id < b.settled_before
  group by m.environment_id, m.recipient_id, m.channel_id, m.tenant, m.workflow_key, m.version_id, move.state
  -- In one order, so that two of them wait instead of deadlocking.
  order by m.environment_id, m.recipient_id, m.channel_id, m.tenant, m.workflow_key, m.version_id, move.state
  on conflict (environment_id, recipient_id, channel_id, tenant, workflow_key, version_id, state)
  do update set n = feed_count.n + excluded.n
)`;

/** The state of message `o`, as a column `was`. */
export const WAS = `${STATE.replaceAll('m.', 'o.')} as was`;

async function hasBound(db: Queryable, feed: readonly unknown[]): Promise<boolean> {
  const rows = await db.query(
    `select
from feed_settled
where environment_id = $1
  and recipient_id = $2
  and channel_id = $3`,
    feed,
  );
  return rows.length > 0;
}

/** False: somebody changes statuses in this environment, who looked before there was a bound. */
async function makeBound(tx: Queryable, topic: FeedTopic, now: Date): Promise<boolean> {
  const [lock] = await tx.query<{ taken: boolean }>(
    'select pg_try_advisory_xact_lock($1, $2) as taken',
    [LOCK_CLASS, topic.environmentId],
  );
  if (!lock?.taken) return false;
  await tx.query(
    `insert into feed_settled (environment_id, recipient_id, channel_id, settled_before, recounted_at)
values ($1, $2, $3, '${LOWEST_ID}', $4)
on conflict do nothing`,
    [topic.environmentId, topic.userId, topic.channelId, now],
  );
  return true;
}

async function forgetCounts(tx: Queryable, feed: readonly unknown[]): Promise<void> {
  await tx.query(
    `delete from feed_count
where environment_id = $1
  and recipient_id = $2
  and channel_id = $3`,
    feed,
  );
}
