import type { TenantScope } from '../accounts/user-token.ts';
import type { EnvironmentContext } from '../context.ts';
import { prepared } from '../db/prepared.ts';
import { BelfryError } from '../lib/errors.ts';
import { uuidFromKsuid } from '../lib/ksuid.ts';
import { batchActors } from './activities.ts';
import { JOINED_TABLES, RUN_DATA } from './conditions.ts';
import { type Message, type MessageRow, messageJson } from './message-json.ts';

/** Whose messages a caller may touch: everybody's, or one user's; of all tenants, or of some. */
export type MessageScope = {
  readonly userId?: string | undefined;
  readonly tenants?: TenantScope | undefined;
};

/** The last delivery's status, or the message's own where there is none. */
export const DELIVERY_STATUS = 'coalesce(d.status, m.status)';

export const MESSAGE_COLUMNS = `m.id, m.collection, m.recipient_id, m.tenant, m.workflow_run_id,
  m.recipient_run_id, m.workflow_key, m.version_id, m.step_ref, m.trigger_data, m.batch, m.inserted_at, m.scheduled_at,
  m.updated_at, m.seen_at, m.read_at, m.interacted_at, m.archived_at, m.link_clicked_at,
  ${RUN_DATA} as run_data,
  r.actor,
  v.content -> 'categories' as categories,
  ${DELIVERY_STATUS} as delivery_status,
  c.id as channel_id, c.key as channel_key, c.name as channel_name, c.type as channel_type,
  c.provider as channel_provider, c.created_at as channel_created_at,
  c.updated_at as channel_updated_at`;

export const MESSAGE_TABLES = `${JOINED_TABLES}
join channel c on c.id = m.channel_id
left join lateral (
  select delivery.status
  from delivery
  where delivery.message_id = m.id
  order by delivery.attempt desc
  limit 1
) d on true`;

/** Which of the rows `$3` a scope may see; its values are those of `inScope`. */
export const IN_SCOPE = `m.environment_id = $1
  and ($2::text is null or (m.collection = '$users' and m.recipient_id = $2))
  and m.id = any($3::uuid[])
  and ($4::text[] is null or m.tenant = any($4) or ($5 and m.tenant is null))`;

/** The values of `IN_SCOPE`. */
export function inScope(
  { environment }: EnvironmentContext,
  { userId, tenants }: MessageScope,
  ids: readonly string[],
): unknown[] {
  return [environment.id, userId ?? null, ids, tenants?.tenants ?? null, tenants?.untagged ?? true];
}

/** The messages of these row UUIDs in their order, without those that are not there. */
export async function loadMessages(
  ctx: EnvironmentContext,
  ids: readonly string[],
  scope: MessageScope,
): Promise<Message[]> {
  const rows = await ctx.db.query<MessageRow>(
    prepared(`select ${MESSAGE_COLUMNS}
from ${MESSAGE_TABLES}
where ${IN_SCOPE}`),
    inScope(ctx, scope, ids),
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  const actors = await batchActors(ctx.db, rows);
  return ids.flatMap((id) => {
    const row = byId.get(id);
    return row ? [messageJson(row, actors.get(id))] : [];
  });
}

/** One message by its public id. Throws `resource_missing`. */
export async function getMessage(
  ctx: EnvironmentContext,
  input: { readonly messageId: string } & MessageScope,
): Promise<Message> {
  const id = requireMessageUuid(input.messageId);
  const [message] = await loadMessages(ctx, [id], input);
  if (!message) throw messageMissing(input.messageId);
  return message;
}

export function requireMessageUuid(messageId: string): string {
  const id = uuidFromKsuid(messageId);
  if (id === undefined) throw messageMissing(messageId);
  return id;
}

export function messageMissing(messageId: string): BelfryError {
  return new BelfryError(
    'resource_missing',
    `No message ${JSON.stringify(messageId.slice(0, 100))} in this environment`,
  );
}

/** Distinct row UUIDs of public ids, in order; what is no message id is left out. */
export function messageUuids(messageIds: readonly string[]): string[] {
  const uuids = new Set<string>();
  for (const messageId of messageIds) {
    const uuid = uuidFromKsuid(messageId);
    if (uuid !== undefined) uuids.add(uuid);
  }
  return [...uuids];
}
