import type { EnvironmentContext } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { prepared } from '../db/prepared.ts';
import { invalidField } from '../lib/errors.ts';
import { gathering } from '../lib/gather.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { timeOrderedUuid } from '../lib/uuid.ts';
import { signalsSql } from '../signals/signals-sql.ts';
import { webhookEventsSql } from '../signals/webhook-events-sql.ts';
import {
  IN_SCOPE,
  inScope,
  loadMessages,
  type MessageScope,
  messageMissing,
  messageUuids,
} from './load-messages.ts';
import { messageEventTypes } from './message-event-type.ts';
import type { Message } from './message-json.ts';
import { CHANGING, MOVED, WAS } from './settled-counts.ts';

export const messageStatuses = [
  'seen',
  'unseen',
  'read',
  'unread',
  'interacted',
  'archived',
  'unarchived',
] as const;

/** What a person did with a message, or took back. */
export type MessageStatus = (typeof messageStatuses)[number];

export const MAX_BATCH = 1_000;
const MAX_METADATA_KEYS = 5;

/**
 * How each status changes a message (`$1` is the time of the action, which replaces an earlier
 * one), and whether there is anything to take back: what was not read cannot become unread again.
 */
const changes: Readonly<Record<MessageStatus, { readonly set: string; readonly applies: string }>> =
  {
    seen: { set: 'seen_at = $1', applies: 'true' },
    unseen: { set: 'seen_at = null', applies: 'm.seen_at is not null' },
    read: { set: 'read_at = $1', applies: 'true' },
    unread: { set: 'read_at = null', applies: 'm.read_at is not null' },
    // Whoever interacts with a message has read it.
    interacted: { set: 'interacted_at = $1, read_at = coalesce(m.read_at, $1)', applies: 'true' },
    archived: { set: 'archived_at = $1', applies: 'true' },
    unarchived: { set: 'archived_at = null', applies: 'm.archived_at is not null' },
  };

/** The condition under which a status changes a row. */
export function statusApplies(status: MessageStatus): string {
  return changes[status].applies;
}

/** Sets a status of several messages; unknown ids are left out of the answer. */
export async function updateMessageStatuses(
  ctx: EnvironmentContext,
  input: {
    readonly messageIds: readonly string[];
    readonly status: MessageStatus;
    readonly metadata?: JsonObject | undefined;
  } & MessageScope,
): Promise<Message[]> {
  const ids = messageUuids(input.messageIds);
  if (ids.length === 0) return [];
  await ctx.db.transaction(async (tx) => {
    // In one order, so that two callers with the same messages wait instead of deadlocking.
    const locked = await tx.query<{ readonly id: string }>(
      prepared(`select m.id, ${CHANGING}
from message m
where ${IN_SCOPE}
  and ${statusApplies(input.status)}
order by m.id
for update`),
      inScope(ctx, input, ids),
    );
    await applyStatus(ctx, tx, { ...input, ids: locked.map((row) => row.id) });
  });
  return loadMessages(ctx, ids, input);
}

/** Sets a status of one message. Throws `resource_missing`. */
export async function updateMessageStatus(
  ctx: EnvironmentContext,
  input: {
    readonly messageId: string;
    readonly status: MessageStatus;
    readonly metadata?: JsonObject | undefined;
  } & MessageScope,
): Promise<Message> {
  const { messageId, status, metadata, userId, tenants } = input;
  if (metadata !== undefined) {
    const [message] = await updateMessageStatuses(ctx, { ...input, messageIds: [messageId] });
    if (!message) throw messageMissing(messageId);
    return message;
  }
  const scope = { userId, tenants };
  const group = `${ctx.environment.id} ${status} ${JSON.stringify(scope)}`;
  return updateTogether(ctx.db, group, { ctx, messageId, status, scope });
}

type Update = {
  readonly ctx: EnvironmentContext;
  readonly messageId: string;
  readonly status: MessageStatus;
  readonly scope: MessageScope;
};

const MAX_TOGETHER = 100;
const TRANSACTIONS = 2;

/** Messages that are given the same status at the same time, by callers who may touch the same, share a transaction. */
const updateTogether = gathering<Update, Message>({
  run: async (updates) => {
    const [first] = updates;
    if (!first) return [];
    const { ctx, status, scope } = first;
    const messageIds = updates.map(({ messageId }) => messageId);
    const messages = await updateMessageStatuses(ctx, { ...scope, status, messageIds });
    const byId = new Map(messages.map((message) => [message.id, message]));
    return messageIds.map((id) => byId.get(id) ?? messageMissing(id));
  },
  maxItems: MAX_TOGETHER,
  maxUnderWay: TRANSACTIONS,
  nameOf: ({ messageId }) => messageId,
  // An id can be unknown, but nothing in it refused; and what was changed before a read failed must not be again.
  isRefusal: () => false,
});

/** Changes rows that the transaction has locked (with `CHANGING`), and records an event for each. */
export async function applyStatus(
  ctx: EnvironmentContext,
  tx: Queryable,
  input: {
    readonly ids: readonly string[];
    readonly status: MessageStatus;
    readonly metadata?: JsonObject | undefined;
  },
): Promise<void> {
  if (input.ids.length === 0) return;
  const nowMs = ctx.clock.now();
  await tx.query(
    prepared(`with changed as (
  update message m
  set ${changes[input.status].set},
    updated_at = $1
  from message o
  where m.id = any($2::uuid[])
    and o.id = m.id
  returning m.id, m.environment_id, m.collection, m.recipient_id, m.channel_id, m.tenant, m.workflow_key, m.version_id,
    m.workflow_run_id, m.step_ref, m.scheduled_at, m.seen_at, m.read_at, m.archived_at, ${WAS}
), ${MOVED}, signals as (
  ${signalsSql(`
    select environment_id, collection, recipient_id, 'message' as kind, workflow_key as source, $7::text as event,
           jsonb_build_object('message_uuid', id, 'workflow_run_id', workflow_run_id, 'workflow', workflow_key,
                              'step_ref', step_ref) || coalesce($6::jsonb, '{}') as detail
    from changed`)}
), event as (
  select unnested.id, changed.id as message_id
  from unnest($2::uuid[], $3::uuid[]) as unnested (message_id, id)
  join changed on changed.id = unnested.message_id
), webhooks as (
  ${webhookEventsSql(
    `
    select $4::int as environment_id, $5::int as type, id as event_id, message_id as subject, null::json as content
    from event`,
    '$1::timestamptz',
  )}
)
insert into message_event (id, message_id, environment_id, type, data, inserted_at)
select id, message_id, $4, $5, $6, $1
from event`),
    [
      new Date(nowMs),
      input.ids,
      input.ids.map(() => timeOrderedUuid(nowMs)),
      ctx.environment.id,
      messageEventTypes[input.status],
      input.metadata ? JSON.stringify({ metadata: input.metadata }) : null,
      input.status,
    ],
  );
}

/** The metadata of an interaction: at most five flat values. Throws `invalid_params`. */
export function readInteractionMetadata(value: unknown): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw invalidField('metadata', 'must be an object');
  const entries = Object.entries(value);
  if (entries.length > MAX_METADATA_KEYS) {
    throw invalidField('metadata', `may have at most ${MAX_METADATA_KEYS} keys`);
  }
  for (const [key, item] of entries) {
    if (item !== null && typeof item === 'object') {
      throw invalidField(`metadata.${key}`, 'must not be nested');
    }
  }
  return value;
}
