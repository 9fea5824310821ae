import type { ChunkRef } from '../log/chunk.ts';

/** Slices `next` to `end` (exclusive) of a chunk that wait. */
export type QueuedSlices = {
  readonly ref: ChunkRef;
  next: number;
  readonly end: number;
  readonly careful: boolean;
  readonly skip: readonly number[];
};

export type Lane = {
  readonly id: number;
  weight: number;
  /** Start tag of the lane's next work, in milliseconds of weighted service. */
  tagMs: number;
  /** Service time of one run, smoothed. */
  costMs: number;
  /** First in, first out, from `head` on. */
  queue: QueuedSlices[];
  head: number;
  ready: boolean;
  /** Assignments under way that hold work of the lane. */
  held: number;
};

/** Lanes with work, the smallest tag first (ties by id, so that order is deterministic). Binary heap. */
export class LaneHeap {
  readonly #lanes: Lane[] = [];
  readonly #positions = new Map<Lane, number>();

  get size(): number {
    return this.#lanes.length;
  }

  peek(): Lane | undefined {
    return this.#lanes[0];
  }

  push(lane: Lane): void {
    this.#place(lane, this.#lanes.length);
    this.#rise(this.#lanes.length - 1);
  }

  pop(): void {
    const top = this.#lanes[0];
    const last = this.#lanes.pop();
    if (!top || !last) return;
    this.#positions.delete(top);
    if (last === top) return;
    this.#place(last, 0);
    this.#sink(0);
  }

  /** Restores order after the first lane's tag grew. */
  sinkTop(): void {
    this.#sink(0);
  }

  /** Restores order after a lane's tag changed. */
  reposition(lane: Lane): void {
    const position = this.#positions.get(lane);
    if (position === undefined) return;
    this.#rise(position);
    this.#sink(this.#positions.get(lane) ?? position);
  }

  #place(lane: Lane, position: number): void {
    this.#lanes[position] = lane;
    this.#positions.set(lane, position);
  }

  #rise(from: number): void {
    let position = from;
    const lane = this.#lanes[position];
    if (!lane) return;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.#lanes[above];
      if (!parent || !isBefore(lane, parent)) break;
      this.#place(parent, position);
      position = above;
    }
    this.#place(lane, position);
  }

  #sink(from: number): void {
    let position = from;
    const lane = this.#lanes[position];
    if (!lane) return;
    while (true) {
      const left = this.#lanes[2 * position + 1];
      const right = this.#lanes[2 * position + 2];
      const child = left && right && isBefore(right, left) ? right : left;
      if (!child || !isBefore(child, lane)) break;
      const below = child === left ? 2 * position + 1 : 2 * position + 2;
      this.#place(child, position);
      position = below;
    }
    this.#place(lane, position);
  }
}

function isBefore(a: Lane, b: Lane): boolean {
  return a.tagMs < b.tagMs || (a.tagMs === b.tagMs && a.id < b.id);
}
