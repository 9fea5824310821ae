import { expect, test } from 'vitest';
import { createHeavyHitters, mergeSummaries, type Summary } from '../../src/lib/heavy-hitters.ts';
import { forSeeds, integer } from '../support/random.ts';
import { must } from '../support/schedules.ts';

type Exact = { readonly counts: Map<string, number>; readonly summary: Summary };

/** A skewed stream of random weights, counted by the sketch and exactly. */
function stream(random: () => number, capacity: number): Exact {
  const counts = new Map<string, number>();
  const sketch = createHeavyHitters({ capacity, tallies: 1 });
  const keys = integer(random, 1, 300);
  for (let i = integer(random, 0, 3_000); i > 0; i--) {
    const key = `key-${Math.floor(keys * random() ** integer(random, 1, 6))}`;
    const weight = integer(random, 1, random() < 0.05 ? 1_000 : 3);
    counts.set(key, (counts.get(key) ?? 0) + weight);
    const counter = sketch.add(key, weight, i);
    counter.tallies[0] = (counter.tallies[0] ?? 0) + 1;
  }
  return { counts, summary: sketch.summary() };
}

function checkBounds({ counts, summary }: Exact, capacity: number): void {
  must(summary.counters.size <= capacity, 'no more counters than the capacity');
  const exactTotal = [...counts.values()].reduce((sum, count) => sum + count, 0);
  must(summary.total === exactTotal, 'the total is exact');
  must(summary.floor <= summary.total / capacity + 1e-9, 'the floor is within total / capacity');
  for (const { key, count, error } of summary.counters.values()) {
    const exact = counts.get(key) ?? 0;
    must(count - error <= exact && exact <= count, `${key}: ${count} - ${error} <= ${exact}`);
  }
  for (const [key, exact] of counts) {
    must(summary.counters.has(key) || exact <= summary.floor, `${key} of ${exact} is not missed`);
  }
}

test('each count lies within its bounds, and nobody above the floor is missed', () => {
  forSeeds(300, (random) => {
    const capacity = integer(random, 1, 64);
    checkBounds(stream(random, capacity), capacity);
  });
});

test('as long as keys are fewer than counters, counts are exact', () => {
  forSeeds(50, (random) => {
    const { counts, summary } = stream(random, 301);
    for (const [key, exact] of counts) {
      must(summary.counters.get(key)?.count === exact, key);
      must(summary.counters.get(key)?.error === 0, key);
    }
  });
});

test('the bounds of each part hold for their sum', () => {
  forSeeds(200, (random) => {
    const capacity = integer(random, 1, 64);
    const parts = Array.from({ length: integer(random, 0, 6) }, () => stream(random, capacity));
    const counts = new Map<string, number>();
    for (const part of parts) {
      for (const [key, count] of part.counts) counts.set(key, (counts.get(key) ?? 0) + count);
    }
    const kept = integer(random, 1, 100);
    const summary = mergeSummaries(
      parts.map((part) => part.summary),
      kept,
    );
    must(summary.counters.size <= kept, 'no more than asked for');
    for (const { key, count, error } of summary.counters.values()) {
      const exact = counts.get(key) ?? 0;
      must(count - error <= exact && exact <= count, `${key}: ${count} - ${error} <= ${exact}`);
    }
    for (const [key, exact] of counts) {
      must(summary.counters.has(key) || exact <= summary.floor, `${key} of ${exact} is not missed`);
    }
  });
});

test('a key is marked with the moment in which its own count went above its threshold', () => {
  const sketch = createHeavyHitters({ capacity: 2, threshold: () => 10 });
  sketch.add('steady', 5, 1_000);
  sketch.add('loud', 10, 1_001);
  expect(sketch.add('loud', 1, 1_002).crossedMs).toBe(1_002);
  expect(sketch.add('loud', 1, 1_003).crossedMs).toBe(1_002);
  // Takes the counter of `steady` over: its count is 5 + 10, its own only 10.
  expect(sketch.add('new', 10, 1_004)).toMatchObject({ count: 15, error: 5 });
  expect(sketch.add('new', 1, 1_005).crossedMs).toBe(1_005);
});
