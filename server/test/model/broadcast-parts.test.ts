import { expect, it } from 'vitest';
import { prove, refute } from '../support/interleavings.ts';
import { type BroadcastWithout, broadcastModel } from './broadcast-parts.ts';

it('each part of a broadcast is sent once, whoever feeds it and dies, and a cancellation says whom exactly', () => {
  expect(prove(broadcastModel())).toBeGreaterThan(50);
});

it.each<[BroadcastWithout, string]>([
  ['one statement, row first', 'everyone gets it, unless it was cancelled'],
  ['one statement, chunk first', 'who cancels is told exactly who gets it'],
  ['primary key', 'nobody gets it twice'],
  ['lock of the broadcast', 'who cancels is told exactly who gets it'],
])('without the safeguard "%s", this breaks (expected to fail): %s', (without, broken) => {
  expect(refute(broadcastModel(without)).broken).toBe(broken);
});
