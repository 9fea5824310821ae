import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type InDoubtWithout, inDoubtModel } from './in-doubt.ts';

it('an insert whose answer was lost is neither lost nor repeated, whenever the database commits it', () => {
  expect(prove(inDoubtModel())).toBeGreaterThan(50);
});

it.each<[InDoubtWithout, string]>([
  ['ending the session', 'a trigger is accepted once'],
  ['waiting for its end', 'a trigger is accepted once'],
  ['time of acceptance', 'nothing acknowledged is lost'],
  ['run', 'a trigger is accepted once'],
  ['slots of orders', 'a trigger is accepted once'],
])('without the safeguard "%s", this breaks (expected to fail): %s', (without, broken) => {
  expect(refute(inDoubtModel(without)).broken).toBe(broken);
});
