import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type SetAsideWithout, setAsideModel } from './set-aside.ts';
import { type ShedDeliveriesWithout, shedDeliveriesModel } from './shed-deliveries.ts';

it('after the answer to an order no run of it is done; it lies aside, and is done once after the end', () => {
  expect(prove(setAsideModel())).toBeGreaterThan(500);
});

it.each<[SetAsideWithout, string]>([
  ['version check', 'nothing of it is done after the answer'],
  ['lock of the orders', 'nothing of it is done after the answer'],
  ['one statement, receipt first', 'nothing is lost'],
  ['one statement, chunk first', 'nothing is done twice'],
  ['end before the pass', 'nothing of it is done after the answer'],
  ['reading the orders again', 'the slice is done, after the end of the order'],
])('runs: without the safeguard "%s", this breaks (expected to fail): %s', (without, broken) => {
  expect(refute(setAsideModel(without)).broken).toBe(broken);
});

it('after the answer to an order nothing of it is handed to a provider', () => {
  expect(prove(shedDeliveriesModel())).toBeGreaterThan(100);
});

it.each<[ShedDeliveriesWithout]>([
  ['acknowledgements'],
  ['version with the messages'],
  ['look and call in one turn'],
])('deliveries: without the safeguard "%s" something is (expected to fail)', (without) => {
  expect(refute(shedDeliveriesModel(without)).broken).toBe('nothing is sent after the answer');
});
