import { expect, test } from 'vitest';
import { createFairShare } from '../../src/budgets/fair-share.ts';
import { forSeeds, integer } from '../support/random.ts';

type Sender = { readonly account: number; readonly perS: number; readonly costMs: number };
type Tally = { readonly sent: number; readonly refused: number; readonly costMs: number };

/** Replays steady senders against a loop that is as busy as what it let in costs; refusals cost a tenth. */
function replay(senders: readonly Sender[], untilMs: number, jitter: () => number) {
  const share = createFairShare();
  const tallies = new Map<number, { sent: number; refused: number; costMs: number }>();
  const next = senders.map(({ perS }) => jitter() * (1_000 / perS));
  let busyMs = 0;
  const levels: number[] = [];
  for (let nowMs = 0; nowMs < untilMs; nowMs++) {
    senders.forEach(({ account, perS, costMs }, i) => {
      while ((next[i] ?? nowMs) <= nowMs) {
        next[i] = (next[i] ?? nowMs) + (0.5 + jitter()) * (1_000 / perS);
        const tally = tallies.get(account) ?? { sent: 0, refused: 0, costMs: 0 };
        tallies.set(account, tally);
        tally.sent += 1;
        if (share.enter(account, costMs, nowMs) > 0) {
          tally.refused += 1;
          busyMs += costMs / 10;
        } else {
          tally.costMs += costMs;
          busyMs += costMs;
        }
      }
    });
    if (nowMs % 100 === 99) {
      share.tick(Math.min(1, busyMs / 100), nowMs);
      // What does not fit waits.
      busyMs = Math.max(0, busyMs - 100);
      levels.push(share.level());
    }
  }
  const of = (account: number): Tally => tallies.get(account) ?? { sent: 0, refused: 0, costMs: 0 };
  return { of, levels };
}

test('an account that is alone is never limited, however much it sends', () => {
  forSeeds(5, (random) => {
    const { of } = replay(
      [{ account: 1, perS: integer(random, 10_000, 30_000), costMs: 0.1 }],
      5_000,
      random,
    );
    expect(of(1).refused).toBe(0);
  });
});

test('nobody is limited while the loop has time', () => {
  forSeeds(5, (random) => {
    const senders = [1, 2, 3].map((account) => ({
      account,
      perS: integer(random, 1, 2_000),
      costMs: 0.1,
    }));
    const { of } = replay(senders, 5_000, random);
    for (const { account } of senders) expect(of(account).refused).toBe(0);
  });
});

test('of an overload the one that causes it is refused, and never its neighbours', () => {
  forSeeds(5, (random) => {
    const quiet = Array.from({ length: 40 }, (_, i) => ({
      account: 2 + i,
      perS: integer(random, 1, 20),
      costMs: integer(random, 0, 4) === 0 ? 2 : 0.1,
    }));
    const flood = { account: 1, perS: integer(random, 15_000, 40_000), costMs: 0.1 };
    const { of } = replay([...quiet, flood], 8_000, random);
    expect(of(1).refused).toBeGreaterThan(0);
    // It has what it may have all the same.
    expect(of(1).costMs).toBeGreaterThan(8_000 * 0.15);
    for (const { account } of quiet) expect(of(account).refused).toBe(0);
  });
});

test('two that flood share what there is', () => {
  forSeeds(5, (random) => {
    const quiet = Array.from({ length: 10 }, (_, i) => ({ account: 3 + i, perS: 5, costMs: 0.1 }));
    const floods = [1, 2].map((account) => ({
      account,
      perS: integer(random, 12_000, 30_000),
      costMs: 0.1,
    }));
    const { of } = replay([...quiet, ...floods], 8_000, random);
    expect(of(1).costMs / of(2).costMs).toBeGreaterThan(0.6);
    expect(of(1).costMs / of(2).costMs).toBeLessThan(1.7);
    for (const { account } of quiet) expect(of(account).refused).toBe(0);
  });
});

test('the level is lifted when the flood has been over for ten seconds, and not before', () => {
  const share = createFairShare();
  let nowMs = 0;
  const step = (flood: number, pressure: number): number => {
    let refused = 0;
    for (let i = 0; i < flood; i++) if (share.enter(1, 0.1, nowMs) > 0) refused += 1;
    share.enter(2, 0.1, nowMs);
    share.tick(pressure, nowMs);
    nowMs += 100;
    return refused;
  };
  let refused = 0;
  for (let i = 0; i < 20; i++) refused += step(1_500, 1);
  expect(refused).toBeGreaterThan(0);
  for (let i = 0; i < 95; i++) step(0, 0.1);
  expect(share.level()).toBeLessThan(Number.POSITIVE_INFINITY);
  for (let i = 0; i < 15; i++) step(0, 0.1);
  expect(share.level()).toBe(Number.POSITIVE_INFINITY);
});

test('a level that rose while nobody asked for it binds at once', () => {
  const share = createFairShare();
  let nowMs = 0;
  const step = (flood: number, pressure: number): void => {
    for (let i = 0; i < flood; i++) share.enter(1, 0.1, nowMs);
    share.enter(2, 0.1, nowMs);
    share.tick(pressure, nowMs);
    nowMs += 100;
  };
  for (let i = 0; i < 20; i++) step(1_500, 1);
  for (let i = 0; i < 80; i++) step(0, 0);
  expect(share.level()).toBeGreaterThan(200);
  for (let i = 0; i < 8; i++) step(100, 1);
  expect(share.level()).toBeLessThan(100);
});

test('what came in just before the level began was the burst', () => {
  const share = createFairShare(0.25);
  const accepted = (nowMs: number): number => {
    let count = 0;
    for (let i = 0; i < 600; i++) if (share.enter(1, 0.1, nowMs) === 0) count += 1;
    return count;
  };
  share.enter(2, 0.1, 0);
  expect(accepted(0)).toBe(600);
  share.tick(1, 100);
  expect(share.level()).toBeLessThan(Number.POSITIVE_INFINITY);
  expect(accepted(100)).toBeLessThan(10);
});

test('an account whose neighbours went away has everything again', () => {
  const share = createFairShare();
  let nowMs = 0;
  const flood = (): number => {
    let refused = 0;
    for (let i = 0; i < 1_500; i++) if (share.enter(1, 0.1, nowMs) > 0) refused += 1;
    share.tick(1, nowMs);
    nowMs += 100;
    return refused;
  };
  for (let i = 0; i < 20; i++) {
    share.enter(2, 0.1, nowMs);
    flood();
  }
  expect(flood()).toBeGreaterThan(0);
  nowMs += 10_000;
  expect(flood()).toBe(0);
});
