import { type Database, isRefusedStatement } from '../db/database.ts';
import { prepared } from '../db/prepared.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { gathering } from '../lib/gather.ts';
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

/** Nobody asks what is settled. */
const NEVER_MS = 0;

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
  const group = `${topic.environmentId} ${JSON.stringify(filters)}`;
  const { counts, oldItems } = await countTogether(db, group, { db, topic, filters, input });
  if (oldItems > FEW_ITEMS) {
    await settleFeed(db, topic, { before: settleBound(input.nowMs), nowMs: input.nowMs });
  }
  return counts;
}

type Asked = {
  readonly db: Database;
  readonly topic: FeedTopic;
  readonly filters: readonly FeedFilter[];
  readonly input: CountInput;
};

type Counted = { readonly counts: FeedCounts[]; readonly oldItems: number };

const MAX_TOGETHER = 100;
const STATEMENTS = 2;

/** Feeds of an environment that are counted at the same time by the same filters are counted by one statement. */
const countTogether = gathering<Asked, Counted>({
  run: async (asked) => {
    const [first] = asked;
    return first ? countMany(first, asked) : [];
  },
  maxItems: MAX_TOGETHER,
  maxUnderWay: STATEMENTS,
  isRefusal: isRefusedStatement,
});

/**
 * To plan takes longer than to count, so no plan should look better for its values than the one that is kept. They are in subqueries,
 * into which the planner does not look: it would find one feed cheaper than its guess of an array, or a small environment cheaper than a
 * usual one. It also compares with what plans cost when the database was smaller, so whoever counts all the time asks a pool with
 * `plansForAnyValues` (docs/decisions/0041).
 */
async function countMany(
  { db, topic, filters }: Asked,
  asked: readonly Asked[],
): Promise<Counted[]> {
  // Who says the earliest time may be told of an item once too often, and never of one too few.
  const settledBefore = Math.min(
    ...asked.map(({ input }) => input.settledBefore?.getTime() ?? NEVER_MS),
  );
  const nowMs = Math.min(...asked.map(({ input }) => input.nowMs));
  const values = createValues(
    topic.environmentId,
    asked.map(({ topic: { userId } }) => userId),
    asked.map(({ topic: { channelId } }) => channelId),
    new Date(settledBefore),
  );
  const items = countedItems(values.add(settleBound(nowMs)));
  const rows = await db.query<CountRow & { readonly nth: number; readonly old_items: number }>(
    prepared(`select asked.nth, counted.*
from unnest((select $2::text[]), (select $3::uuid[])) with ordinality as asked(user_id, channel_id, nth)
cross join lateral (select (select $1::int) as environment_id, asked.user_id, asked.channel_id) t
cross join lateral (
  select count(*) filter (where is_old) as old_items,
  ${countColumns(filters, values, '$4')}
  from ${items}
  ${needsVersion(filters) ? 'join workflow_version v on v.id = m.version_id' : ''}
) counted
order by asked.nth`),
    values.list,
  );
  return rows.map((row) => ({ counts: countsOf(filters, row), oldItems: row.old_items }));
}

function settleBound(nowMs: number): string {
  return lowestUuidAt(Math.max(0, nowMs - SETTLE_AFTER_MS));
}

async function countByRow(
  db: Database,
  topic: FeedTopic,
  filters: readonly FeedFilter[],
  input: CountInput,
): Promise<FeedCounts[]> {
  if (filters.length === 0) return [];
  const values = createValues(
    topic.environmentId,
    topic.userId,
    topic.channelId,
    input.settledBefore ?? new Date(NEVER_MS),
  );
  const [row] = await db.query<CountRow>(
    `select ${countColumns(filters, values, '$4')}
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

/** Of items `m`, each standing for `n`; settled ones were inserted before a time. */
function countColumns(
  filters: readonly FeedFilter[],
  values: Values,
  settledBefore: string,
): string {
  const columns = filters.map((filter, index) => {
    const lasting = allOf(lastingConditions(filter, values));
    const shown = `${lasting}\n  and ${allOf(changingConditions(filter))}`;
    return `sum(n) filter (where ${shown}) as total_${index},
  sum(n) filter (where ${shown} and m.read_at is null) as unread_${index},
  sum(n) filter (where ${shown} and m.seen_at is null) as unseen_${index},
  sum(n) filter (where ${lasting}) as ever_${index},
  sum(n) filter (where ${lasting} and m.inserted_at < ${settledBefore}) as settled_${index}`;
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
