import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import { lowestUuidAt } from '../lib/address.ts';
import { invalidField } from '../lib/errors.ts';
import {
  allOf,
  createValues,
  HAS_ARRIVED,
  JOINED_TABLES,
  triggerDataConditions,
  type Values,
} from './conditions.ts';
import { deliveryStatuses, deliveryStatusNumber } from './delivery-status.ts';
import { archivedFilters } from './feed-filter.ts';
import type { MessageScope } from './load-messages.ts';
import {
  engagementConditions,
  engagementFilters,
  type MessageConditions,
} from './message-filter.ts';
import { applyStatus, type MessageStatus, statusApplies } from './message-status.ts';
import {
  booleanParameter,
  choiceParameter,
  choicesParameter,
  dateParameter,
  type RawParameters,
  textsParameter,
} from './query-reader.ts';
import { CHANGING } from './settled-counts.ts';
import { triggerDataParameter } from './trigger-data.ts';

/** The actions of the wire and what they do; both spellings of archiving are in use. */
export const bulkActions: Readonly<Record<string, MessageStatus>> = {
  seen: 'seen',
  unseen: 'unseen',
  read: 'read',
  unread: 'unread',
  interacted: 'interacted',
  archive: 'archived',
  archived: 'archived',
  unarchive: 'unarchived',
  unarchived: 'unarchived',
};

/** Messages that a turn of a bulk operation looks at, and recipients whose messages these are, at the most. */
const MESSAGES_OF_A_TURN = 2_000;
const RECIPIENTS_OF_A_TURN = 50;
const MAX_RECIPIENTS = 1_000;

export type BulkFilter = {
  /** Absent: everybody's messages. */
  readonly recipientIds: readonly string[] | undefined;
  readonly conditions: MessageConditions;
};

/** The filters of a bulk change. The browser client calls its own user `user_ids`. */
export function readBulkFilter(body: RawParameters): BulkFilter {
  const recipientIds =
    textsParameter(body, 'recipient_ids', MAX_RECIPIENTS) ??
    textsParameter(body, 'user_ids', MAX_RECIPIENTS);
  const archived = choiceParameter(body, 'archived', archivedFilters) ?? 'include';
  const statuses = choicesParameter(body, 'delivery_status', deliveryStatuses);
  const engagements = choicesParameter(body, 'engagement_status', engagementFilters) ?? [];
  const hasTenant = booleanParameter(body, 'has_tenant');
  const newerThan = dateParameter(body, 'newer_than');
  const olderThan = dateParameter(body, 'older_than');
  const tenants = textsParameter(body, 'tenants');
  const workflows = textsParameter(body, 'workflows');
  const triggerData = triggerDataParameter(body);
  const conditions = (values: Values): string[] => [
    ...(archived === 'exclude' ? ['m.archived_at is null'] : []),
    ...(archived === 'only' ? ['m.archived_at is not null'] : []),
    ...(statuses ? [deliveryCondition(values.add(statuses.map(deliveryStatusNumber)))] : []),
    ...engagements.map((engagement) => engagementConditions[engagement]),
    ...(hasTenant === true ? ['m.tenant is not null'] : []),
    ...(hasTenant === false ? ['m.tenant is null'] : []),
    ...(newerThan ? [`m.inserted_at > ${values.add(newerThan)}`] : []),
    ...(olderThan ? [`m.inserted_at < ${values.add(olderThan)}`] : []),
    // As in the feed: a tenant's view has the items of no tenant too, unless `has_tenant` is set.
    ...(tenants?.length
      ? [
          hasTenant === undefined && body.user_ids !== undefined
            ? `(m.tenant = any(${values.add(tenants)}::text[]) or m.tenant is null)`
            : `m.tenant = any(${values.add(tenants)}::text[])`,
        ]
      : []),
    ...(workflows?.length ? [`m.workflow_key = any(${values.add(workflows)}::text[])`] : []),
    ...(triggerData ? triggerDataConditions(triggerData, values) : []),
  ];
  return { recipientIds, conditions };
}

/** The status that an action of the wire sets. Throws `invalid_params`. */
export function parseBulkAction(action: string): MessageStatus {
  const status = Object.hasOwn(bulkActions, action) ? bulkActions[action] : undefined;
  if (status !== undefined) return status;
  throw invalidField('action', `must be one of ${Object.keys(bulkActions).join(', ')}`);
}

export type BulkChange = {
  readonly channelId: string;
  readonly filter: BulkFilter;
  readonly status: MessageStatus;
  /** Messages that came later stay as they are. */
  readonly until: Date;
} & MessageScope;

/** Up to where messages were looked at: of the recipient at `position` in the list, where there is one, by id. */
export type BulkCursor = { readonly position: number; readonly afterId: string };

export const FIRST_MESSAGES: BulkCursor = { position: 0, afterId: lowestUuidAt(0) };

/** Looks at the next 2,000 messages and sets the status of those that match. In the caller's transaction, if it is in one. */
export async function changeNextMessages(
  ctx: EnvironmentContext,
  change: BulkChange,
  cursor: BulkCursor,
): Promise<{ readonly changed: number; readonly cursor: BulkCursor; readonly isLast: boolean }> {
  const recipients = recipientsOf(change);
  const next = recipients
    ? await candidatesOf(ctx, change, recipients, cursor)
    : await candidatesOfAnybody(ctx, change, cursor);
  const changed = await changeMatching(ctx, change, next.ids, recipients !== undefined);
  return { changed, cursor: next.cursor, isLast: next.isLast };
}

type Candidates = {
  readonly ids: readonly string[];
  readonly cursor: BulkCursor;
  readonly isLast: boolean;
};

/** Undefined: everybody. */
function recipientsOf({ filter, userId }: BulkChange): readonly string[] | undefined {
  if (userId === undefined) return filter.recipientIds;
  return !filter.recipientIds || filter.recipientIds.includes(userId) ? [userId] : [];
}

/** One recipient after the other, so that a message of few people is found by the index however many there are of others. */
async function candidatesOf(
  ctx: EnvironmentContext,
  { channelId }: BulkChange,
  recipients: readonly string[],
  { position, afterId }: BulkCursor,
): Promise<Candidates> {
  const page = recipients.slice(position, position + RECIPIENTS_OF_A_TURN);
  const rows = await ctx.db.query<{ readonly n: number; readonly id: string }>(
    {
      name: 'bulk_messages_of_recipients',
      text: `select r.n::int as n, m.id
             from unnest($3::text[]) with ordinality as r(id, n)
             cross join lateral (
               select message.id
               from message
               where message.environment_id = $1
                 and message.recipient_id = r.id
                 and message.channel_id = $2
                 and message.id > case r.n when 1 then $4::uuid else '${FIRST_MESSAGES.afterId}' end
               order by message.id
               limit ${MESSAGES_OF_A_TURN}
             ) m
             order by r.n, m.id
             limit ${MESSAGES_OF_A_TURN}`,
    },
    [ctx.environment.id, channelId, textArray(page), afterId],
  );
  const last = rows[MESSAGES_OF_A_TURN - 1];
  return {
    ids: rows.map(({ id }) => id),
    cursor: last
      ? { position: position + last.n - 1, afterId: last.id }
      : { position: position + page.length, afterId: FIRST_MESSAGES.afterId },
    isLast: last === undefined && position + page.length >= recipients.length,
  };
}

/** Whatever the environment has sent, on other channels too: there is no index by channel. */
async function candidatesOfAnybody(
  ctx: EnvironmentContext,
  { channelId, until }: BulkChange,
  { position, afterId }: BulkCursor,
): Promise<Candidates> {
  const rows = await ctx.db.query<{ readonly id: string; readonly is_own: boolean }>(
    {
      name: 'bulk_messages_of_anybody',
      text: `select id, channel_id = $2 as is_own
             from message
             where environment_id = $1
               and id > $3
               and id < $4
             order by id
             limit ${MESSAGES_OF_A_TURN}`,
    },
    // An id has the time at which its run was accepted, which is before the message.
    [ctx.environment.id, channelId, afterId, lowestUuidAt(until.getTime() + 1)],
  );
  return {
    ids: rows.flatMap(({ id, is_own: isOwn }) => (isOwn ? [id] : [])),
    cursor: { position, afterId: rows.at(-1)?.id ?? afterId },
    isLast: rows.length < MESSAGES_OF_A_TURN,
  };
}

async function changeMatching(
  ctx: EnvironmentContext,
  { channelId, filter, status, until, tenants }: BulkChange,
  candidates: readonly string[],
  areUsers: boolean,
): Promise<number> {
  if (candidates.length === 0) return 0;
  const values = createValues(ctx.environment.id, channelId, candidates, until);
  const conditions = [HAS_ARRIVED, ...filter.conditions(values)];
  if (areUsers) conditions.push("m.collection = '$users'");
  if (tenants) {
    const named = `m.tenant = any(${values.add(tenants.tenants)}::text[])`;
    conditions.push(tenants.untagged ? `(${named} or m.tenant is null)` : named);
  }
  return ctx.db.transaction(async (tx) => {
    const rows = await tx.query<{ readonly id: string }>(
      `select m.id, ${CHANGING}
from ${JOINED_TABLES}
where m.id = any($3::uuid[])
  and m.environment_id = $1
  and m.channel_id = $2
  and m.inserted_at <= $4
  and ${statusApplies(status)}
  and ${allOf(conditions)}
order by m.id
for update of m`,
      values.list,
    );
    await applyStatus(ctx, tx, { ids: rows.map((row) => row.id), status });
    return rows.length;
  });
}

function deliveryCondition(statuses: string): string {
  return `coalesce((
    select delivery.status
    from delivery
    where delivery.message_id = m.id
    order by delivery.attempt desc
    limit 1
  ), m.status) = any(${statuses}::int[])`;
}
