import { type Database, sqlState } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { BelfryError } from '../../lib/errors.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { OrderVerb } from '../engine.ts';
import {
  CALLS,
  type ChunkRef,
  DELIVERIES,
  FAN_OUT,
  GOVERNED_KINDS,
  type GovernedKind,
  OPERATION,
  RUNS,
} from '../log/chunk.ts';
import { type AsideCursor, openChunksOfOrder } from '../log/read-refs.ts';
import { acrossSlots, SLOT_COUNT } from '../log/slots.ts';
import { clearOrder } from './clear.ts';
import { dropOrder, EXPIRY, endOrder } from './order-table.ts';
import { SCOPE_COLUMNS, type ScopeRow, scopeOfRow } from './rules.ts';
import { environmentsOf } from './scope-environments.ts';

const PAGE = 1_000;
const SLOW_PAGE = 200;
const CLEAR_MS = 2_000;
/** What was under way when an order was given ends within this time: calls of providers, too. */
const LATE_MS = 300_000;
/** Nothing of an ended order waits in the scheduler, yet something is open: so often, then it is read again. */
const MAX_REFUSALS = 10;
/** How often it is asked whether a discard whose data was dropped can still meet anything. */
const RETIRE_MS = 600_000;

type OpenOrder = ScopeRow & {
  readonly id: number;
  readonly verb: OrderVerb;
  readonly runs_per_second: number | null;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly ended_at: Date | null;
  readonly dropped_at: Date | null;
};

/** How far an order's work was given to the scheduler. */
type Feed = {
  cursor: AsideCursor | undefined;
  isLoaded: boolean;
  refusals: number;
  retireAtMs: number;
  readonly slow: Readonly<Record<GovernedKind, Trickle>>;
};

/** A slow's runs, its deliveries, or its calls. */
type Trickle = {
  /** How many it may give now; negative after a chunk that was larger. */
  credit: number;
  /** A pass over what is open: how far it is, and what it met. */
  cursor: AsideCursor | undefined;
  seen: Set<string>;
  /** What was given and is not known to be done. */
  given: Set<string>;
};

export type ReleaserOptions = {
  readonly db: Database;
  readonly clock: Clock;
  readonly queue: (ref: ChunkRef, receipted: readonly number[]) => void;
  /** Slices of what an order set aside that the scheduler has. */
  readonly openSlices: (orderId: number) => number;
};

/**
 * Gives what orders set aside back to the scheduler: all of an ended order, a slow's at its rate; ends orders
 * that expired, and takes away what was done or dropped. Everything it knows can be read again.
 */
export function createReleaser({ db, clock, queue, openSlices }: ReleaserOptions) {
  const feeds = new Map<number, Feed>();
  let fedAtMs = clock.now();
  let inForce: ReadonlyMap<OrderVerb, number> = new Map();
  let clearedAtMs = 0;

  async function work(): Promise<void> {
    const nowMs = clock.now();
    const elapsedMs = Math.max(0, nowMs - fedAtMs);
    fedAtMs = nowMs;
    const isClearing = nowMs - clearedAtMs >= CLEAR_MS;
    if (isClearing) clearedAtMs = nowMs;
    const orders = await db.query<OpenOrder>(
      `select id, verb, runs_per_second, created_at, expires_at, ended_at, dropped_at,
              ${SCOPE_COLUMNS}
       from work_order
       where cleared_at is null
       order by id`,
    );
    const known = new Set(orders.map((order) => order.id));
    for (const id of feeds.keys()) if (!known.has(id)) feeds.delete(id);
    const isExpired = ({ expires_at }: OpenOrder): boolean =>
      expires_at !== null && expires_at.getTime() <= nowMs;
    inForce = countVerbs(
      orders.filter((order) => !order.ended_at && !order.dropped_at && !isExpired(order)),
    );
    const errors = await ofEach(orders, async (order) => {
      if (order.ended_at) await release(order);
      else if (order.verb === 'slow' && !isExpired(order)) await trickle(order, elapsedMs);
    });
    // What can take long comes last.
    errors.push(
      ...(await ofEach(orders, async (order) => {
        if (!order.ended_at && isExpired(order)) await expire(order);
        if (isClearing) await clear(order, nowMs);
      })),
    );
    if (errors.length > 0) throw errors[0];
  }

  /** What the database refuses one order does not keep it from the others: such errors are returned. */
  async function ofEach(
    orders: readonly OpenOrder[],
    task: (order: OpenOrder) => Promise<void>,
  ): Promise<unknown[]> {
    const errors: unknown[] = [];
    for (const order of orders) {
      try {
        await task(order);
      } catch (error) {
        if (sqlState(error) === undefined && !(error instanceof BelfryError)) throw error;
        errors.push(error);
      }
    }
    return errors;
  }

  async function expire(order: OpenOrder): Promise<void> {
    if (order.dropped_at) return;
    if (order.verb === 'discard') await dropOrder(db, clock.now(), order.id);
    else await endOrder(db, clock.now(), order.id, EXPIRY, 1);
  }

  /** Once the order is ended nothing can be set aside by it any more, so one pass finds all. */
  async function release(order: OpenOrder): Promise<void> {
    const feed = feedOf(order.id);
    while (!feed.isLoaded) {
      const page = await openChunksOfOrder(db, order.id, undefined, feed.cursor, PAGE);
      for (const { ref, receipted } of page) {
        // Operations are never set aside.
        if (ref.kind === OPERATION) continue;
        if (!feed.slow[ref.kind].given.has(keyOf(ref))) queue(ref, receipted);
      }
      faultPoint('order.after-release');
      feed.cursor = page.at(-1)?.cursor ?? feed.cursor;
      feed.isLoaded = page.length < PAGE;
    }
  }

  async function trickle(order: OpenOrder, elapsedMs: number): Promise<void> {
    const feed = feedOf(order.id);
    const rate = order.runs_per_second ?? 0;
    for (const kind of GOVERNED_KINDS) {
      const pass = feed.slow[kind];
      // Whoever had nothing to give saves up for one second.
      pass.credit = Math.min(pass.credit + (rate * elapsedMs) / 1_000, rate);
      while (pass.credit > 0) {
        const page = await openChunksOfOrder(db, order.id, kind, pass.cursor, SLOW_PAGE);
        for (const { ref, receipted, cursor } of page) {
          if (pass.credit <= 0) break;
          pass.cursor = cursor;
          pass.seen.add(keyOf(ref));
          if (pass.given.has(keyOf(ref))) continue;
          pass.given.add(keyOf(ref));
          pass.credit -= ref.runCount;
          queue(ref, receipted);
        }
        if (page.length === SLOW_PAGE || pass.credit <= 0) continue;
        // A whole pass is over: the next one begins with what came to lie before.
        pass.cursor = undefined;
        // What was not met is done.
        pass.given = new Set([...pass.given].filter((key) => pass.seen.has(key)));
        pass.seen = new Set();
        break;
      }
    }
  }

  async function clear(order: OpenOrder, nowMs: number): Promise<void> {
    if (order.dropped_at) {
      const feed = feedOf(order.id);
      if (nowMs < feed.retireAtMs) return;
      const isEmpty = await clearOrder(db, order.id, 'all');
      if (!isEmpty) return;
      if (await isOver(db, order)) await markCleared(order);
      else feed.retireAtMs = nowMs + RETIRE_MS;
      return;
    }
    if (!order.ended_at && order.verb !== 'slow') return;
    const isEmpty = await clearOrder(db, order.id, 'done');
    if (!order.ended_at) return;
    const feed = feedOf(order.id);
    if (isEmpty) {
      if (feed.isLoaded) await markCleared(order);
      return;
    }
    feed.refusals = openSlices(order.id) > 0 ? 0 : feed.refusals + 1;
    if (feed.refusals >= MAX_REFUSALS) feeds.delete(order.id);
  }

  async function markCleared(order: OpenOrder): Promise<void> {
    await db.query('update work_order set cleared_at = $2 where id = $1', [
      order.id,
      new Date(clock.now()),
    ]);
    feeds.delete(order.id);
  }

  function feedOf(id: number): Feed {
    let feed = feeds.get(id);
    if (!feed) {
      feed = {
        cursor: undefined,
        isLoaded: false,
        refusals: 0,
        retireAtMs: 0,
        slow: {
          [RUNS]: newTrickle(),
          [DELIVERIES]: newTrickle(),
          [CALLS]: newTrickle(),
          [FAN_OUT]: newTrickle(),
        },
      };
      feeds.set(id, feed);
    }
    return feed;
  }

  return { work, inForce: () => inForce };
}

/**
 * Whether a discard can meet nothing any more. While it was in force, whatever it is about was set aside as soon
 * as it was looked at; so what is left of it lies in chunks from before.
 */
async function isOver(db: Database, order: OpenOrder): Promise<boolean> {
  const environments = await environmentsOf(db, scopeOfRow(order));
  const [row] = await db.query<{ left: boolean }>(`select exists (${EARLIER}) as left`, [
    [...environments.keys()],
    new Date(order.created_at.getTime() + LATE_MS),
  ]);
  return row ? !row.left : false;
}

const EARLIER = acrossSlots(
  0,
  SLOT_COUNT,
  (slot) => `
    select
    from chunk_${slot} c
    where c.lane_id / 4 = any($1::int[])
      and c.accepted_at <= $2
      and (
        select count(*)
        from receipt_${slot} r
        where r.stream = c.stream
          and r.sequence = c.sequence
      ) < c.slice_count`,
);

function countVerbs(orders: readonly OpenOrder[]): ReadonlyMap<OrderVerb, number> {
  const counts = new Map<OrderVerb, number>([
    ['hold', 0],
    ['slow', 0],
    ['discard', 0],
  ]);
  for (const { verb } of orders) counts.set(verb, (counts.get(verb) ?? 0) + 1);
  return counts;
}

function newTrickle(): Trickle {
  return { credit: 0, cursor: undefined, seen: new Set(), given: new Set() };
}

function keyOf(ref: ChunkRef): string {
  return `${ref.stream} ${ref.sequence}`;
}
