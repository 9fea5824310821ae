import type { EnvironmentContext } from '../context.ts';
import { type BulkOperation, completedBulkOperation } from '../lib/bulk-operation.ts';
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
import { requireChannel } from './find-channel.ts';
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

const CHUNK = 1_000;
const MAX_CHUNKS = 1_000;
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

/**
 * Sets a status of every message of a channel that matches, in chunks of a thousand, and answers
 * the finished operation. Messages that arrive meanwhile stay as they are.
 */
export async function bulkUpdateMessageStatus(
  ctx: EnvironmentContext,
  input: {
    readonly channelId: string;
    readonly action: string;
    readonly filter: BulkFilter;
  } & MessageScope,
): Promise<BulkOperation> {
  await requireChannel(ctx, input.channelId);
  const startedMs = ctx.clock.now();
  const status = Object.hasOwn(bulkActions, input.action) ? bulkActions[input.action] : undefined;
  if (status === undefined) {
    throw invalidField('action', `must be one of ${Object.keys(bulkActions).join(', ')}`);
  }
  let count = 0;
  let after = '00000000-0000-0000-0000-000000000000';
  for (let chunk = 0; chunk < MAX_CHUNKS; chunk++) {
    const ids = await changeChunk(ctx, { ...input, status, after });
    count += ids.length;
    after = ids.at(-1) ?? after;
    if (ids.length < CHUNK) break;
  }
  return completedBulkOperation({
    name: `messages.${input.action}`,
    count,
    startedMs,
    completedMs: ctx.clock.now(),
  });
}

function changeChunk(
  ctx: EnvironmentContext,
  input: {
    readonly channelId: string;
    readonly filter: BulkFilter;
    readonly status: MessageStatus;
    readonly after: string;
  } & MessageScope,
): Promise<string[]> {
  const { recipientIds } = input.filter;
  const values = createValues(ctx.environment.id, input.channelId, input.after, CHUNK);
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
