import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type TruncateWithout, truncateModel } from './truncate.ts';

it('a slot is emptied while others write late, and nothing is lost, done twice or uncounted', () => {
  expect(prove(truncateModel())).toBeGreaterThan(1_000);
});

it.each<[TruncateWithout, string]>([
  ['exclusive lock', 'nothing acknowledged is lost'],
  ['guard', 'nothing is done twice'],
  ['high sequence', 'nothing is done twice'],
  ['fold in one', 'the ledger knows what was accepted'],
])('without the safeguard "%s", this breaks (expected to fail): %s', (without, broken) => {
  expect(refute(truncateModel(without)).broken).toBe(broken);
});

it('that an open slot is not truncated spares work only: doing it harms nothing', () => {
  expect(prove(truncateModel('closed slot'))).toBeGreaterThan(1_000);
});
