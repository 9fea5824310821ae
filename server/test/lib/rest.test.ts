import { expect, test } from 'vitest';
import { courtesyRestMs, createRest } from '../../src/lib/rest.ts';

test('who yields rests three times as long as it worked, and three seconds at most', () => {
  expect([0, 100, 1_000, 60_000].map(courtesyRestMs)).toEqual([0, 300, 3_000, 3_000]);
});

test('a rest ends when it is woken, at once when that was before it', async () => {
  const { rest, wake } = createRest();
  const resting = rest(2 ** 30);
  wake();
  await resting;
  wake();
  await rest(2 ** 30);
});
