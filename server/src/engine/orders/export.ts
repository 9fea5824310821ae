import type { Queryable } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { BelfryError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import type { ExportedRun, Order, RecipientReference } from '../engine.ts';
import { parseDeliveriesBody, parseRunsBody } from '../log/body.ts';
import {
  type ChunkKind,
  DELIVERIES,
  dataOfRun,
  FAN_OUT,
  type RunsBody,
  referenceOf,
} from '../log/chunk.ts';
import { acrossSlots, asideSlot, FIRST_ASIDE_SLOT } from '../log/slots.ts';
import { loadDeliveryFacts } from './delivery-facts.ts';
import { readOrder } from './order-table.ts';
import { environmentsOf } from './scope-environments.ts';

/** Chunks that are in memory at once. */
const PAGE = 20;
const WAIT_MS = 250;
/** The question reads all that is queued: at most this part of the time goes into it. */
const WAITS = 9;
/** How long nothing may happen to work that is still to be set aside. */
const STANDSTILL_MS = 60_000;

type AsideChunk = {
  readonly sequence: number;
  readonly kind: ChunkKind;
  readonly body: string;
};

/**
 * What an order in force set aside. Work that was accepted and due before the export began, and that is still to
 * be looked at, is waited for. Streams commit in the order of their sequences, so a position for each stream is
 * all that has to be remembered for everything to come once.
 */
export async function* exportOrder(
  ctx: { readonly db: Queryable; readonly clock: Clock },
  id: number,
): AsyncGenerator<ExportedRun> {
  const { db, clock } = ctx;
  const order = await readInForce(db, id);
  const environmentIds = [...(await environmentsOf(db, order.scope)).keys()];
  const startedAt = new Date(clock.now());
  const positions = new Map<number, number>();
  let open = Number.POSITIVE_INFINITY;
  let changedAtMs = clock.now();
  for (;;) {
    const askedAtMs = performance.now();
    const left = await unseenSlices(db, environmentIds, startedAt);
    const tookMs = performance.now() - askedAtMs;
    yield* pass(db, id, positions);
    await readInForce(db, id);
    if (left === 0) return;
    if (left !== open) changedAtMs = clock.now();
    open = left;
    if (clock.now() - changedAtMs > STANDSTILL_MS) {
      throw new BelfryError(
        'overloaded',
        `${left} slices of work that order ${id} may be about have not been looked at for a minute; see that executors run, then export again`,
        { retryAfterMs: STANDSTILL_MS },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(WAIT_MS, tookMs * WAITS)));
  }
}

async function readInForce(db: Queryable, id: number): Promise<Order> {
  const order = await readOrder(db, id);
  if (!order.endedAt && !order.droppedAt) return order;
  throw new BelfryError(
    'conflict',
    `Order ${id} is not in force any more; what it set aside was ${order.endedAt ? 'let go' : 'dropped'}.`,
  );
}

/** What lies behind the positions at its beginning; they move on. */
async function* pass(
  db: Queryable,
  orderId: number,
  positions: Map<number, number>,
): AsyncGenerator<ExportedRun> {
  const slot = asideSlot(orderId);
  const streams = await db.query<{ stream: number; last: number }>(
    `select stream, max(sequence) as last
     from chunk_${slot}
     where order_id = $1
     group by stream`,
    [orderId],
  );
  for (const { stream, last } of streams) {
    for (;;) {
      const after = positions.get(stream) ?? 0;
      if (after >= last) break;
      const chunks = await db.query<AsideChunk>(
        `select c.sequence, c.kind, c.body
         from chunk_${slot} c
         where c.stream = $1
           and c.sequence > $2
           and c.sequence <= $3
           and c.order_id = $4
           and (
             select count(*)
             from receipt_${slot} r
             where r.stream = c.stream
               and r.sequence = c.sequence
           ) < c.slice_count
         order by c.sequence
         limit $5`,
        [stream, after, last, orderId, PAGE],
      );
      for (const chunk of chunks) yield* contentsOf(db, chunk);
      positions.set(stream, chunks.length < PAGE ? last : (chunks.at(-1)?.sequence ?? last));
    }
  }
}

async function* contentsOf(db: Queryable, chunk: AsideChunk): AsyncGenerator<ExportedRun> {
  // Whom it would reach nobody has looked up yet.
  if (chunk.kind === FAN_OUT) return;
  if (chunk.kind !== DELIVERIES) {
    yield* runsOf(parseRunsBody(chunk.body));
    return;
  }
  const { deliveries } = parseDeliveriesBody(chunk.body);
  const ids = deliveries.map(([messageId]) => messageId);
  for (const facts of await loadDeliveryFacts(db, ids)) {
    yield {
      run_id: facts.runId,
      message_id: facts.messageId,
      workflow: facts.workflow,
      tenant: facts.tenant,
      recipient: facts.recipient,
      actor: referenceOrNull(facts.actor),
      data: facts.data,
      accepted_at: new Date(facts.acceptedMs).toISOString(),
    };
  }
}

function* runsOf({ triggers, runs }: RunsBody): Generator<ExportedRun> {
  for (const [number, recipient, state] of runs) {
    const trigger = triggers[number];
    if (!trigger || state?.id === undefined) continue;
    yield {
      run_id: state.id,
      workflow: trigger.key,
      tenant: trigger.tenant,
      recipient: referenceOf(recipient),
      actor: trigger.actor === null ? null : referenceOf(trigger.actor),
      data: dataOfRun(trigger, state),
      accepted_at: new Date(trigger.at).toISOString(),
    };
  }
}

/** As it is stored with workflow runs. */
function referenceOrNull(json: Json): RecipientReference | null {
  return json === null ? null : (json as RecipientReference);
}

/** Of one moment: what a slot has no more another may have got by then. */
const UNSEEN = acrossSlots(
  0,
  FIRST_ASIDE_SLOT,
  (slot) => `
    select sum(c.slice_count - receipts.n) as slices
    from chunk_${slot} c
    cross join lateral (
      select count(*) as n
      from receipt_${slot} r
      where r.stream = c.stream
        and r.sequence = c.sequence
    ) receipts
    where c.lane_id / 4 = any($1::int[])
      and c.accepted_at <= $2
      and (c.due_at is null or c.due_at <= $2)`,
);

/** Slices of work that is due and was not looked at since `before`. */
async function unseenSlices(
  db: Queryable,
  environmentIds: readonly number[],
  before: Date,
): Promise<number> {
  const [row] = await db.query<{ slices: number }>(
    `select coalesce(sum(slices), 0)::bigint as slices
     from (${UNSEEN}) as unseen`,
    [environmentIds, before],
  );
  return row?.slices ?? 0;
}
