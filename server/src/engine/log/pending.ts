import { createDynamicThreshold } from '../../lib/dynamic-threshold.ts';
import type { SerialisedTrigger } from './layout.ts';

/** What may wait for a commit: past it, callers are told to come back. */
const MAX_PENDING_TRIGGERS = 20_000;
const MAX_PENDING_BYTES = 256 * 1024 * 1024;

/** What one commit carries at the most. */
const BATCH_TRIGGERS = 1_000;
const BATCH_BYTES = 16 * 1024 * 1024;
/** What one environment brings into it while others are active. */
const SHARED_TRIGGERS = 250;
const SHARED_BYTES = 256 * 1024;
/** An environment is active for so long after its latest trigger. */
const ACTIVE_MS = 1_000;

/** A recipient's run in a chunk, roughly. */
const RUN_BYTES = 64;

/** Who is to blame that a trigger finds no place: its own environment, or all of them together. */
export type Refused = 'environment' | 'everybody';

/**
 * Triggers that wait for their commit. An environment may have more waiting only while it has fewer than
 * are free, and while several are active each brings a little into every commit, by turns: one that floods
 * neither takes all places nor makes the commits of the others long. Order within one is kept.
 */
export type PendingTriggers<Item extends SerialisedTrigger> = {
  readonly add: (item: Item, nowMs: number) => Refused | undefined;
  /** What the next commit carries: at least one when any waits. */
  readonly takeBatch: (nowMs: number) => Item[];
  readonly count: () => number;
  /** Whether there is no use in waiting for more. */
  readonly fillsBatch: () => boolean;
};

/** A first-in-first-out list; what was taken is forgotten in one go. */
type Queue<Item> = { items: Item[]; next: number };

export function createPendingTriggers<Item extends SerialisedTrigger>(): PendingTriggers<Item> {
  const triggers = createDynamicThreshold(MAX_PENDING_TRIGGERS);
  const bytes = createDynamicThreshold(MAX_PENDING_BYTES);
  // A Map keeps insertion order: its first environment is the one whose turn it is.
  const queues = new Map<number, Queue<Item>>();
  let count = 0;
  // The two environments that came last: enough to know whether one is alone.
  let latest: { readonly id: number; readonly atMs: number } | undefined;
  let other: { readonly id: number; readonly atMs: number } | undefined;

  const add = (item: Item, nowMs: number): Refused | undefined => {
    const id = item.request.environmentId;
    if (latest?.id !== id) other = latest;
    latest = { id, atMs: nowMs };
    const size = sizeOf(item);
    if (!triggers.take(id, 1)) return triggers.free() > 0 ? 'environment' : 'everybody';
    // One that is larger than what is free may wait alone.
    if (!bytes.take(id, Math.min(size, MAX_PENDING_BYTES))) {
      triggers.giveBack(id, 1);
      return bytes.held(id) > 0 ? 'environment' : 'everybody';
    }
    const queue = queues.get(id);
    if (queue) queue.items.push(item);
    else queues.set(id, { items: [item], next: 0 });
    count += 1;
    return undefined;
  };

  /** Moves items of one environment to the batch, within what it may bring. */
  const takeSome = (
    id: number,
    batch: Item[],
    limits: { readonly triggers: number; readonly bytes: number },
  ): number => {
    const queue = queues.get(id);
    if (!queue) return 0;
    let taken = 0;
    let takenBytes = 0;
    for (;;) {
      const item = queue.items[queue.next];
      if (item === undefined || taken >= limits.triggers) break;
      const size = Math.min(sizeOf(item), MAX_PENDING_BYTES);
      // The first one always fits, however large: it has waited for its turn.
      if (taken > 0 && takenBytes + size > limits.bytes) break;
      batch.push(item);
      queue.next += 1;
      taken += 1;
      takenBytes += size;
    }
    triggers.giveBack(id, taken);
    bytes.giveBack(id, takenBytes);
    count -= taken;
    queues.delete(id);
    if (queue.next < queue.items.length) {
      // Halving keeps the cost of forgetting below that of taking.
      if (queue.next * 2 > queue.items.length) {
        queue.items = queue.items.slice(queue.next);
        queue.next = 0;
      }
      queues.set(id, queue);
    }
    return takenBytes;
  };

  const takeBatch = (nowMs: number): Item[] => {
    const batch: Item[] = [];
    const isShared = queues.size > 1 || (other !== undefined && nowMs - other.atMs < ACTIVE_MS);
    let room = BATCH_BYTES;
    // Each environment once: who has more waits for the next commit.
    for (const id of [...queues.keys()]) {
      if (batch.length >= BATCH_TRIGGERS || room <= 0) break;
      const left = BATCH_TRIGGERS - batch.length;
      room -= takeSome(id, batch, {
        triggers: isShared ? Math.min(SHARED_TRIGGERS, left) : left,
        bytes: isShared ? Math.min(SHARED_BYTES, room) : room,
      });
    }
    return batch;
  };

  return { add, takeBatch, count: () => count, fillsBatch: () => count >= BATCH_TRIGGERS };
}

function sizeOf({ request, dataText }: SerialisedTrigger): number {
  return dataText.length + request.recipients.length * RUN_BYTES;
}
