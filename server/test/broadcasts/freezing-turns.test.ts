import { expect, test } from 'vitest';
import { createFreezingTurns } from '../../src/broadcasts/freezing-turns.ts';

const freezing = (id: number, environment_id: number) =>
  ({ id, environment_id, state: 'freezing' }) as const;

test('an environment that freezes many broadcasts leaves every second turn to one that freezes one', () => {
  const next = createFreezingTurns();
  const many = Array.from({ length: 50 }, (_, i) => freezing(i + 1, 1));
  const turns = Array.from({ length: 100 }, () => next([...many, freezing(99, 2)]));
  expect(turns.filter((id) => id === 99)).toHaveLength(50);
  expect(new Set(turns)).toHaveProperty('size', 51);
});

test('only broadcasts that are being frozen have a turn', () => {
  const next = createFreezingTurns();
  expect(next([{ id: 1, environment_id: 1, state: 'running' }, freezing(2, 1)])).toBe(2);
  expect(next([{ id: 1, environment_id: 1, state: 'running' }])).toBeUndefined();
});
