import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type ParkWithout, parkModel } from './park.ts';

it('held work moves aside while executors still have it, and each slice is done once after the release', () => {
  expect(prove(parkModel())).toBeGreaterThan(200);
});

it.each<[ParkWithout, string]>([
  ['one transaction', 'nothing is done twice'],
  ['receipts', 'nothing is done twice'],
  ['exclusive lock', 'nothing is done twice'],
  ['reading the slot aside', 'every slice is done, once the hold is lifted'],
])('without the safeguard "%s", this breaks (expected to fail): %s', (without, broken) => {
  expect(refute(parkModel(without)).broken).toBe(broken);
});
