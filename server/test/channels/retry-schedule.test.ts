import { expect, test } from 'vitest';
import { MAX_ATTEMPTS, nextAttemptDelayMs } from '../../src/channels/retry-schedule.ts';

const MINUTE_MS = 60_000;
const ATTEMPT_TIMEOUT_MS = 50_000;

function delays(random: (attempt: number) => number): (number | undefined)[] {
  return Array.from({ length: MAX_ATTEMPTS }, (_, index) =>
    nextAttemptDelayMs(index + 1, random(index + 1)),
  );
}

test('a message is tried eight times, then never again', () => {
  const eight = delays(() => 0.5);
  expect(eight.slice(0, 7).every((delay) => delay !== undefined)).toBe(true);
  expect(eight[7]).toBeUndefined();
  expect(nextAttemptDelayMs(9, 0.5)).toBeUndefined();
});

test('eight attempts that all time out end within 30 minutes, whatever the dice say', () => {
  const games = [() => 0, () => 1 - Number.EPSILON, ...Array(1000).fill(Math.random)];
  for (const random of games) {
    const waiting = delays(random).reduce<number>((sum, delay) => sum + (delay ?? 0), 0);
    expect(waiting).toBeGreaterThan(15 * MINUTE_MS);
    expect(waiting + MAX_ATTEMPTS * ATTEMPT_TIMEOUT_MS).toBeLessThanOrEqual(30 * MINUTE_MS);
  }
});

test('each wait is longer than the one before, whatever the dice say', () => {
  for (let attempt = 2; attempt < MAX_ATTEMPTS; attempt++) {
    const shortest = nextAttemptDelayMs(attempt, 0) ?? 0;
    const longestBefore = nextAttemptDelayMs(attempt - 1, 1 - Number.EPSILON) ?? 0;
    expect(shortest).toBeGreaterThan(longestBefore);
  }
});

test('messages that failed together do not come back together', () => {
  const spread = (nextAttemptDelayMs(1, 0.999) ?? 0) - (nextAttemptDelayMs(1, 0) ?? 0);
  expect(spread).toBeGreaterThan(3_000);
});
