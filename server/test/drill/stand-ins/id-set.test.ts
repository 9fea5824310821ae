import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createIdSet } from '../../../src/drill/stand-ins/id-set.ts';

test('a set of ids knows what was added, once, and nothing else', () => {
  const ids = createIdSet();
  const some = [...Array.from({ length: 50_000 }, () => randomUUID()), 'a text', 'another'];
  expect(some.every((id) => ids.add(id))).toBe(true);
  expect(some.some((id) => ids.add(id))).toBe(false);
  expect(ids.size()).toBe(some.length);
  expect(some.every((id) => ids.has(id))).toBe(true);
  expect(Array.from({ length: 1_000 }, () => randomUUID()).some((id) => ids.has(id))).toBe(false);
});
