import { expect, it } from 'vitest';
import { crashRounds } from '../support/crash-rounds.ts';

it('kill -9 of everything, four times under load, loses and repeats nothing acknowledged', async () => {
  const result = await crashRounds({ rounds: 4, say: () => undefined });
  expect(result).toMatchObject({ kills: 4, lost: 0, duplicates: 0, done: result.acknowledged });
  expect(result.acknowledged).toBeGreaterThan(100);
}, 120_000);
