import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type TakeoverWithout, takeoverModel } from './takeover.ts';

it('an owner that lost its lock and does not know it yet harms nothing: each slice counts once', () => {
  expect(prove(takeoverModel())).toBeGreaterThan(1_000);
});

it.each<[TakeoverWithout, string]>([
  ['primary key', 'nothing is done twice'],
  ['primary key, asking for the owner', 'nothing is done twice'],
  ['one statement, receipt first', 'every slice is done'],
  ['one statement, results first', 'nothing is done twice'],
])('without the safeguard "%s", this breaks (expected to fail): %s', (without, broken) => {
  expect(refute(takeoverModel(without)).broken).toBe(broken);
});
