import { channelTypeFromNumber } from '../../channels/channel-type.ts';
import type { DeliveryOutcome } from '../../channels/provider.ts';
import type { Providers } from '../../channels/registry.ts';
import { plainArray } from '../../db/array-literal.ts';
import type { Queryable } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import { ksuidFromUuid } from '../../lib/ksuid.ts';
import type { DeliveriesBody } from '../log/chunk.ts';
import type { SliceOrder } from '../protocol.ts';
import type { ChunkCache } from './chunk-cache.ts';
import type { DeliveryWriter } from './delivery-writer.ts';

/** Longer than any provider's own time limit; whatever still hangs then is cut off. */
const DELIVERY_TIMEOUT_MS = 60_000;

export type DeliverServices = {
  readonly db: Queryable;
  readonly chunks: ChunkCache<DeliveriesBody>;
  readonly providers: Providers;
  readonly writer: DeliveryWriter;
};

type MessageRow = {
  readonly id: string;
  readonly environment_id: number;
  readonly channel_type: number;
  readonly content: JsonObject;
  readonly provider: string;
};

/**
 * Hands each message of an order to its provider and records what became of it; resolves when all of it
 * is committed. A crash between the provider's answer and the record repeats the call, with the same
 * idempotency key.
 */
export async function executeDeliveries(
  services: DeliverServices,
  slot: number,
  slices: readonly SliceOrder[],
): Promise<void> {
  const wanted: { slice: SliceOrder; messageId: string; attempt: number }[] = [];
  const open = await withoutReceipts(services.db, slot, slices);
  const chunks = await services.chunks.get(services.db, slot, open);
  for (const [i, slice] of open.entries()) {
    const delivery = chunks[i]?.body.deliveries[slice.slice];
    if (delivery) wanted.push({ slice, messageId: delivery[0], attempt: delivery[1] });
  }
  const rows = await services.db.query<MessageRow>(
    `select m.id, m.environment_id, m.channel_type, m.content, c.provider
     from message m
     join channel c on c.id = m.channel_id
     where m.id = any($1::uuid[])`,
    [wanted.map((entry) => entry.messageId)],
  );
  const messages = new Map(rows.map((row) => [row.id, row]));
  await Promise.all(
    wanted.map(async ({ slice, messageId, attempt }) => {
      const message = messages.get(messageId);
      const { outcome, provider } = message
        ? await handOver(services.providers, message, attempt)
        : { outcome: MESSAGE_GONE, provider: 'none' };
      await services.writer.write({
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
    }),
  );
}

/**
 * The slices that were not recorded yet, each once: an order comes again as a whole when its executor
 * dies, and what a provider has acknowledged must not be sent again.
 */
async function withoutReceipts(
  db: Queryable,
  slot: number,
  slices: readonly SliceOrder[],
): Promise<SliceOrder[]> {
  const rows = await db.query<{ n: number }>(
    `select min(wanted.n)::int as n
     from unnest($1::smallint[], $2::bigint[], $3::smallint[]) with ordinality
       as wanted(stream, sequence, slice, n)
     where not exists (
       select
       from receipt_${slot} r
       where r.stream = wanted.stream and r.sequence = wanted.sequence and r.slice = wanted.slice
     )
     group by wanted.stream, wanted.sequence, wanted.slice
     order by 1`,
    [
      plainArray(slices.map((slice) => slice.stream)),
      plainArray(slices.map((slice) => slice.sequence)),
      plainArray(slices.map((slice) => slice.slice)),
    ],
  );
  return rows.flatMap(({ n }) => slices[n - 1] ?? []);
}

const MESSAGE_GONE: DeliveryOutcome = {
  kind: 'rejected',
  code: 'message_gone',
  detail: { reason: 'the message was deleted before it could be delivered' },
};

async function handOver(
  providers: Providers,
  message: MessageRow,
  attempt: number,
): Promise<{ outcome: DeliveryOutcome; provider: string }> {
  const type = channelTypeFromNumber(message.channel_type);
  const provider = providers.forChannel(type ?? 'http', message.provider);
  try {
    const outcome = await provider.deliver(
      {
        id: ksuidFromUuid(message.id),
        environmentId: message.environment_id,
        attempt,
        content: message.content,
      },
      AbortSignal.timeout(DELIVERY_TIMEOUT_MS),
    );
    return { outcome, provider: provider.name };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      outcome: { kind: 'retry', code: 'provider_failed', detail: { reason } },
      provider: provider.name,
    };
  }
}
