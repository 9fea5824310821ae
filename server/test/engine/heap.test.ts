import { describe, expect, it } from 'vitest';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { TagHeap } from '../../src/engine/scheduler/heap.ts';
import { LaneQueue, type QueuedSlices } from '../../src/engine/scheduler/lane-queue.ts';

type Item = { readonly id: number; tagMs: number; heapSeat: number };

/** Numbers from 0 on below `limit`, the same each time. */
function numbers(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe('a heap', () => {
  it('has the smallest tag first, then the smallest id, whatever comes, leaves and changes', () => {
    for (let seed = 1; seed <= 16; seed++) {
      const below = numbers(seed);
      const heap = new TagHeap<Item>();
      const inside = new Set<Item>();
      const all = Array.from({ length: 1 + below(60) }, (_, id) => {
        return { id, tagMs: below(20), heapSeat: -1 };
      });
      for (let step = 0; step < 1_000; step++) {
        const item = all[below(all.length)];
        if (!item) continue;
        if (!inside.has(item)) {
          heap.push(item);
          inside.add(item);
        } else if (below(3) === 0) {
          heap.remove(item);
          inside.delete(item);
        }
        // One that is outside changes too: the heap must not care.
        const changed = all[below(all.length)];
        if (changed) {
          changed.tagMs += below(9) - 3 + below(2) / 2;
          heap.reposition(changed);
        }
        const sorted = [...inside].sort((a, b) => a.tagMs - b.tagMs || a.id - b.id);
        expect(heap.peek()).toBe(sorted[0]);
        expect(heap.size).toBe(inside.size);
        for (const one of all) expect(heap.has(one)).toBe(inside.has(one));
      }
    }
  });
});

describe('a flow of a lane', () => {
  it('is served first in, first out, and what came back goes ahead', () => {
    for (let seed = 1; seed <= 16; seed++) {
      const below = numbers(seed);
      const queue = new LaneQueue();
      const expected: QueuedSlices[] = [];
      // Seldom more than a few wait, or thousands: both have their own way to be kept.
      const most = seed % 8 === 0 ? 6_000 : 3;
      for (let step = 0; step < 4 * most + 200; step++) {
        const grows = step < 2 * most ? below(8) > 0 : below(4) === 0;
        if (grows && expected.length < most) {
          const entry = entryOf(step);
          if (below(10) === 0) {
            queue.pushFront(entry);
            expected.unshift(entry);
          } else {
            queue.push(entry);
            expected.push(entry);
          }
        } else {
          const flow = queue.flow();
          if (flow) queue.shift(flow);
          expected.shift();
        }
        expect(queue.peek()).toBe(expected[0]);
        expect(queue.isEmpty).toBe(expected.length === 0);
        if (step % 500 === 0) expect(queue.sample(expected.length)).toEqual(expected);
      }
    }
  });
});

function entryOf(sequence: number): QueuedSlices {
  const ref: ChunkRef = {
    slot: 0,
    stream: 1,
    sequence,
    laneId: 1,
    kind: 0,
    flow: 0,
    runCount: 1,
    sliceCount: 1,
    dueMs: undefined,
  };
  return { ref, next: 0, end: 1, careful: false, skip: [], freshAtMs: 0, queuedAtMs: 0 };
}
