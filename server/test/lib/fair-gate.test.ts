import { expect, test } from 'vitest';
import { createFairGate, enterGate } from '../../src/lib/fair-gate.ts';

const never = new AbortController().signal;

test('a holder with many waiting does not delay another, and alone it has every place', async () => {
  const gate = createFairGate({ places: 4, maxWaiting: 1_000, keepsHalfFree: false });
  const entered: number[] = [];
  const enter = async (holder: number): Promise<void> => {
    expect(await enterGate(gate, holder, never)).toBe('in');
    entered.push(holder);
  };
  const flood = Array.from({ length: 100 }, () => enter(1));
  await Promise.all(flood.slice(0, 4));
  expect(entered).toEqual([1, 1, 1, 1]);
  const neighbour = enter(2);
  gate.leave(1);
  gate.leave(1);
  await neighbour;
  expect(entered).toEqual([1, 1, 1, 1, 1, 2]);
  for (let left = 0; left < 99; left++) {
    gate.leave(1);
    await Promise.resolve();
  }
  await Promise.all(flood);
  expect(gate.waiting()).toBe(0);
});

test('one that gives up leaves its chair and takes nobody’s turn', async () => {
  const gate = createFairGate({ places: 1, maxWaiting: 4, keepsHalfFree: false });
  expect(enterGate(gate, 1, never)).toBe('in');
  const abort = new AbortController();
  const impatient = enterGate(gate, 2, abort.signal);
  const patient = enterGate(gate, 2, never);
  expect(enterGate(gate, 2, never)).toBe('full');
  abort.abort();
  expect(await impatient).toBe('aborted');
  gate.leave(1);
  expect(await patient).toBe('in');
  expect(gate.waiting()).toBe(0);
  expect(enterGate(gate, 3, abort.signal)).toBe('aborted');
});
