import type { Database } from '../db/database.ts';
import { prepared } from '../db/prepared.ts';
import { lowestUuidAt } from '../lib/address.ts';
import {
  allOf,
  changingConditions,
  createValues,
  feedTables,
  HAS_ARRIVED,
  lastingConditions,
  needsVersion,
  type Values,
} from './conditions.ts';
import type { FeedFilter } from './feed-filter.ts';
import type { FeedTopic } from './feed-topic.ts';
import { countedItems, FEW_ITEMS, SETTLE_AFTER_MS, settleFeed } from './settled-counts.ts';

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

type CountInput = {
  readonly nowMs: number;
  /** At the latest half a minute ago. */
  readonly settledBefore?: Date | undefined;
};

/**
 * Counts of a user's feed for each filter. Of a large feed only what came since it was settled is counted one by one,
 * unless a filter is by trigger data or time; see README.md.
 */
export async function countFeed(
  db: Database,
  topic: FeedTopic,
  filters: readonly FeedFilter[],
  input: CountInput,
): Promise<FeedCounts[]> {
  const [byGroup, byRow] = await Promise.all([
    countByGroup(
      db,
      topic,
      filters.filter((filter) => !needsRows(filter)),
      input,
    ),
    countByRow(db, topic, filters.filter(needsRows), input),
  ]);
  return filters.map((filter) => (needsRows(filter) ? byRow : byGroup).shift() ?? NOTHING);
}

const NOTHING: FeedCounts = { total: 0, unread: 0, unseen: 0, ever: 0, settled: 0 };

/** Whether a group of items does not say which of them match. */
function needsRows({ triggerData, insertedAt }: FeedFilter): boolean {
  return triggerData !== undefined || Object.values(insertedAt).some((time) => time !== undefined);
}

async function countByGroup(
  db: Database,
  topic: FeedTopic,
  filters: readonly FeedFilter[],
  input: CountInput,
): Promise<FeedCounts[]> {
  if (filters.length === 0) return [];
  const values = feedValues(topic, input);
  const before = lowestUuidAt(Math.max(0, input.nowMs - SETTLE_AFTER_MS));
  const items = countedItems(values.add(before));
  const [row] = await db.query<CountRow & { readonly old_items: number }>(
    prepared(`select count(*) filter (where is_old) as old_items,
  ${countColumns(filters, values)}
from ${items}
${needsVersion(filters) ? 'join workflow_version v on v.id = m.version_id' : ''}`),
    values.list,
  );
  if ((row?.old_items ?? 0) > FEW_ITEMS) {
    await settleFeed(db, topic, { before, nowMs: input.nowMs });
  }
  return countsOf(filters, row);
}

async function countByRow(
  db: Database,
  topic: FeedTopic,
  filters: readonly FeedFilter[],
  input: CountInput,
): Promise<FeedCounts[]> {
  if (filters.length === 0) return [];
  const values = feedValues(topic, input);
  const [row] = await db.query<CountRow>(
    `select ${countColumns(filters, values)}
from ${feedTables(filters)}
cross join (values (1)) as item(n)
where m.environment_id = $1
  and m.collection = '$users'
  and m.recipient_id = $2
  and m.channel_id = $3
  and ${HAS_ARRIVED}`,
    values.list,
  );
  return countsOf(filters, row);
}

function feedValues(topic: FeedTopic, { settledBefore = new Date(0) }: CountInput): Values {
  return createValues(topic.environmentId, topic.userId, topic.channelId, settledBefore);
}

/** Of items `m`, each standing for `n`; `$4` is when settled ones were inserted at the latest. */
function countColumns(filters: readonly FeedFilter[], values: Values): string {
  const columns = filters.map((filter, index) => {
    const lasting = allOf(lastingConditions(filter, values));
    const shown = `${lasting}\n  and ${allOf(changingConditions(filter))}`;
    return `sum(n) filter (where ${shown}) as total_${index},
  sum(n) filter (where ${shown} and m.read_at is null) as unread_${index},
  sum(n) filter (where ${shown} and m.seen_at is null) as unseen_${index},
  sum(n) filter (where ${lasting}) as ever_${index},
  sum(n) filter (where ${lasting} and m.inserted_at < $4) as settled_${index}`;
  });
  return columns.join(',\n  ');
}

type CountRow = { readonly [column: string]: number | null };

function countsOf(filters: readonly FeedFilter[], row: CountRow | undefined): FeedCounts[] {
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
