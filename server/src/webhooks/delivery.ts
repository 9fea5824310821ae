import type { EnvironmentContext } from '../context.ts';
import type { Queryable } from '../db/database.ts';
import { invalidField } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { type PageInfo, type PageRequest, pageOf } from '../recipients/page.ts';
import { type WebhookEventType, webhookEventName } from '../signals/webhook-event-types.ts';
import { requireEndpoint } from './endpoint.ts';

/** `webhook_delivery.state`, by name. */
export const DELIVERY_STATE = { waiting: 0, delivered: 1, failed: 2, dropped: 3 } as const;
export type DeliveryState = keyof typeof DELIVERY_STATE;
export const DELIVERY_STATES = Object.keys(DELIVERY_STATE) as DeliveryState[];

/** A row that waits, as the sender reads it. */
export type DueDelivery = {
  readonly id: number;
  readonly endpoint_id: number;
  readonly type: number;
  readonly event_id: string;
  readonly subject: string | null;
  readonly content: JsonObject | null;
  readonly attempts: number;
  readonly created_at: Date;
};

/** An event for an endpoint, as the log shows it. */
export type WebhookDelivery = {
  readonly id: string;
  /** The `webhook-id` of its requests. */
  readonly event_id: string;
  readonly event: WebhookEventType | null;
  /** The message or run that it is about. */
  readonly subject: string | null;
  readonly status: DeliveryState;
  readonly attempts: readonly JsonObject[];
  readonly next_attempt_at: string | null;
  readonly created_at: string;
};

const MESSAGE = /^message\./;

/** The id that all requests about an event have; of a message, that of its event in the API. */
export function eventId(row: { readonly type: number; readonly event_id: string }): string {
  return MESSAGE.test(webhookEventName(row.type) ?? '')
    ? ksuidFromUuid(row.event_id)
    : row.event_id;
}

/** What is due at these endpoints, at most so many of each, oldest first; without those in `except`. */
export function readDue(
  db: Queryable,
  endpoints: readonly { readonly id: number; readonly room: number }[],
  except: readonly number[],
  nowMs: number,
): Promise<DueDelivery[]> {
  return db.query<DueDelivery>({ name: 'due_webhooks', text: DUE }, [
    endpoints.map(({ id }) => id),
    endpoints.map(({ room }) => room),
    except,
    new Date(nowMs),
  ]);
}

export const DUE = `
  select d.id, w.endpoint_id, d.type, d.event_id, d.subject, d.content, d.attempts, d.created_at
  from unnest($1::int[], $2::int[]) as w (endpoint_id, room)
  cross join lateral (
    select id, type, event_id, subject, content, attempts, created_at, due_at
    from webhook_delivery
    where endpoint_id = w.endpoint_id
      and state = 0
      and due_at <= $4
      and id <> all($3::bigint[])
    order by due_at, id
    limit w.room
  ) d
  order by d.due_at, d.id`;

type LogRow = {
  readonly id: number;
  readonly type: number;
  readonly state: number;
  readonly event_id: string;
  readonly subject: string | null;
  readonly log: readonly JsonObject[] | null;
  readonly created_at: Date;
  readonly due_at: Date;
};

const KEY = /^(\d{1,15})\.(\d{1,18})$/;

/** What was sent to an endpoint and what was answered, newest event first. Throws `resource_missing`. */
export async function listDeliveries(
  ctx: EnvironmentContext,
  input: {
    readonly id: string;
    readonly status?: DeliveryState | undefined;
    readonly page: PageRequest;
  },
): Promise<{ readonly items: readonly WebhookDelivery[]; readonly page_info: PageInfo }> {
  const { page, status } = input;
  const endpoint = await requireEndpoint(ctx, input);
  const values: unknown[] = [endpoint.id, page.size + 1];
  const add = (value: unknown): string => `$${values.push(value)}`;
  const conditions = ['endpoint_id = $1'];
  if (status !== undefined) conditions.push(`state = ${add(DELIVERY_STATE[status])}`);
  const isBackward = page.after === undefined && page.before !== undefined;
  const cursor = page.after ?? page.before;
  if (cursor !== undefined) {
    const [, ms, id] = KEY.exec(cursor) ?? [];
    if (ms === undefined) {
      throw invalidField(isBackward ? 'before' : 'after', 'is not a cursor of an earlier answer');
    }
    const row = `(${add(new Date(Number(ms)))}::timestamptz, ${add(id)}::bigint)`;
    conditions.push(`(created_at, id) ${isBackward ? '>' : '<'} ${row}`);
  }
  const direction = isBackward ? 'asc' : 'desc';
  const rows = await ctx.db.query<LogRow>(
    `
    select id, type, state, event_id, subject, log, created_at, due_at
    from webhook_delivery
    where ${conditions.join('\n      and ')}
    order by created_at ${direction}, id ${direction}
    limit $2`,
    values,
  );
  const { entries, pageInfo } = pageOf(
    page,
    rows,
    (row) => `${row.created_at.getTime()}.${row.id}`,
  );
  return { items: entries.map(deliveryJson), page_info: pageInfo };
}

function deliveryJson(row: LogRow): WebhookDelivery {
  const status = DELIVERY_STATES.find((name) => DELIVERY_STATE[name] === row.state) ?? 'dropped';
  const name = webhookEventName(row.type);
  return {
    id: String(row.id),
    event_id: eventId(row),
    event: name ?? null,
    subject:
      row.subject !== null && MESSAGE.test(name ?? '') ? ksuidFromUuid(row.subject) : row.subject,
    status,
    attempts: row.log ?? [],
    next_attempt_at: status === 'waiting' ? row.due_at.toISOString() : null,
    created_at: row.created_at.toISOString(),
  };
}
