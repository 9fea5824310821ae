import type { Database } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { invalidField } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { GiveOrder, Orders, OrderVerb } from '../engine.ts';
import type { ChunkRef, QueueKind } from '../log/chunk.ts';
import type { SchedulerState } from '../scheduler/state.ts';
import { exportOrder } from './export.ts';
import {
  checkScope,
  countAside,
  endOrder,
  insertOrder,
  listOrders,
  readOrder,
} from './order-table.ts';
import { preview, previewSoon } from './preview.ts';
import { createReleaser } from './releaser.ts';

/** How long discarded data is kept where nothing else is said. */
const KEEP_DISCARDED_MS = 7 * 86_400_000;

export type OrdersOptions = {
  readonly db: Database;
  /** For what only reads, as long as the queue is: the engine's own work does not wait for its connections. */
  readonly readDb: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly states: Readonly<Record<QueueKind, SchedulerState>>;
  /** Resolves when no executor begins anything under the orders from before. */
  readonly govern: () => Promise<void>;
  readonly queue: (ref: ChunkRef, receipted: readonly number[]) => void;
};

export type RunningOrders = Orders & {
  /** Releases, expires, clears away. To be called again and again by the owner of the database. */
  readonly work: () => Promise<void>;
  /** Orders in force by verb, as of the last `work`; empty before the first. */
  readonly inForce: () => ReadonlyMap<OrderVerb, number>;
};

/** Verbs on queued work; what is set aside comes back through `queue`. */
export function createOrders(options: OrdersOptions): RunningOrders {
  const { db, clock, log } = options;
  const reading = { ...options, db: options.readDb };
  const releaser = createReleaser({
    db,
    clock,
    queue: options.queue,
    openSlices: (orderId) =>
      Object.values(options.states).reduce(
        (sum, state) => sum + (state.openSlicesOfOrder.get(orderId) ?? 0),
        0,
      ),
  });
  let working: Promise<void> | undefined;

  /** One at a time. */
  function work(): Promise<void> {
    working ??= releaser.work().finally(() => {
      working = undefined;
    });
    return working;
  }

  return {
    work,
    inForce: releaser.inForce,
    preview: (scope) => preview(reading, scope),
    give: async (input) => {
      const concerned = await previewSoon(options, input.scope);
      const order = await insertOrder(db, clock.now(), checked(input, clock.now()), concerned);
      await options.govern();
      // What is accepted from now on is later than the time that a discard names.
      await new Promise((resolve) => setTimeout(resolve, 2));
      return { ...order, concerned };
    },
    end: async (id, by) => {
      const order = await endOrder(db, clock.now(), id, by);
      work().catch((error) => log.warn({ err: error }, 'work is released a little later'));
      return order;
    },
    list: (input) => listOrders(db, input),
    get: async (id) => ({
      ...(await readOrder(reading.db, id)),
      aside: await countAside(reading.db, id),
    }),
    export: (id) => exportOrder(reading, id),
  };
}

/** Fills in what follows from the verb. */
function checked(input: GiveOrder, nowMs: number): GiveOrder {
  const { verb, scope, expiresAt = null, runsPerSecond = null } = input;
  checkScope(scope);
  if (expiresAt && expiresAt.getTime() <= nowMs)
    throw invalidField('expires_at', `is ${expiresAt.toISOString()}, which is over`);
  if (verb === 'slow' && !(runsPerSecond !== null && runsPerSecond > 0))
    throw invalidField('rate', 'is needed to slow work: runs a second, more than 0');
  if (verb !== 'discard')
    return { ...input, expiresAt, runsPerSecond: verb === 'slow' ? runsPerSecond : null };
  const beforeMs = Math.min(scope.acceptedBefore?.getTime() ?? Infinity, nowMs + 1);
  return {
    ...input,
    scope: { ...scope, acceptedBefore: new Date(beforeMs) },
    expiresAt: expiresAt ?? new Date(nowMs + KEEP_DISCARDED_MS),
    runsPerSecond: null,
  };
}
