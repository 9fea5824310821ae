import type { EnvironmentContext } from '../context.ts';
import { isRefusedStatement } from '../db/database.ts';
import { prepared } from '../db/prepared.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { gathering } from '../lib/gather.ts';
import type { JsonObject } from '../lib/json.ts';
import { mapInTurns } from '../lib/map-in-turns.ts';
import { newestActivities } from './activities.ts';
import {
  allOf,
  createValues,
  feedConditions,
  feedTables,
  RUN_DATA,
  type Values,
} from './conditions.ts';
import { countFeed, type FeedMetadata, feedMetadata } from './count-feed.ts';
import { readRecipients } from './embedded-recipient.ts';
import { readExcludedPaths } from './exclude-fields.ts';
import { type FeedFilter, readFeedFilter } from './feed-filter.ts';
import { type FeedItem, type FeedMode, type FeedRow, feedItem } from './feed-item.ts';
import type { FeedTopic } from './feed-topic.ts';
import { requireChannel } from './find-channel.ts';
import { cutPage, type PageInfo, type PageRequest, readPage, readsBackward } from './page.ts';
import {
  choiceParameter,
  type RawParameters,
  rawParameter,
  textParameter,
} from './query-reader.ts';
import { readStepTemplates } from './step-templates.ts';
import type { Tracking } from './tracked-links.ts';

const LATEST_ARRIVAL_MS = 86_400_000;
const CATCH_UP_SIZE = 500;

export type FeedQuery = {
  readonly filter: FeedFilter;
  readonly page: PageRequest;
  readonly mode: FeedMode;
  readonly exclude: readonly (readonly string[])[];
};

export type FeedPage = {
  readonly entries: readonly FeedItem[];
  readonly meta: FeedMetadata;
  readonly page_info: PageInfo;
  readonly vars: JsonObject;
};

/** The query in these parameters. Throws `invalid_params` naming the parameter that is wrong. */
export function readFeedQuery(parameters: RawParameters): FeedQuery {
  // One set of templates a version so far: there is nothing else to render a locale from.
  textParameter(parameters, 'locale');
  return {
    filter: readFeedFilter(parameters),
    page: readFeedPage(parameters),
    mode: choiceParameter(parameters, 'mode', ['compact', 'rich']) ?? 'rich',
    exclude: readExcludedPaths(textParameter(parameters, 'exclude')),
  };
}

/**
 * A client that asks for what is newer than its newest item, without a page size, gets all of it:
 * it asks once an event, and sorts by times of a millisecond, so of a burst in one millisecond it
 * could not ask for a second page.
 */
function readFeedPage(parameters: RawParameters): PageRequest {
  const page = readPage(parameters);
  const isCatchUp = readsBackward(page) && rawParameter(parameters, 'page_size') === undefined;
  return isCatchUp ? { ...page, size: CATCH_UP_SIZE } : page;
}

/** A page of a user's in-app feed, newest first, and the counts of the whole view. */
export async function listFeed(
  ctx: EnvironmentContext,
  input: {
    readonly userId: string;
    readonly channelId: string;
    readonly query: FeedQuery;
    /** The environment's public variables. */
    readonly vars?: JsonObject;
    /** Absent: links are shown as they were written. */
    readonly tracking?: Tracking | undefined;
  },
): Promise<FeedPage> {
  const { userId, channelId, query } = input;
  await requireChannel(ctx, channelId, 'in_app_feed');
  const topic = { environmentId: ctx.environment.id, channelId, userId };
  const [read, [counts]] = await Promise.all([
    readRows(ctx, topic, query),
    countFeed(ctx.db, topic, [query.filter], { nowMs: ctx.clock.now() }),
  ]);
  const { rows, info } = cutPage(query.page, read);
  const isOfBatch = (row: FeedRow): boolean => row.batch !== null;
  const [recipient, step, batches] = await Promise.all([
    readRecipients(ctx, [userId, ...rows.flatMap((row) => (isOfBatch(row) ? [] : [row.actor]))]),
    readStepTemplates(ctx.db, rows),
    newestActivities(
      ctx.db,
      rows.filter(isOfBatch).map(({ id }) => id),
    ),
  ]);
  const view = { userId, mode: query.mode, recipient, step, batches, tracking: input.tracking };
  return {
    entries: await mapInTurns(rows, (row) => feedItem(row, view)),
    meta: feedMetadata(counts),
    page_info: info,
    vars: input.vars ?? {},
  };
}

type Asked = {
  readonly ctx: EnvironmentContext;
  readonly topic: FeedTopic;
  readonly query: Pick<FeedQuery, 'filter' | 'page'>;
};

/** Of up to 51 items each, with what they say. */
const MAX_TOGETHER = 16;
const STATEMENTS = 2;

/** First pages of feeds of an environment that are asked for at the same time, by the same filter, are read by one statement. */
const readTogether = gathering<Asked, FeedRow[]>({
  run: async (asked) => {
    const [first] = asked;
    if (!first) return [];
    const rows = await readPages(
      first,
      asked.map(({ topic }) => topic),
    );
    const pages: FeedRow[][] = asked.map(() => []);
    for (const row of rows) pages[row.nth - 1]?.push(row);
    return pages;
  },
  maxItems: MAX_TOGETHER,
  maxUnderWay: STATEMENTS,
  isRefusal: isRefusedStatement,
});

function readRows(
  ctx: EnvironmentContext,
  topic: FeedTopic,
  { filter, page }: FeedQuery,
): Promise<FeedRow[]> {
  const group = `${topic.environmentId} ${JSON.stringify([filter, page])}`;
  return readTogether(ctx.db, group, { ctx, topic, query: { filter, page } });
}

/** The page of each of these feeds, one after the other. */
function readPages(
  { ctx, query: { filter, page } }: Asked,
  topics: readonly FeedTopic[],
): Promise<(FeedRow & { readonly nth: number })[]> {
  const values = createValues(
    ctx.environment.id,
    topics.map(({ userId }) => userId),
    topics.map(({ channelId }) => channelId),
    page.size + 1,
  );
  const conditions = feedConditions(filter, values);
  const backward = readsBackward(page);
  if (page.after !== undefined) conditions.push(`m.id < ${values.add(page.after)}`);
  if (page.before !== undefined) {
    conditions.push(
      backward ? insertedSince(page.before, values) : `m.id > ${values.add(page.before)}`,
    );
  }
  const order = (row: string) =>
    backward ? `${row}.inserted_at asc, ${row}.id asc` : `${row}.id desc`;
  return ctx.db.query<FeedRow & { readonly nth: number }>(
    prepared(`select t.nth, page.*
from unnest($2::text[], $3::uuid[]) with ordinality as t(user_id, channel_id, nth)
cross join lateral (
  select m.id, m.workflow_key, m.version_id, m.step_ref, m.recipient_run_id, m.batch, m.tenant, m.content,
    m.trigger_data, m.inserted_at, m.updated_at, m.seen_at, m.read_at, m.interacted_at, m.archived_at,
    m.link_clicked_at,
    ${RUN_DATA} as run_data,
    r.actor, r.accepted_at
  from ${feedTables([filter])}
  where m.environment_id = $1
    and m.collection = '$users'
    and m.recipient_id = t.user_id
    and m.channel_id = t.channel_id
    and ${allOf(conditions)}
  order by ${order('m')}
  limit $4
) page
order by t.nth, ${order('page')}`),
    values.list,
  );
}

/**
 * What came into the feed after the item of a cursor. Ids have the time at which the trigger was
 * accepted, and of two triggers the later may be done first: a client that has seen its item asks
 * for what is newer than that, and must be given the earlier one too when it arrives. A day bounds
 * the search in the index.
 */
function insertedSince(id: string, values: Values): string {
  const idMs = Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
  const cursor = values.add(id);
  const acceptedAt = values.add(new Date(idMs));
  const floor = values.add(lowestUuidAt(Math.max(0, idMs - LATEST_ARRIVAL_MS)));
  const seenAt = `coalesce((select seen.inserted_at from message seen where seen.id = ${cursor}), ${acceptedAt})`;
  return `m.id > ${floor}
  and (
    (m.inserted_at, m.id) > (${seenAt}, ${cursor})
    or (m.scheduled_at is not null and exists (
      select
      from delivery late
      where late.message_id = m.id
        and late.attempted_at > ${seenAt}
    ))
  )`;
}
