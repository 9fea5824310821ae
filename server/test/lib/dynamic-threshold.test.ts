import { expect, test } from 'vitest';
import { NO_DEBT, repaid, waitMs } from '../../src/lib/debt.ts';
import { createDynamicThreshold } from '../../src/lib/dynamic-threshold.ts';
import { forSeeds, integer } from '../support/random.ts';

test('whoever takes all that it may leaves room for the next, and nothing is lost', () => {
  forSeeds(50, (random) => {
    const total = 1_000;
    const shared = createDynamicThreshold(total);
    const held = new Map<number, number[]>();
    for (let step = 0; step < 300; step++) {
      const holder = integer(random, 0, 5);
      const amounts = held.get(holder) ?? [];
      held.set(holder, amounts);
      if (integer(random, 0, 3) > 0) {
        const amount = integer(random, 1, 20);
        if (shared.take(holder, amount)) amounts.push(amount);
      } else {
        const amount = amounts.pop();
        if (amount !== undefined) shared.giveBack(holder, amount);
      }
      const sum = [...held.values()].flat().reduce((a, b) => a + b, 0);
      expect(shared.free()).toBe(total - sum);
    }
    const hog = 9;
    while (shared.take(hog, 1));
    const newcomer = 10;
    expect(shared.free() === 0 || shared.take(newcomer, 1)).toBe(true);
    expect(shared.held(hog)).toBeLessThanOrEqual(total / 2);
  });
});

test('in the long run no more than the rate comes in, after a burst at the most', () => {
  forSeeds(50, (random) => {
    const rate = integer(random, 1, 1_000);
    const burst = Math.max(1, rate);
    let debt = NO_DEBT;
    let taken = 0;
    let nowMs = 0;
    while (nowMs < 10_000) {
      nowMs += integer(random, 0, 20);
      debt = repaid(debt, rate, nowMs);
      const wait = waitMs(debt, rate, burst, 1);
      if (wait === 0) {
        debt = { ...debt, owed: debt.owed + 1 };
        taken += 1;
      } else {
        expect(waitMs(repaid(debt, rate, nowMs + wait + 0.001), rate, burst, 1)).toBe(0);
      }
    }
    expect(taken).toBeLessThanOrEqual(burst + (rate * nowMs) / 1_000 + 1);
  });
});

test('what is larger than the burst comes in when nothing is owed, and is paid back', () => {
  let debt = repaid(NO_DEBT, 10, 1_000);
  expect(waitMs(debt, 10, 10, 500)).toBe(0);
  debt = { ...debt, owed: 500 };
  expect(waitMs(debt, 10, 10, 1)).toBe(49_100);
  // A higher rate holds for what is owed already.
  expect(waitMs(debt, 1_000, 1_000, 1)).toBe(0);
});
