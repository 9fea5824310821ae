import { describe, expect, test } from 'vitest';
import { addDuration, parseDuration, parseTimestamp } from '../../src/workflows/timestamps.ts';

describe('parseTimestamp', () => {
  test.each([
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02T03:04:05.678Z', '2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05.678901Z', '2026-01-02T03:04:05.678Z'],
    ['2026-01-02T03:04:05.5Z', '2026-01-02T03:04:05.500Z'],
    ['2026-01-02T03:04', '2026-01-02T03:04:00.000Z'],
    ['2026-01-02 03:04:05', '2026-01-02T03:04:05.000Z'],
    ['2026-01-02T03:04:05+02:00', '2026-01-02T01:04:05.000Z'],
    ['2026-01-02T03:04:05-0230', '2026-01-02T05:34:05.000Z'],
    ['2026-01-02', '2026-01-02T00:00:00.000Z'],
  ])('reads %s, in UTC where it names no offset', (text, expected) => {
    expect(new Date(parseTimestamp(text) ?? Number.NaN).toISOString()).toBe(expected);
  });

  test.each([
    '',
    'now',
    '2026',
    '2026-13-01',
    '2026-01-32',
    '01/02/2026',
    'x'.repeat(1e5),
    5,
    null,
  ])('reads no time in %s', (value) => {
    expect(parseTimestamp(value)).toBeUndefined();
  });
});

describe('addDuration', () => {
  test.each([
    ['2026-01-31T10:00:00Z', 'months', 1, '2026-02-28T10:00:00.000Z'],
    ['2024-01-31T10:00:00Z', 'months', 1, '2024-02-29T10:00:00.000Z'],
    ['2026-03-31T10:00:00Z', 'months', -1, '2026-02-28T10:00:00.000Z'],
    ['2026-12-15T10:00:00Z', 'months', 2, '2027-02-15T10:00:00.000Z'],
    ['2026-01-01T00:00:00Z', 'seconds', 90, '2026-01-01T00:01:30.000Z'],
    ['2026-01-01T00:00:00Z', 'weeks', 2, '2026-01-15T00:00:00.000Z'],
  ] as const)('%s and %s %s', (from, unit, value, expected) => {
    const time = addDuration(Date.parse(from), { unit, value });
    expect(new Date(time).toISOString()).toBe(expected);
  });
});

test('a duration is read leniently, and nonsense is none', () => {
  expect(parseDuration({ unit: 'hour', value: '2' })).toEqual({ unit: 'hours', value: 2 });
  for (const value of [null, 5, {}, { unit: 'years', value: 1 }, { unit: 'days', value: 'x' }]) {
    expect(parseDuration(value)).toBeUndefined();
  }
});
