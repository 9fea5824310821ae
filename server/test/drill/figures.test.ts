import { expect, test } from 'vitest';
import { type Figures, figureNames, goalsOf, missedGoals } from '../../src/drill/figures.ts';
import type { SampleRow } from '../../src/drill/load/protocol.ts';
import { lateFromMs } from '../../src/drill/mails.ts';
import { longestMoments } from '../../src/drill/moments.ts';
import { compareWithCalm, describePhase } from '../../src/drill/neighbours.ts';
import { incidentPlan, USUAL_MINUTES } from '../../src/drill/plan.ts';

const good: Figures = {
  neighbours_p99_ratio: 1.2,
  neighbours_worst_p99_ratio: 1.5,
  neighbours_lost: 0,
  acknowledged_lost: 0,
  flood_runs_per_s: 1,
  flood_alone_runs_per_s: 25_000,
  culprit_named_s: 9.99,
  hold_answer_s: 0.999,
  started_after_hold: 0,
  broadcast_duplicates: 0,
  broadcast_missing: 0,
  bodies_unreadable: 0,
  bodies_late: 0,
  object_store_requests_per_s: 100,
  log_gap: 0,
  log_store_caught_up_s: 500,
  disk_accepting_again_s: 4.9,
};

const goals = goalsOf({ objectStore: true, logStore: true, disk: true });
const withoutStores = goalsOf({ objectStore: false, logStore: false, disk: false });

const bad: Partial<Figures> = {
  neighbours_p99_ratio: 1.21,
  neighbours_worst_p99_ratio: 1.51,
  neighbours_lost: 1,
  acknowledged_lost: 1,
  flood_alone_runs_per_s: 24_999,
  culprit_named_s: 10,
  hold_answer_s: 1,
  started_after_hold: 1,
  broadcast_duplicates: 1,
  broadcast_missing: 1,
  bodies_unreadable: 1,
  bodies_late: 1,
  object_store_requests_per_s: 101,
  log_gap: 1,
  disk_accepting_again_s: 5,
};

test('a figure beyond its goal misses it, and so does one that could not be measured', () => {
  expect(missedGoals(goals, good, 'all')).toEqual([]);
  for (const name of figureNames(goals)) {
    expect(missedGoals(goals, { ...good, [name]: null }, 'all')).toEqual([name]);
    if (name in bad)
      expect(missedGoals(goals, { ...good, [name]: bad[name] }, 'all')).toEqual([name]);
  }
});

test('a drill without stores has no figures of stores', () => {
  expect(figureNames(withoutStores)).toHaveLength(11);
  expect(missedGoals(withoutStores, { ...good, log_gap: 5 }, 'all')).toEqual([]);
});

test('a rehearsal judges losses and not speed', () => {
  const slow = { ...good, neighbours_p99_ratio: 9, flood_alone_runs_per_s: 10 };
  expect(missedGoals(goals, slow, 'without speed')).toEqual([]);
  expect(missedGoals(goals, { ...slow, neighbours_lost: 1 }, 'without speed')).toEqual([
    'neighbours_lost',
  ]);
});

/** `seconds` of 100 triggers a second from 10 accounts, delivered as late as `latencyMs` says. */
function rows(seconds: number, latencyMs: (n: number) => number | null): SampleRow[] {
  return Array.from({ length: seconds * 100 }, (_, n) => {
    const dueMs = n * 10;
    const late = latencyMs(n);
    const deliveredMs = late === null ? null : dueMs + late;
    return ['phase', n % 10, dueMs, dueMs, dueMs + 1, deliveredMs, 0, null, 1, `run-${n}`];
  });
}

test('the ratio compares the worse flood with calm, and its bound is not below it', () => {
  const calm = rows(45, (n) => 10 + (n % 100) / 100);
  const same = compareWithCalm(calm, [calm]);
  expect(same).toMatchObject({ ratio: 1, worst: 1 });
  const slower = rows(45, (n) => 20 + (n % 100) / 50);
  const ratios = compareWithCalm(calm, [calm, slower]);
  expect(ratios.ratio).toBeCloseTo(2, 1);
  expect(ratios.worst).toBeCloseTo(2, 1);
  expect(ratios.upper95).toBeGreaterThanOrEqual(ratios.ratio);
});

test('one account that alone is slow shows in the ratio of the worst', () => {
  const calm = rows(45, () => 10);
  const flood = rows(45, (n) => (n % 10 === 3 && n % 7 === 0 ? 50 : 10));
  expect(compareWithCalm(calm, [flood]).worst).toBe(5);
});

test('a trigger that never arrives counts as infinitely late', () => {
  const described = describePhase(rows(1, (n) => (n === 50 ? null : 10)));
  expect(described.p50_ms).toBe(10);
  expect(described.max_ms).toBe(Number.POSITIVE_INFINITY);
});

test('from too few samples of an account nothing is said of the worst', () => {
  const short = rows(9, () => 10);
  expect(compareWithCalm(short, [short]).worst).toBeNull();
});

test('one stall, late for one trigger of many accounts, is nobody’s p99; late for two of one account it is', () => {
  const calm = rows(11, () => 10);
  const once = rows(11, (n) => (n < 10 ? 200 : 10));
  expect(compareWithCalm(calm, [once]).worst).toBe(1);
  const twice = rows(11, (n) => (n === 3 || n === 13 ? 200 : 10));
  expect(compareWithCalm(calm, [twice]).worst).toBe(20);
});

test('triggers that wait at the same time are one moment, and the longest moments come first', () => {
  const stall = (n: number): number => 100 + (n % 10) * 10;
  const phase = rows(30, (n) => {
    if (n >= 1_000 && n < 1_010) return stall(n);
    if (n === 2_000) return 300;
    return n === 500 ? null : 10;
  });
  const moments = longestMoments(phase);
  expect(moments).toEqual([
    {
      at: '1970-01-01T00:00:05.000Z',
      ...{ triggers: 1, accounts: 1, sent_ms: 0, acknowledged_ms: 1, delivered_ms: null },
    },
    {
      at: '1970-01-01T00:00:20.000Z',
      ...{ triggers: 1, accounts: 1, sent_ms: 0, acknowledged_ms: 1, delivered_ms: 300 },
    },
    {
      at: '1970-01-01T00:00:10.090Z',
      ...{ triggers: 10, accounts: 10, sent_ms: 0, acknowledged_ms: 1, delivered_ms: 190 },
    },
  ]);
});

test('of many moments the ten longest are told', () => {
  const phase = rows(30, (n) => (n % 150 === 0 ? 50 + n / 10 : 10));
  const moments = longestMoments(phase);
  expect(moments).toHaveLength(10);
  expect(moments[0]?.delivered_ms).toBe(335);
  expect(moments.at(-1)?.delivered_ms).toBe(200);
  expect(longestMoments([])).toEqual([]);
  expect(longestMoments(rows(1, () => null))[0]).toMatchObject({ delivered_ms: null });
});

test('the usual drill says something of the worst account', () => {
  const { quietAccounts, quietPerSecond, seconds } = incidentPlan(USUAL_MINUTES);
  const least = Math.min(seconds.calm, seconds.few, seconds.many);
  expect((least * quietPerSecond) / quietAccounts).toBeGreaterThanOrEqual(101);
});

test('a mail is late by what almost all others took: one accident, and mails that never came, change nothing', () => {
  const usual = Array.from({ length: 2_000 }, (_, i) => 10 + (i % 40));
  expect(lateFromMs(usual)).toBe(1_000);
  expect(lateFromMs([...usual, 20_000, ...new Array(50).fill(Number.POSITIVE_INFINITY)])).toBe(
    1_000,
  );
  expect(lateFromMs(usual.map((latencyMs) => latencyMs * 20))).toBe(1_960);
  expect(lateFromMs([])).toBe(1_000);
});
