import type { ChunkRef } from '../log/chunk.ts';
import { TagHeap } from './heap.ts';

/** Slices `next` to `end` (exclusive) of a chunk that wait. */
export type QueuedSlices = {
  readonly ref: ChunkRef;
  next: number;
  readonly end: number;
  readonly careful: boolean;
  readonly skip: readonly number[];
  /** When it came to a lane that had nothing to do: what it waits for then is others. */
  freshAtMs: number | undefined;
  /** When it began to wait. */
  readonly queuedAtMs: number;
};

/** Work of a lane that takes turns with the rest of it: that of one tenant, more or less. */
export type Flow = {
  readonly id: number;
  /** Start tag among the flows of the lane, in milliseconds of service. */
  tagMs: number;
  heapPosition: number;
  /** First in, first out, from `head` on. */
  entries: QueuedSlices[];
  head: number;
};

/** Flows without work whose service is remembered, at the most. */
const MAX_IDLE_FLOWS = 256;

/**
 * What waits in a lane: start-time fair queueing between its flows, first in, first out within each. A lane
 * with one flow, as most have, costs no more than a list.
 */
export class LaneQueue {
  readonly #flows = new Map<number, Flow>();
  readonly #ready = new TagHeap<Flow>();
  #virtualTimeMs = 0;

  get isEmpty(): boolean {
    return this.#ready.size === 0;
  }

  /** Flows that have work. */
  get flowCount(): number {
    return this.#ready.size;
  }

  /** Whose turn it is. */
  flow(): Flow | undefined {
    return this.#ready.peek();
  }

  /** What goes next. */
  peek(): QueuedSlices | undefined {
    const flow = this.#ready.peek();
    return flow?.entries[flow.head];
  }

  /** When the oldest that waits began to. Visits each flow that has work. */
  oldestMs(): number | undefined {
    let oldest: number | undefined;
    for (const { entries, head } of this.#flows.values()) {
      const first = entries[head]?.queuedAtMs;
      if (first !== undefined && (oldest === undefined || first < oldest)) oldest = first;
    }
    return oldest;
  }

  push(entry: QueuedSlices): void {
    const flow = this.#flow(entry.ref.flow);
    flow.entries.push(entry);
    this.#wake(flow);
  }

  /** For work that came back: ahead of what waits in its flow. */
  pushFront(entry: QueuedSlices): void {
    const flow = this.#flow(entry.ref.flow);
    if (flow.head > 0) {
      flow.head -= 1;
      flow.entries[flow.head] = entry;
    } else {
      flow.entries.unshift(entry);
    }
    this.#wake(flow);
  }

  /** The first entry of the flow is taken wholly. */
  shift(flow: Flow): void {
    flow.head += 1;
    if (flow.head < flow.entries.length) {
      if (flow.head <= 1_024 || flow.head * 2 <= flow.entries.length) return;
      flow.entries.splice(0, flow.head);
      flow.head = 0;
      return;
    }
    flow.entries = [];
    flow.head = 0;
    this.#ready.remove(flow);
    if (this.#flows.size > MAX_IDLE_FLOWS) this.#forgetIdle();
  }

  /** The flow is served now, for about this long. */
  serve(flow: Flow, serviceMs: number): void {
    this.#virtualTimeMs = Math.max(this.#virtualTimeMs, flow.tagMs);
    this.charge(flow, serviceMs);
  }

  /** Moves the flow forward (or back) by this much service. */
  charge(flow: Flow, serviceMs: number): void {
    flow.tagMs += serviceMs;
    this.#ready.reposition(flow);
  }

  /** The oldest entries of at most so many flows. */
  heads(limit: number): QueuedSlices[] {
    const found: QueuedSlices[] = [];
    for (const { entries, head } of this.#flows.values()) {
      const entry = entries[head];
      if (entry) found.push(entry);
      if (found.length >= limit) break;
    }
    return found;
  }

  /** At most so many entries, spread evenly over all. */
  sample(limit: number): QueuedSlices[] {
    const flows = [...this.#flows.values()];
    const total = flows.reduce((sum, flow) => sum + flow.entries.length - flow.head, 0);
    const step = Math.max(1, total / limit);
    const found: QueuedSlices[] = [];
    let before = 0;
    for (const { entries, head } of flows) {
      const count = entries.length - head;
      for (;;) {
        const position = Math.floor(found.length * step) - before;
        const entry = position < count ? entries[head + position] : undefined;
        if (!entry || found.length >= limit) break;
        found.push(entry);
      }
      before += count;
    }
    return found;
  }

  #flow(id: number): Flow {
    let flow = this.#flows.get(id);
    if (!flow) {
      flow = { id, tagMs: this.#virtualTimeMs, heapPosition: -1, entries: [], head: 0 };
      this.#flows.set(id, flow);
    }
    return flow;
  }

  /** One that had no work starts now: it has no claim on the service of the past. */
  #wake(flow: Flow): void {
    if (this.#ready.has(flow)) return;
    flow.tagMs = Math.max(flow.tagMs, this.#virtualTimeMs);
    this.#ready.push(flow);
  }

  #forgetIdle(): void {
    for (const flow of this.#flows.values()) {
      if (!this.#ready.has(flow) && flow.tagMs <= this.#virtualTimeMs) this.#flows.delete(flow.id);
    }
  }
}
