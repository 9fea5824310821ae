import type { EnvironmentContext } from '../context.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { createValues } from './conditions.ts';
import { getMessage, requireMessageUuid } from './load-messages.ts';
import { messageEventName } from './message-event-type.ts';
import { cutPage, type PageInfo, type PageRequest, readsBackward } from './page.ts';
import type { RecipientReference } from './recipient-reference.ts';

export type MessageEvent = {
  readonly __typename: 'MessageEvent';
  readonly id: string;
  readonly type: string;
  readonly recipient: RecipientReference;
  readonly data: JsonObject | null;
  readonly inserted_at: string;
};

type EventRow = {
  readonly id: string;
  readonly type: number;
  readonly data: JsonObject | null;
  readonly inserted_at: Date;
};

/** What happened to a message, newest first. Throws `resource_missing`. */
export async function listMessageEvents(
  ctx: EnvironmentContext,
  input: { readonly messageId: string; readonly page: PageRequest },
): Promise<{ readonly items: readonly MessageEvent[]; readonly page_info: PageInfo }> {
  const { page } = input;
  const message = await getMessage(ctx, input);
  const values = createValues(requireMessageUuid(input.messageId), page.size + 1);
  const conditions = ['e.message_id = $1'];
  if (page.after !== undefined) conditions.push(`e.id < ${values.add(page.after)}`);
  if (page.before !== undefined) conditions.push(`e.id > ${values.add(page.before)}`);
  const read = await ctx.db.query<EventRow>(
    `select e.id, e.type, e.data, e.inserted_at
from message_event e
where ${conditions.join('\n  and ')}
order by e.id ${readsBackward(page) ? 'asc' : 'desc'}
limit $2`,
    values.list,
  );
  const { rows, info } = cutPage(page, read);
  return {
    items: rows.map((row) => ({
      __typename: 'MessageEvent',
      id: ksuidFromUuid(row.id),
      type: messageEventName(row.type),
      recipient: message.recipient,
      data: row.data,
      inserted_at: row.inserted_at.toISOString(),
    })),
    page_info: info,
  };
}

export type DeliveryLog = {
  readonly __typename: 'MessageDeliveryLog';
  readonly id: string;
  readonly environment_id: string;
  readonly service_name: string;
  readonly request: JsonObject;
  readonly response: JsonObject;
  readonly inserted_at: string;
};

type DeliveryRow = {
  readonly id: string;
  readonly provider: string;
  readonly detail: JsonObject;
  readonly attempted_at: Date;
};

/**
 * What was said to the provider and what it answered, newest attempt first. An attempt has no id of
 * its own: the message's with the attempt in its last two digits stands for it, and is its cursor.
 */
export async function listDeliveryLogs(
  ctx: EnvironmentContext,
  input: { readonly messageId: string; readonly page: PageRequest },
): Promise<{ readonly items: readonly DeliveryLog[]; readonly page_info: PageInfo }> {
  const { page } = input;
  await getMessage(ctx, input);
  const values = createValues(requireMessageUuid(input.messageId), page.size + 1);
  const conditions = ['true'];
  if (page.after !== undefined) conditions.push(`log.id < ${values.add(page.after)}`);
  if (page.before !== undefined) conditions.push(`log.id > ${values.add(page.before)}`);
  const read = await ctx.db.query<DeliveryRow>(
    `select log.id, log.provider, log.detail, log.attempted_at
from (
  select overlay(d.message_id::text placing lpad(to_hex(d.attempt % 256), 2, '0') from 35)::uuid as id,
    d.provider, d.detail, d.attempted_at
  from delivery d
  where d.message_id = $1
) log
where ${conditions.join('\n  and ')}
order by log.id ${readsBackward(page) ? 'asc' : 'desc'}
limit $2`,
    values.list,
  );
  const { rows, info } = cutPage(page, read);
  return {
    items: rows.map((row) => ({
      __typename: 'MessageDeliveryLog',
      id: ksuidFromUuid(row.id),
      environment_id: ctx.environment.publicId,
      service_name: row.provider,
      request: part(row.detail, 'request', {}),
      response: part(row.detail, 'response', { body: row.detail }),
      inserted_at: row.attempted_at.toISOString(),
    })),
    page_info: info,
  };
}

function part(detail: JsonObject, name: string, otherwise: JsonObject): JsonObject {
  const value = detail[name];
  return isJsonObject(value) ? value : otherwise;
}
