import { timeOfPack } from './ring.ts';

/** An object is as large as this, and a pack more at the most. */
export const OBJECT_BYTES = 8 * 1024 * 1024;
/** What waits for so long goes, however little it is. */
export const MAX_WAIT_MS = 30_000;
/** Batches of one environment at a time. */
const UNDER_WAY = 4;

export type WaitingPack = { readonly id: string; readonly slot: number; readonly size: number };

/** Packs of one environment and month that become one object. */
export type Batch = { readonly environmentId: number; readonly packs: readonly WaitingPack[] };

type Queue = {
  packs: WaitingPack[];
  underWay: number;
};

/**
 * What the mover knows of packs that are not in the store: those that wait, by environment in the order of their ids, and those
 * under way. Pure.
 */
export class WaitingPacks {
  readonly #queues = new Map<number, Queue>();
  readonly #known = new Set<string>();
  /** In the store, but a look that began before may still show them. */
  #settled: string[] = [];
  /** How many of each slot are known. */
  readonly #slots = new Map<number, number>();

  /** Packs that wait or are under way. */
  get count(): number {
    return this.#known.size;
  }

  has(packId: string): boolean {
    return this.#known.has(packId);
  }

  isSlotBusy(slot: number): boolean {
    return (this.#slots.get(slot) ?? 0) > 0;
  }

  bytesOf(environmentId: number): number {
    const packs = this.#queues.get(environmentId)?.packs ?? [];
    return packs.reduce((sum, { size }) => sum + size, 0);
  }

  /** To be called before a look at the database; what it returns, after what was found is added. */
  beginLook(): () => void {
    const settled = this.#settled;
    this.#settled = [];
    return () => {
      for (const id of settled) this.#known.delete(id);
    };
  }

  /** Takes packs that were found; those that are known already count once. */
  add(environmentId: number, packs: readonly WaitingPack[]): void {
    const queue = this.#queues.get(environmentId) ?? { packs: [], underWay: 0 };
    this.#queues.set(environmentId, queue);
    for (const pack of packs) {
      if (this.#known.has(pack.id)) continue;
      this.#known.add(pack.id);
      this.#slots.set(pack.slot, (this.#slots.get(pack.slot) ?? 0) + 1);
      queue.packs.push(pack);
    }
  }

  /** The next batch that is large or old enough, of an environment that `may` have one now; environments take turns. */
  next(nowMs: number, may: (environmentId: number) => boolean): Batch | undefined {
    for (const [environmentId, queue] of this.#queues) {
      if (queue.underWay >= UNDER_WAY) continue;
      const count = batchSize(queue.packs, nowMs);
      if (count === 0 || !may(environmentId)) continue;
      const packs = queue.packs.splice(0, count);
      queue.underWay += 1;
      // Last again: it had its turn.
      this.#queues.delete(environmentId);
      this.#queues.set(environmentId, queue);
      return { environmentId, packs };
    }
    return undefined;
  }

  /** A batch is in the store, or its packs are somebody else's. */
  done({ environmentId, packs }: Batch): void {
    for (const { id, slot } of packs) {
      this.#settled.push(id);
      this.#slots.set(slot, (this.#slots.get(slot) ?? 1) - 1);
    }
    const queue = this.#queues.get(environmentId);
    if (!queue) return;
    queue.underWay -= 1;
    if (queue.underWay === 0 && queue.packs.length === 0) this.#queues.delete(environmentId);
  }
}

/** How many of these packs, from the first on, are a batch now; 0: they wait for more, or for their time. */
export function batchSize(packs: readonly WaitingPack[], nowMs: number): number {
  const [first] = packs;
  if (!first) return 0;
  const endMs = endOfMonth(first);
  let bytes = 0;
  let count = 0;
  let oldestMs = Number.POSITIVE_INFINITY;
  for (const pack of packs) {
    const isFull = bytes >= OBJECT_BYTES;
    // Objects of a month go with the month.
    if (isFull || endOfMonth(pack) !== endMs) return count;
    bytes += pack.size;
    count += 1;
    oldestMs = Math.min(oldestMs, timeOfPack(pack.id));
  }
  return bytes >= OBJECT_BYTES || nowMs - oldestMs >= MAX_WAIT_MS ? count : 0;
}

function endOfMonth({ id }: WaitingPack): number {
  const time = new Date(timeOfPack(id));
  return Date.UTC(time.getUTCFullYear(), time.getUTCMonth() + 1);
}
