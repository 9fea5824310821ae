import type { Queryable } from '../db/database.ts';
import type { ChunkRef } from './log/chunk.ts';
import { timersOfSlot } from './log/read-refs.ts';
import { FAR_SLOT, FIRST_TIMER_SLOT } from './log/slots.ts';

/** How far ahead refs of timers are kept in memory, and how many at the most. */
const HORIZON_MS = 60_000;
const MAX_REFS = 100_000;

/** Timers that fall due soon. The database holds all of them; memory only the next minute's. */
export type Timers = {
  /** Takes a timer in, unless it is beyond the horizon. */
  readonly add: (ref: ChunkRef) => void;
  /** Removes and returns what is due. */
  readonly due: (nowMs: number) => ChunkRef[];
  /** When the next one is due; undefined when none is near. */
  readonly nextDueMs: () => number | undefined;
  /** Moves the horizon on and reads what came within it. */
  readonly load: (db: Queryable, nowMs: number) => Promise<void>;
  readonly size: () => number;
};

/** Everything due at or before `horizonMs` is told by whoever recovers the log. */
export function createTimers(startHorizonMs: number): Timers {
  let horizonMs = startHorizonMs;
  const known = new Set<string>();
  const heap: (ChunkRef & { readonly dueMs: number })[] = [];

  function add(ref: ChunkRef): void {
    const { dueMs } = ref;
    if (dueMs === undefined || dueMs > horizonMs) return;
    const key = `${ref.stream} ${ref.sequence}`;
    if (known.has(key)) return;
    known.add(key);
    push(heap, { ...ref, dueMs });
  }

  return {
    add,
    due: (nowMs) => {
      const refs: ChunkRef[] = [];
      for (let top = heap[0]; top && top.dueMs <= nowMs; top = heap[0]) {
        pop(heap);
        known.delete(`${top.stream} ${top.sequence}`);
        refs.push(top);
      }
      return refs;
    },
    nextDueMs: () => heap[0]?.dueMs,
    load: async (db, nowMs) => {
      const from = horizonMs;
      const to = nowMs + HORIZON_MS;
      if (to <= from || heap.length >= MAX_REFS) return;
      // First the horizon, then the query: a timer that is reported meanwhile is taken in twice, not never.
      horizonMs = to;
      try {
        for (let slot = FIRST_TIMER_SLOT; slot < FAR_SLOT; slot++) {
          const timers = await timersOfSlot(db, slot, new Date(from), new Date(to), MAX_REFS);
          for (const { ref, receipted } of timers) if (receipted.length === 0) add(ref);
          const last = timers.at(-1)?.ref.dueMs;
          if (timers.length === MAX_REFS && last !== undefined)
            horizonMs = Math.min(horizonMs, last);
        }
      } catch (error) {
        horizonMs = from;
        throw error;
      }
    },
    size: () => heap.length,
  };
}

type Due = { readonly dueMs: number };

function push<Item extends Due>(heap: Item[], item: Item): void {
  let position = heap.push(item) - 1;
  while (position > 0) {
    const above = (position - 1) >> 1;
    const parent = heap[above];
    if (!parent || parent.dueMs <= item.dueMs) break;
    heap[position] = parent;
    position = above;
  }
  heap[position] = item;
}

function pop<Item extends Due>(heap: Item[]): void {
  const last = heap.pop();
  if (!last || heap.length === 0) return;
  let position = 0;
  while (true) {
    const left = heap[2 * position + 1];
    const right = heap[2 * position + 2];
    const child = left && right && right.dueMs < left.dueMs ? right : left;
    if (!child || child.dueMs >= last.dueMs) break;
    heap[position] = child;
    position = 2 * position + (child === left ? 1 : 2);
  }
  heap[position] = last;
}
