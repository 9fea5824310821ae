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
  heapSeat: number;
  /** First in, first out. Most flows have one entry at a time: the others are in a list that begins at `head`. */
  first: QueuedSlices | undefined;
  others: QueuedSlices[] | undefined;
  head: number;
};

/** Flows without work whose service is remembered, at the most. */
const MAX_IDLE_FLOWS = 256;

/**
 * What waits in a lane: start-time fair queueing between its flows, first in, first out within each. A lane
 * with one flow and one entry, as most have, costs no map, list or heap.
 */
export class LaneQueue {
  /** Until there is a second one. */
  #onlyFlow: Flow | undefined;
  #flows: Map<number, Flow> | undefined;
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
    return this.#ready.peek()?.first;
  }

  /** When the oldest that waits began to. Visits each flow that has work. */
  oldestMs(): number | undefined {
    let oldest: number | undefined;
    for (const flow of this.#allFlows()) {
      const first = flow.first?.queuedAtMs;
      if (first !== undefined && (oldest === undefined || first < oldest)) oldest = first;
    }
    return oldest;
  }

  push(entry: QueuedSlices): void {
    const flow = this.#flow(entry.ref.flow);
    if (!flow.first) flow.first = entry;
    else if (flow.others) flow.others.push(entry);
    else flow.others = [entry];
    this.#wake(flow);
  }

  /** For work that came back: ahead of what waits in its flow. */
  pushFront(entry: QueuedSlices): void {
    const flow = this.#flow(entry.ref.flow);
    const { first, others } = flow;
    flow.first = entry;
    if (first && others && flow.head > 0) {
      flow.head -= 1;
      others[flow.head] = first;
    } else if (first) {
      flow.others = [first, ...(others ?? [])];
    }
    this.#wake(flow);
  }

  /** The first entry of the flow is taken wholly. */
  shift(flow: Flow): void {
    const { others } = flow;
    flow.first = others?.[flow.head];
    if (!flow.first) {
      this.#ready.remove(flow);
      if (this.#flows && this.#flows.size > MAX_IDLE_FLOWS) this.#forgetIdle(this.#flows);
    } else if (others) {
      flow.head += 1;
      if (flow.head === others.length) {
        flow.others = undefined;
        flow.head = 0;
      } else if (flow.head > 1_024 && flow.head * 2 > others.length) {
        others.splice(0, flow.head);
        flow.head = 0;
      }
    }
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
    for (const { first } of this.#allFlows()) {
      if (first) found.push(first);
      if (found.length >= limit) break;
    }
    return found;
  }

  /** At most so many entries, spread evenly over all. */
  sample(limit: number): QueuedSlices[] {
    const flows = [...this.#allFlows()];
    const total = flows.reduce((sum, flow) => sum + entryCount(flow), 0);
    const step = Math.max(1, total / limit);
    const found: QueuedSlices[] = [];
    let before = 0;
    for (const flow of flows) {
      const count = entryCount(flow);
      for (;;) {
        const position = Math.floor(found.length * step) - before;
        const entry = entryAt(flow, position);
        if (!entry || found.length >= limit) break;
        found.push(entry);
      }
      before += count;
    }
    return found;
  }

  #allFlows(): Iterable<Flow> {
    return this.#flows?.values() ?? (this.#onlyFlow ? [this.#onlyFlow] : []);
  }

  #flow(id: number): Flow {
    const only = this.#onlyFlow;
    const known = only?.id === id ? only : this.#flows?.get(id);
    if (known) return known;
    const flow: Flow = {
      id,
      tagMs: this.#virtualTimeMs,
      heapSeat: -1,
      first: undefined,
      others: undefined,
      head: 0,
    };
    if (only) {
      this.#flows = new Map([[only.id, only]]);
      this.#onlyFlow = undefined;
    }
    if (this.#flows) this.#flows.set(id, flow);
    else this.#onlyFlow = flow;
    return flow;
  }

  /** One that had no work starts now: it has no claim on the service of the past. */
  #wake(flow: Flow): void {
    if (this.#ready.has(flow)) return;
    flow.tagMs = Math.max(flow.tagMs, this.#virtualTimeMs);
    this.#ready.push(flow);
  }

  #forgetIdle(flows: Map<number, Flow>): void {
    for (const flow of flows.values()) {
      if (!this.#ready.has(flow) && flow.tagMs <= this.#virtualTimeMs) flows.delete(flow.id);
    }
  }
}

function entryCount({ first, others, head }: Flow): number {
  return first ? 1 + (others?.length ?? head) - head : 0;
}

function entryAt({ first, others, head }: Flow, position: number): QueuedSlices | undefined {
  return position === 0 ? first : others?.[head + position - 1];
}
