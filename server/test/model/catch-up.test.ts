import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type CatchUpWithout, catchUpModel } from './catch-up.ts';

it('a chunk whose report was lost is found by a look into the log, and none is taken in twice', () => {
  expect(prove(catchUpModel())).toBeGreaterThan(1_000);
});

it.each<[CatchUpWithout, string]>([
  ['a counter for each session', 'everything committed is taken in, or done'],
  ['gaps noticed', 'everything committed is taken in, or done'],
  ['a second look', 'nothing is taken in twice'],
])('without the safeguard "%s", this breaks (expected to fail): %s', (without, broken) => {
  expect(refute(catchUpModel(without)).broken).toBe(broken);
});
