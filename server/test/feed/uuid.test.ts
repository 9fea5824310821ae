import { expect, test } from 'vitest';
import { ksuidFromUuid, uuidFromKsuid } from '../../src/lib/ksuid.ts';
import { isUuid, timeOrderedUuid } from '../../src/lib/uuid.ts';

test('a time-ordered UUID is of version 7, begins with its time and is never the same twice', () => {
  const nowMs = Date.UTC(2026, 0, 31, 12, 0, 0, 123);
  const uuids = Array.from({ length: 1_000 }, () => timeOrderedUuid(nowMs));
  expect(new Set(uuids).size).toBe(1_000);
  for (const uuid of uuids) {
    expect(isUuid(uuid)).toBe(true);
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-/);
    expect(Number.parseInt(uuid.replace('-', '').slice(0, 12), 16)).toBe(nowMs);
    expect(uuidFromKsuid(ksuidFromUuid(uuid))).toBe(uuid);
  }
  expect(timeOrderedUuid(nowMs + 1) > timeOrderedUuid(nowMs)).toBe(true);
});

test('a UUID from before the epoch of public ids has one too, which names nothing', () => {
  const text = ksuidFromUuid(timeOrderedUuid(Date.UTC(2001, 0)));
  expect(text).toMatch(/^[0-9A-Za-z]{27}$/);
  expect(uuidFromKsuid(text)).toBeUndefined();
});
