import type { EnvironmentContext } from '../context.ts';
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

/** Messages that a turn of a bulk operation changes, at the most. */
export const MESSAGES_OF_A_TURN = 1_000;
const NIL_UUID = '00000000-0000-0000-0000-000000000000';
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

/**
 * Sets a status of up to 1,000 messages of a channel that match, by id, behind `after`; those that came later than `until`
 * stay as they are. Returns the ids that were changed, in their order.
 */
export function changeMessagesAfter(
  ctx: EnvironmentContext,
  input: {
    readonly channelId: string;
    readonly filter: BulkFilter;
    readonly status: MessageStatus;
    readonly after: string | null;
    readonly until: Date;
  } & MessageScope,
): Promise<string[]> {
  const { recipientIds } = input.filter;
  const values = createValues(
    ctx.environment.id,
    input.channelId,
    input.after ?? NIL_UUID,
    MESSAGES_OF_A_TURN,
    input.until,
  );
  const conditions = [HAS_ARRIVED, ...input.filter.conditions(values)];
  if (recipientIds) {
    conditions.push(`m.recipient_id = any(${values.add(recipientIds)}::text[])`);
    conditions.push("m.collection = '$users'");
  }
  if (input.userId !== undefined) {
    conditions.push(`m.recipient_id = ${values.add(input.userId)}`, "m.collection = '$users'");
  }
  if (input.tenants) {
    const { tenants, untagged } = input.tenants;
    const named = `m.tenant = any(${values.add(tenants)}::text[])`;
    conditions.push(untagged ? `(${named} or m.tenant is null)` : named);
  }
  return ctx.db.transaction(async (tx) => {
    const rows = await tx.query<{ readonly id: string }>(
      `select m.id, ${CHANGING}
from ${JOINED_TABLES}
where m.environment_id = $1
  and m.channel_id = $2
  and m.id > $3
  and m.inserted_at <= $5
  and ${statusApplies(input.status)}
  and ${allOf(conditions)}
order by m.id
limit $4
for update of m`,
      values.list,
    );
    const ids = rows.map((row) => row.id);
    await applyStatus(ctx, tx, { ids, status: input.status });
    return ids;
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
