import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { createIdSet } from '../../../src/drill/stand-ins/id-set.ts';
import { addressesOf } from '../../../src/lib/address.ts';

test('a set of ids knows what was added, once, and nothing else', () => {
  const ids = createIdSet();
  const some = [...Array.from({ length: 50_000 }, () => randomUUID()), 'a text', 'another'];
  expect(some.every((id) => ids.add(id))).toBe(true);
  expect(some.some((id) => ids.add(id))).toBe(false);
  expect(ids.size()).toBe(some.length);
  expect(some.every((id) => ids.has(id))).toBe(true);
  expect(Array.from({ length: 1_000 }, () => randomUUID()).some((id) => ids.has(id))).toBe(false);
});

test('ids that are counted up are told apart as quickly as random ones', () => {
  const ids = createIdSet();
  for (let sequence = 1; sequence <= 2_000; sequence++) {
    const idOf = addressesOf(1_800_000_000_000, 2, sequence);
    for (let index = 0; index < 100; index++) ids.add(idOf(index, 1));
  }
  expect(ids.size()).toBe(200_000);
  expect(ids.has(addressesOf(1_800_000_000_000, 2, 7)(3, 1))).toBe(true);
  expect(ids.has(addressesOf(1_800_000_000_001, 2, 7)(3, 1))).toBe(false);
});
