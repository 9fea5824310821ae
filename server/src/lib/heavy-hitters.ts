/**
 * Who is most of a stream, in bounded memory: the Space-Saving sketch (Metwally, Agrawal, El Abbadi:
 * Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005) with weights.
 *
 * Of `capacity` counters the smallest is the root of a heap. A key without a counter takes over the
 * smallest one with its count, which becomes the key's possible error. So for each key
 * `count - error <= true count <= count`, a key without a counter has at most `floor`, and
 * `floor <= total / capacity`: whoever has more than that share is in the sketch.
 */
export type HeavyHitters = {
  /** Counts `weight` for the key, and returns its counter, so that the caller can add to `tallies`. */
  readonly add: (key: string, weight: number, nowMs: number) => Counter;
  /** What was counted; the sketch must not be added to afterwards. */
  readonly summary: () => Summary;
};

export type Counter = {
  key: string;
  /** Upper bound of what was counted for the key. */
  count: number;
  /** How much of it may be others'. */
  error: number;
  /** When the key's own count went above its threshold. */
  crossedMs: number | undefined;
  /** Sums of the caller's, since the key has the counter. */
  readonly tallies: number[];
  threshold: number;
  position: number;
};

/** The counters of a stream or of a part of it. */
export type Summary = {
  readonly counters: ReadonlyMap<string, Hitter>;
  /** The most that a key without a counter can have. */
  readonly floor: number;
  readonly total: number;
};

export type Hitter = Readonly<Pick<Counter, 'key' | 'count' | 'error' | 'crossedMs'>> & {
  readonly tallies: readonly number[];
};

export type HeavyHittersOptions = {
  readonly capacity: number;
  /** How many sums each counter has. */
  readonly tallies?: number;
  /** The count above which a key is marked with the time. Asked when a key gets a counter. */
  readonly threshold?: (key: string) => number;
};

export function createHeavyHitters(options: HeavyHittersOptions): HeavyHitters {
  const { capacity, tallies = 0, threshold = () => Number.POSITIVE_INFINITY } = options;
  const counters = new Map<string, Counter>();
  const heap: Counter[] = [];
  let total = 0;

  /** Moves a counter that grew away from the root. */
  const sink = (counter: Counter): void => {
    let position = counter.position;
    for (;;) {
      const left = 2 * position + 1;
      const first = heap[left];
      if (first === undefined) break;
      const second = heap[left + 1];
      const smaller = second !== undefined && second.count < first.count ? second : first;
      if (smaller.count >= counter.count) break;
      const below = smaller.position;
      heap[position] = smaller;
      smaller.position = position;
      position = below;
    }
    heap[position] = counter;
    counter.position = position;
  };

  /** Moves a new counter towards the root. */
  const rise = (counter: Counter): void => {
    let position = counter.position;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || parent.count <= counter.count) break;
      heap[position] = parent;
      parent.position = position;
      position = above;
    }
    heap[position] = counter;
    counter.position = position;
  };

  const takeOver = (counter: Counter, key: string): void => {
    counters.delete(counter.key);
    counter.key = key;
    counter.error = counter.count;
    counter.crossedMs = undefined;
    counter.threshold = threshold(key);
    counter.tallies.fill(0);
    counters.set(key, counter);
  };

  return {
    add: (key, weight, nowMs) => {
      total += weight;
      let counter = counters.get(key);
      if (counter === undefined) {
        const smallest = heap[0];
        if (smallest !== undefined && heap.length >= capacity) {
          takeOver(smallest, key);
          counter = smallest;
        } else {
          counter = {
            key,
            count: weight,
            error: 0,
            crossedMs: weight > threshold(key) ? nowMs : undefined,
            tallies: new Array<number>(tallies).fill(0),
            threshold: threshold(key),
            position: heap.length,
          };
          heap.push(counter);
          counters.set(key, counter);
          rise(counter);
          return counter;
        }
      }
      counter.count += weight;
      if (counter.crossedMs === undefined && counter.count - counter.error > counter.threshold) {
        counter.crossedMs = nowMs;
      }
      sink(counter);
      return counter;
    },
    summary: () => ({
      counters,
      floor: heap.length < capacity ? 0 : (heap[0]?.count ?? 0),
      total,
    }),
  };
}

/**
 * The summary of several streams together, of at most `capacity` keys: counts, errors and floors
 * add up (Agarwal et al.: Mergeable Summaries, 2012), so the bounds of each hold for the sum.
 */
export function mergeSummaries(parts: readonly Summary[], capacity: number): Summary {
  const floors = parts.reduce((sum, { floor }) => sum + floor, 0);
  const merged = new Map<string, Counter>();
  for (const { counters, floor } of parts) {
    for (const hitter of counters.values()) {
      const sum = merged.get(hitter.key);
      if (sum) {
        sum.count += hitter.count - floor;
        sum.error += hitter.error - floor;
        sum.crossedMs ??= hitter.crossedMs;
        for (const [index, tally] of hitter.tallies.entries()) {
          sum.tallies[index] = (sum.tallies[index] ?? 0) + tally;
        }
      } else {
        merged.set(hitter.key, {
          key: hitter.key,
          count: floors + hitter.count - floor,
          error: floors + hitter.error - floor,
          crossedMs: hitter.crossedMs,
          tallies: [...hitter.tallies],
          threshold: Number.POSITIVE_INFINITY,
          position: 0,
        });
      }
    }
  }
  const total = parts.reduce((sum, part) => sum + part.total, 0);
  if (merged.size <= capacity) return { counters: merged, floor: floors, total };
  const sorted = [...merged.values()].sort((a, b) => b.count - a.count);
  return {
    counters: new Map(sorted.slice(0, capacity).map((counter) => [counter.key, counter])),
    floor: Math.max(floors, sorted[capacity]?.count ?? 0),
    total,
  };
}
