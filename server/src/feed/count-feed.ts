import type { Queryable } from '../db/database.ts';
import {
  allOf,
  changingConditions,
  createValues,
  JOINED_TABLES,
  lastingConditions,
} from './conditions.ts';
import type { FeedFilter } from './feed-filter.ts';
import type { FeedTopic } from './feed-topic.ts';

/** Items of a view by badge. */
export type FeedCounts = {
  readonly total: number;
  readonly unread: number;
  readonly unseen: number;
  /** Items that match whatever became of them since: grows by one with each new match. */
  readonly ever: number;
  /** Of `ever`, those inserted before the given time. */
  readonly settled: number;
};

/** Counts of a user's feed for each filter, in one pass over the user's rows. */
export async function countFeed(
  db: Queryable,
  topic: FeedTopic,
  filters: readonly FeedFilter[],
  settledBefore: Date = new Date(0),
): Promise<FeedCounts[]> {
  if (filters.length === 0) return [];
  const values = createValues(topic.environmentId, topic.userId, topic.channelId, settledBefore);
  const columns = filters.map((filter, index) => {
    const lasting = allOf(lastingConditions(filter, values));
    const shown = `${lasting}\n  and ${allOf(changingConditions(filter))}`;
    return `count(*) filter (where ${shown}) as total_${index},
  count(*) filter (where ${shown} and m.read_at is null) as unread_${index},
  count(*) filter (where ${shown} and m.seen_at is null) as unseen_${index},
  count(*) filter (where ${lasting}) as ever_${index},
  count(*) filter (where ${lasting} and m.inserted_at < $4) as settled_${index}`;
  });
  const needsJoins = filters.some((filter) => filter.workflowCategories || filter.triggerData);
  const [row] = await db.query<Record<string, number>>(
    `select ${columns.join(',\n  ')}
from ${needsJoins ? JOINED_TABLES : 'message m'}
where m.environment_id = $1
  and m.collection = '$users'
  and m.recipient_id = $2
  and m.channel_id = $3`,
    values.list,
  );
  return filters.map((_, index) => ({
    total: row?.[`total_${index}`] ?? 0,
    unread: row?.[`unread_${index}`] ?? 0,
    unseen: row?.[`unseen_${index}`] ?? 0,
    ever: row?.[`ever_${index}`] ?? 0,
    settled: row?.[`settled_${index}`] ?? 0,
  }));
}

export type FeedMetadata = {
  readonly __typename: 'FeedMetadata';
  readonly total_count: number;
  readonly unread_count: number;
  readonly unseen_count: number;
};

/** The counts as they go over the wire. */
export function feedMetadata(counts: FeedCounts | undefined): FeedMetadata {
  return {
    __typename: 'FeedMetadata',
    total_count: counts?.total ?? 0,
    unread_count: counts?.unread ?? 0,
    unseen_count: counts?.unseen ?? 0,
  };
}
