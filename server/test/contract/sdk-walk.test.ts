import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { walkBulk } from './bulk-walk.ts';
import { walkGuides } from './guides-walk.ts';
import { walkMessages } from './messages-walk.ts';
import { operations } from './operations.ts';
import { walkProviders } from './providers-walk.ts';
import { walkRecipients } from './recipients-walk.ts';
import { startWalkWorld, type WalkWorld } from './walk-world.ts';

// Every operation of the contract, called through Knock's SDK against a whole server.

let world: WalkWorld;

beforeAll(async () => {
  world = await startWalkWorld();
});
afterEach(() => {
  expect(world.recorded.takeWrong()).toEqual([]);
});
afterAll(() => world?.stop());

walkRecipients(() => world);
walkBulk(() => world);
walkMessages(() => world);
walkGuides(() => world);
walkProviders(() => world);

test('every operation was called with success', () => {
  const names = operations.map(([method, path]) => `${method} ${path}` as const);
  expect(names.filter((name) => !world.recorded.answered.has(name))).toEqual([]);
});
