import type { BodyReader, UnreadableBody } from '../../bodies/read-bodies.ts';
import { channelTypeFromNumber, channelTypeNumber } from '../../channels/channel-type.ts';
import type { DeliveryOutcome } from '../../channels/provider.ts';
import type { Providers } from '../../channels/registry.ts';
import type { Queryable } from '../../db/database.ts';
import { prepared } from '../../db/prepared.ts';
import type { Tracking } from '../../feed/tracked-links.ts';
import { parseAddress } from '../../lib/address.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { JsonObject } from '../../lib/json.ts';
import { ksuidFromUuid } from '../../lib/ksuid.ts';
import type { SecretBox } from '../../lib/secret-box.ts';
import { limitTime } from '../../lib/time-limit.ts';
import { deregisterToken } from '../../recipients/deregister-token.ts';
import type { FeedChange } from '../engine.ts';
import { type DeliveriesBody, USERS } from '../log/chunk.ts';
import { type Governance, type Rule, ruleFor } from '../orders/rules.ts';
import type { SliceOrder } from '../protocol.ts';
import { AttachmentGate, attachedBytes, withAttachedFiles } from './attached-files.ts';
import type { ChunkCache, DecodedChunk } from './chunk-cache.ts';
import type { DeliveryWriter } from './delivery-writer.ts';
import type { KnownOrders } from './governance.ts';
import { unrecordedSlices } from './receipts.ts';
import { answerMask, openedContent } from './sealed-requests.ts';
import { settledOrders } from './settled-orders.ts';
import { trackedContent } from './tracked-content.ts';

/** Longer than any provider's own time limit; whatever still hangs then is cut off. */
const DELIVERY_TIMEOUT_MS = 60_000;

export type DeliverServices = {
  readonly db: Queryable;
  readonly chunks: ChunkCache<DeliveriesBody>;
  readonly providers: Providers;
  readonly writer: DeliveryWriter;
  readonly orders: KnownOrders;
  /** What messages say that is not in their rows; absent: all of it is. */
  readonly bodies?: BodyReader;
  /** Opens requests that have secrets in them; absent: they are refused. */
  readonly secretBox?: SecretBox;
  /** Absent: messages are sent as they were rendered. */
  readonly tracking?: Tracking;
  /** A message has come into this feed, later than its run. */
  readonly onFeed: (change: FeedChange) => void;
};

type MessageRow = {
  readonly id: string;
  readonly environment_id: number;
  readonly channel_id: string;
  readonly channel_type: number;
  readonly collection: string;
  readonly recipient_id: string;
  readonly content: JsonObject;
  readonly provider: string;
  readonly workflow_key: string;
  readonly tenant: string | null;
  readonly workflow_run_id: string;
  readonly orders_version: number;
};

/** A message with what it says; what cannot be read now is an error of all, what is damaged one of its own. */
type OpenedMessage = MessageRow & { readonly damaged?: UnreadableBody };

type Wanted = {
  readonly slice: SliceOrder;
  readonly messageId: string;
  readonly attempt: number;
  readonly chunk: DecodedChunk<DeliveriesBody>;
};

/**
 * Hands each message of an order to its provider and records what became of it; resolves when all of it
 * is committed. A crash between the provider's answer and the record repeats the call, with the same
 * idempotency key. What an order is about is set aside instead: nothing lies between that question and the call.
 */
export async function executeDeliveries(
  services: DeliverServices,
  slot: number,
  slices: readonly SliceOrder[],
  attemptsLeft = ORDERS_ATTEMPTS,
): Promise<void> {
  const wanted: Wanted[] = [];
  const open = await unrecordedSlices(services.db, slot, slices);
  const chunks = await services.chunks.get(services.db, slot, open);
  for (const [i, slice] of open.entries()) {
    const chunk = chunks[i];
    const delivery = chunk?.body.deliveries[slice.slice];
    if (chunk && delivery)
      wanted.push({ slice, messageId: delivery[0], attempt: delivery[1], chunk });
  }
  const askedAtMs = performance.now();
  const rows = await services.db.query<MessageRow>(
    prepared(`select m.id, m.environment_id, m.channel_id, m.channel_type, m.collection, m.recipient_id, m.content, c.provider, m.workflow_key, m.tenant,
            m.workflow_run_id, (select version from governance) as orders_version
     from (select distinct id from unnest((select $1::uuid[])) as asked(id)) wanted
     join message m using (id)
     join channel c on c.id = m.channel_id`),
    [wanted.map((entry) => entry.messageId)],
  );
  const opened = await openBodies(services.bodies, rows);
  const messages = new Map(opened.map((row) => [row.id, row]));
  const ruleOf = await rulesFor(services, rows);
  if (performance.now() - askedAtMs > MAX_AGE_MS) {
    // This process was frozen, and orders may have been given that nobody could wait to tell it.
    if (attemptsLeft === 1) throw new Error('the database answers too slowly for deliveries');
    return executeDeliveries(services, slot, slices, attemptsLeft - 1);
  }
  const stale: SliceOrder[] = [];
  await Promise.all(
    wanted.map(async ({ slice, messageId, attempt, chunk }) => {
      const message = messages.get(messageId);
      const rule = message && ruleOf(message, chunk.orderId);
      const { outcome, provider } = !message
        ? { outcome: MESSAGE_GONE, provider: 'none' }
        : rule
          ? { outcome: { kind: 'aside' as const, chunk, ...rule }, provider: 'none' }
          : await handOver(services, message, attempt);
      // Before the record: until there is one, this is done again.
      if (message && outcome.kind === 'bounced') await forgetToken(services.db, message);
      const isWritten = await services.writer.write({
        slot,
        stream: slice.stream,
        sequence: slice.sequence,
        slice: slice.slice,
        laneId: slice.laneId,
        messageId,
        environmentId: message?.environment_id,
        attempt,
        provider,
        outcome,
      });
      if (!isWritten) stale.push(slice);
      else if (message && outcome.kind === 'delivered') tellFeed(services, message);
    }),
  );
  if (stale.length === 0) return;
  if (attemptsLeft === 1) throw new Error('deliveries cannot be set aside');
  await services.orders.reload();
  await executeDeliveries(services, slot, stale, attemptsLeft - 1);
}

/** Throws when a content cannot be read at the moment: then nothing was tried, and all of it is done later. */
async function openBodies(
  bodies: BodyReader | undefined,
  rows: readonly MessageRow[],
): Promise<readonly OpenedMessage[]> {
  if (!bodies) return rows;
  const read = await bodies.read(rows);
  return rows.map((row) => {
    const body = read.get(row.id);
    if (!body) return row;
    if ('content' in body) return { ...row, content: body.content };
    const { kind, reason } = body.unreadable;
    if (kind === 'unavailable') throw new Error(`the content of ${row.id} is not there: ${reason}`);
    return { ...row, damaged: body.unreadable };
  });
}

function tellFeed(services: DeliverServices, message: MessageRow): void {
  if (message.channel_type !== FEED || message.collection !== USERS) return;
  services.onFeed({
    environmentId: message.environment_id,
    channelId: message.channel_id,
    userId: message.recipient_id,
  });
}

/** A device that is gone gets no more messages, unless the step says that its token stays. */
async function forgetToken(db: Queryable, message: MessageRow): Promise<void> {
  const { token, keeps_token: keepsToken } = message.content;
  if (message.channel_type !== PUSH || typeof token !== 'string' || keepsToken === true) return;
  await deregisterToken(db, {
    environmentId: message.environment_id,
    collection: message.collection,
    id: message.recipient_id,
    channelId: message.channel_id,
    token,
  });
}

const FEED = channelTypeNumber('in_app_feed');
const SMS = channelTypeNumber('sms');
const PUSH = channelTypeNumber('push');

/** How often orders may change under the same deliveries, before they come back undone. */
const ORDERS_ATTEMPTS = 5;
/** How old the answer may be that no order is about a message: less than an owner is silent before another follows. */
const MAX_AGE_MS = 5_000;

/** Under which order each message is, asked without any wait; and the number of the orders it was asked of. */
async function rulesFor(
  services: DeliverServices,
  messages: readonly MessageRow[],
): Promise<
  (
    message: MessageRow,
    own: number | undefined,
  ) => { readonly rule: Rule; readonly ordersVersion: number } | undefined
> {
  const { orders, db } = services;
  const environments = messages.map((message) => message.environment_id);
  const { asked, facts } = await settledOrders(
    orders,
    messages[0]?.orders_version,
    async (current) => ({
      accounts: await orders.accountsOf(current, environments),
      keys: await keysOf(db, current, messages),
    }),
  );
  return (message, own) => {
    const rule = ruleFor(
      asked.rules,
      {
        environmentId: message.environment_id,
        accountId: facts.accounts.get(message.environment_id),
        apiKeyId: facts.keys.get(message.workflow_run_id),
        workflow: message.workflow_key,
        tenant: message.tenant,
        acceptedMs: parseAddress(message.workflow_run_id)?.timeMs ?? 0,
      },
      own,
    );
    return rule && { rule, ordersVersion: asked.version };
  };
}

/** Which key brought each workflow run, where one of the orders asks for that. */
async function keysOf(
  db: Queryable,
  { rules }: Governance,
  messages: readonly MessageRow[],
): Promise<ReadonlyMap<string, number>> {
  if (!rules.some((rule) => rule.scope.apiKeyId !== undefined)) return new Map();
  const rows = await db.query<{ id: string; api_key_id: number }>(
    `select id, api_key_id
     from workflow_run
     where id = any($1::uuid[])
       and api_key_id is not null`,
    [messages.map((message) => message.workflow_run_id)],
  );
  return new Map(rows.map((row) => [row.id, row.api_key_id]));
}

const MESSAGE_GONE: DeliveryOutcome = {
  kind: 'rejected',
  code: 'message_gone',
  detail: { reason: 'the message was deleted before it could be delivered' },
};

const ATTACHMENTS_GONE: DeliveryOutcome = {
  kind: 'rejected',
  code: 'attachments_gone',
  detail: { reason: "the attachments are no longer in the run's data" },
};

const SEALED: DeliveryOutcome = {
  kind: 'rejected',
  code: 'secrets_unreadable',
  detail: { reason: 'the request was sealed with another installation secret' },
};

const gate = new AttachmentGate();

/** Files are read when they are sent, so that recipients of a trigger share them until then. */
async function handOver(
  { providers, db, secretBox, tracking }: DeliverServices,
  message: OpenedMessage,
  attempt: number,
): Promise<{ outcome: DeliveryOutcome; provider: string }> {
  if (message.damaged) {
    const { reason } = message.damaged;
    const outcome = { kind: 'retry', code: 'content_damaged', detail: { reason } } as const;
    return { outcome, provider: message.provider };
  }
  const opened = openedContent(secretBox, message.environment_id, message.content);
  if (!opened) return { outcome: SEALED, provider: message.provider };
  const isText = message.channel_type === SMS;
  const content = await trackedContent(tracking, db, { id: message.id, content: opened, isText });
  const bytes = attachedBytes(content);
  if (bytes === 0) {
    const { outcome, provider } = await deliver(providers, { ...message, content }, attempt);
    if (opened === message.content) return { outcome, provider };
    const { sealed: _, ...shown } = message.content;
    const mask = answerMask(shown, opened);
    return { outcome: { ...outcome, detail: mask(outcome.detail) }, provider };
  }
  return gate.run(bytes, async () => {
    const whole = await withAttachedFiles(db, message.id, content);
    if (!whole) return { outcome: ATTACHMENTS_GONE, provider: message.provider };
    return deliver(providers, { ...message, content: whole }, attempt);
  });
}

async function deliver(
  providers: Providers,
  message: MessageRow,
  attempt: number,
): Promise<{ outcome: DeliveryOutcome; provider: string }> {
  const type = channelTypeFromNumber(message.channel_type);
  const provider = providers.forChannel(type ?? 'http', message.provider);
  const limit = limitTime(DELIVERY_TIMEOUT_MS);
  try {
    faultPoint('delivery.before-call');
    const outcome = await provider.deliver(
      {
        id: ksuidFromUuid(message.id),
        environmentId: message.environment_id,
        attempt,
        content: message.content,
      },
      limit.signal,
    );
    faultPoint('delivery.after-call');
    return { outcome, provider: provider.name };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      outcome: { kind: 'retry', code: 'provider_failed', detail: { reason } },
      provider: provider.name,
    };
  } finally {
    limit.end();
  }
}
