import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type ShedDeliveriesWithout, shedDeliveriesModel } from './shed-deliveries.ts';
import { type ShedRunsWithout, shedRunsModel, type Verb } from './shed-runs.ts';

it.each<[Verb]>([['hold'], ['discard']])(
  'after the answer to %s no run of it starts, and each slice ends once, done or discarded',
  (verb) => {
    expect(prove(shedRunsModel({ verb }))).toBeGreaterThan(100);
  },
);

it.each<[ShedRunsWithout, Verb, string]>([
  ['version check', 'hold', 'nothing starts after the answer'],
  ['version check', 'discard', 'nothing starts after the answer'],
  ['telling the executors', 'hold', 'the slice ends'],
  ['receipt of what is discarded', 'discard', 'a slice ends once'],
])(
  'runs: without the safeguard "%s" a %s breaks this (expected to fail): %s',
  (without, verb, broken) => {
    expect(refute(shedRunsModel({ verb, without })).broken).toBe(broken);
  },
);

it('what the database has in hand at the answer is committed after it, unless statements lock the version', () => {
  const unlocked = shedRunsModel({ verb: 'hold', strict: true });
  expect(refute(unlocked).broken).toBe('nothing is committed after the answer');
  expect(prove(shedRunsModel({ verb: 'hold', strict: true, locked: true }))).toBeGreaterThan(100);
});

it('after the answer to a hold nothing of it is handed to a provider', () => {
  expect(prove(shedDeliveriesModel())).toBeGreaterThan(100);
});

it.each<[ShedDeliveriesWithout]>([
  ['acknowledgements'],
  ['version with each assignment'],
  ['look and call in one turn'],
])('deliveries: without the safeguard "%s" something is (expected to fail)', (without) => {
  expect(refute(shedDeliveriesModel(without)).broken).toBe('nothing is sent after the answer');
});
