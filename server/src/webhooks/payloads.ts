import type { EnvironmentContext } from '../context.ts';
import { loadMessages } from '../feed/load-messages.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { loadRuns } from '../runs/load-runs.ts';
import { webhookEventName } from '../signals/webhook-event-types.ts';
import type { DueDelivery } from './delivery.ts';

/** Bodies of requests by delivery; none for what is about something that is gone. */
export type Payloads = ReadonlyMap<number, string>;

/**
 * What is sent of these events of one environment: `{__typename, type, created_at, data, event_data}`, with the message
 * or run as it is now. Three queries for all of them.
 */
export async function loadPayloads(
  ctx: EnvironmentContext,
  deliveries: readonly DueDelivery[],
): Promise<Payloads> {
  const about = (prefix: string) =>
    deliveries.filter(({ type }) => webhookEventName(type)?.startsWith(prefix));
  const ofMessages = about('message.');
  const messages = new Map(
    (await loadMessages(ctx, subjects(ofMessages), {})).map((message) => [message.id, message]),
  );
  const eventData = await loadEventData(ctx, ofMessages);
  const runs = await loadRuns(ctx, subjects(about('workflow_recipient_run.')));

  const payloads = new Map<number, string>();
  for (const delivery of deliveries) {
    const type = webhookEventName(delivery.type);
    if (type === undefined) continue;
    const { subject, content } = delivery;
    const data =
      subject === null
        ? content?.data
        : type.startsWith('message.')
          ? messages.get(ksuidFromUuid(subject))
          : runs.get(subject);
    if (data === undefined) continue;
    const details = subject === null ? content?.event_data : eventData.get(delivery.event_id);
    payloads.set(
      delivery.id,
      JSON.stringify({
        __typename: 'Event',
        type,
        created_at: delivery.created_at.toISOString(),
        data,
        event_data: isJsonObject(details) ? { __typename: 'EventData', ...details } : null,
      }),
    );
  }
  return payloads;
}

function subjects(deliveries: readonly DueDelivery[]): string[] {
  return [...new Set(deliveries.flatMap(({ subject }) => subject ?? []))];
}

async function loadEventData(
  ctx: EnvironmentContext,
  deliveries: readonly DueDelivery[],
): Promise<ReadonlyMap<string, JsonObject>> {
  if (deliveries.length === 0) return new Map();
  const rows = await ctx.db.query<{ readonly id: string; readonly data: JsonObject }>(
    `
    select id, data
    from message_event
    where id = any($1::uuid[])
      and data is not null`,
    [deliveries.map((delivery) => delivery.event_id)],
  );
  return new Map(rows.map((row) => [row.id, row.data]));
}
