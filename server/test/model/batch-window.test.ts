import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type BatchWithout, batchModel } from './batch-window.ts';

it('each activity is delivered once, whoever joins while a batch closes, and whoever dies', () => {
  expect(prove(batchModel())).toBeGreaterThan(50);
});

it.each<[BatchWithout, string]>([
  ['delete before read', 'everybody is delivered'],
  ['lock of a join', 'everybody is delivered'],
  ['number of its own', 'nobody is delivered twice'],
  ['one transaction', 'everybody is delivered'],
])('without the safeguard "%s", this breaks (expected to fail): %s', (without, broken) => {
  expect(refute(batchModel(without)).broken).toBe(broken);
});
