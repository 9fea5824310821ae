import { expect, test } from 'vitest';
import { awake, compareAwake, describeStalls, stallsSentence } from '../../src/drill/awake.ts';
import { floodSent } from '../../src/drill/flood.ts';
import type { SampleRow } from '../../src/drill/load/protocol.ts';
import { createStallWatch, type Stall, stolenMs } from '../../src/drill/metronome/stall-watch.ts';
import { compareWithCalm } from '../../src/drill/neighbours.ts';

/** Ticks as [time, stolen so far], in milliseconds. */
function stallsOf(...ticks: readonly (readonly [number, number])[]): Stall[] {
  return stallsSeenBy(false, ...ticks);
}

function stallsSeenBy(isFirst: boolean, ...ticks: readonly (readonly [number, number])[]): Stall[] {
  const stalls: Stall[] = [];
  const tick = createStallWatch({ isFirst, noted: (stall) => stalls.push(stall) });
  for (const [atMs, stolen] of ticks) tick(atMs, stolen);
  return stalls;
}

test('a late tick is a stall of the machine when enough was stolen meanwhile', () => {
  expect(stallsOf([0, 500], [5, 500], [105, 520], [110, 520])).toEqual([{ fromMs: 5, toMs: 105 }]);
});

test('a late tick without anything stolen is a busy machine, and no stall', () => {
  expect(stallsOf([0, 500], [205, 500], [210, 500])).toEqual([]);
  expect(stallsOf([0, 500], [205, 510], [210, 510])).toEqual([]);
});

test('a late tick of what every processor serves first is a stall, whatever the system books', () => {
  expect(stallsSeenBy(true, [0, 500], [30, 500], [35, 500])).toEqual([{ fromMs: 0, toMs: 30 }]);
  expect(stallsSeenBy(true, [0, 500], [24, 500], [29, 500])).toEqual([]);
});

test('something stolen while ticks are in time is no stall', () => {
  expect(stallsOf([0, 0], [20, 40], [40, 80], [65, 120], [70, 120])).toEqual([]);
});

test('what the system books just after the late tick counts', () => {
  expect(stallsOf([0, 0], [100, 0], [102, 60], [107, 60])).toEqual([{ fromMs: 0, toMs: 100 }]);
});

test('what made one gap a stall does not make the next one too', () => {
  expect(stallsOf([0, 0], [100, 0], [200, 60], [205, 60])).toEqual([{ fromMs: 0, toMs: 100 }]);
  expect(stallsOf([0, 0], [100, 0], [200, 60], [205, 90])).toHaveLength(2);
});

test('what was stolen is read from the sum of all processors', () => {
  const cpu = 'cpu  1395151 101052 491324 2811404 39864 0 17823 3121 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0';
  expect(stolenMs(cpu)).toBe(31_210);
});

type Trigger = readonly [dueMs: number, deliveredMs: number | null];

function rows(triggers: readonly Trigger[]): SampleRow[] {
  return triggers.map(([dueMs, deliveredMs], n) => [
    ...(['phase', 0, dueMs, dueMs, dueMs + 1, deliveredMs] as const),
    ...([0, null, 1, `run-${n}`] as const),
  ]);
}

/** `count` triggers, one each 10 ms from `fromMs` on, delivered as late as `latencyMs` says of their time. */
function steady(count: number, fromMs: number, latencyMs: (dueMs: number) => number): SampleRow[] {
  const due = Array.from({ length: count }, (_, n) => fromMs + n * 10);
  return rows(due.map((dueMs) => [dueMs, dueMs + latencyMs(dueMs)]));
}

test('a trigger is awake when it met no stall between due and delivered', () => {
  const stalls = [
    { fromMs: 100, toMs: 200 },
    { fromMs: 500, toMs: 550 },
  ];
  const untouched: Trigger[] = [
    [0, 99],
    [201, 210],
    [300, 499],
    [551, 600],
  ];
  const touched: Trigger[] = [
    [0, 100],
    [99, 600],
    [120, 130],
    [200, 210],
    [499, 501],
  ];
  expect(awake(rows([...untouched, ...touched]), stalls)).toEqual(rows(untouched));
  expect(awake(rows(touched), [])).toEqual(rows(touched));
});

test('no stall excuses a trigger that was never delivered', () => {
  const lost = rows([[50, null]]);
  expect(awake(lost, [{ fromMs: 40, toMs: 60 }])).toEqual(lost);
});

test('stalls are told of the phase in which they were, and only for as long as it lasted', () => {
  const calm = steady(101, 0, () => 5);
  const stalls = [
    { fromMs: 400, toMs: 500 },
    { fromMs: 950, toMs: 1_100 },
    { fromMs: 5_000, toMs: 5_100 },
  ];
  expect(describeStalls(calm, stalls)).toMatchObject({
    machine_stalls: 2,
    machine_stalled_ms: 150,
    awake_p99_ms: 5,
    awake_triggers: 84,
  });
  expect(describeStalls([], stalls)).toMatchObject({ machine_stalls: 0, awake_p99_ms: null });
});

test('a stall in the flood moves the ratio that is judged and not the one beside it', () => {
  const calm = steady(1_000, 0, () => 10);
  const stall = { fromMs: 20_000, toMs: 20_200 };
  const flood = steady(1_000, 18_000, (dueMs) =>
    dueMs >= stall.fromMs && dueMs < stall.toMs ? stall.toMs - dueMs : 10,
  );
  expect(compareWithCalm(calm, [flood]).ratio).toBeGreaterThan(5);
  expect(compareAwake(calm, [flood], [stall])).toEqual({
    neighbours_p99_ratio_awake: 1,
    neighbours_worst_p99_ratio_awake: 1,
  });
});

test('a slow server is slow in both ratios', () => {
  const calm = steady(1_000, 0, () => 10);
  const flood = steady(1_000, 18_000, () => 30);
  const stall = { fromMs: 20_000, toMs: 20_200 };
  expect(compareAwake(calm, [flood], [stall])).toMatchObject({ neighbours_p99_ratio_awake: 3 });
});

test('where the system does not tell of stalls nothing is said of them', () => {
  const calm = steady(100, 0, () => 10);
  expect(describeStalls(calm, null)).toMatchObject({ machine_stalls: null, awake_p99_ms: null });
  expect(compareAwake(calm, [calm], null)).toEqual({
    neighbours_p99_ratio_awake: null,
    neighbours_worst_p99_ratio_awake: null,
  });
  expect(stallsSentence(null)).toContain('does not tell');
});

test('the timeline says how long the machine stood still in all', () => {
  const stalls = [
    { fromMs: 0, toMs: 1_000 },
    { fromMs: 2_000, toMs: 2_234.4 },
  ];
  expect(stallsSentence(stalls)).toContain('2 times in all this, 1,234 ms together');
  expect(stallsSentence(stalls.slice(0, 1))).toContain('once in all this, 1,000 ms');
  expect(stallsSentence([])).toBe('the machine itself never stood still');
});

test('what was really sent of a flood is said beside what was due', () => {
  const summary = { phase: 'flood', startedMs: 0, endedMs: 1_000, sent: 300, unsent: 700 };
  expect(floodSent([summary])).toEqual({ flood: { due: 1_000, sent: 300, share: 0.3 } });
});
