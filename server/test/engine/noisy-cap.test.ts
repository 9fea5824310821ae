import { expect, test } from 'vitest';
import { NoisyCap } from '../../src/engine/scheduler/noisy-cap.ts';
import { NOISY } from '../../src/engine/scheduler/options.ts';

const SLOTS = 60;
const EVERY_MS = 7;

/** Quiet work arrives every 7 ms for so long; returns when it ends. */
function quiet(
  cap: NoisyCap,
  input: { fromMs: number; forMs: number; dwellMs: number; calm: boolean },
): number {
  const untilMs = input.fromMs + input.forMs;
  let nowMs = input.fromMs;
  for (; nowMs < untilMs; nowMs += EVERY_MS) {
    cap.measure(input.dwellMs, input.calm, nowMs);
    if (!input.calm) cap.adapt(nowMs, SLOTS);
  }
  return nowMs;
}

test('a few bad seconds are not taken for what calm is like', () => {
  const cap = new NoisyCap(NOISY);
  const first = cap.slots(SLOTS);
  const badMs = quiet(cap, { fromMs: 0, forMs: 300_000, dwellMs: 5, calm: true });
  const floodMs = quiet(cap, { fromMs: badMs, forMs: 7_000, dwellMs: 50, calm: true });
  quiet(cap, { fromMs: floodMs, forMs: 5_000, dwellMs: 40, calm: false });
  expect(cap.slots(SLOTS)).toBeLessThan(first);
});

test('what calm is like follows a server that became slower for good', () => {
  const cap = new NoisyCap(NOISY);
  const slowMs = quiet(cap, { fromMs: 0, forMs: 600_000, dwellMs: 5, calm: true });
  quiet(cap, { fromMs: slowMs, forMs: 120_000, dwellMs: 50, calm: true });
  expect(cap.baselineMs).toBe(50);
});
