import { expect, test } from 'vitest';
import { databasePlace } from '../../src/cli/database-place.ts';
import { createStyle } from '../../src/cli/style.ts';
import { fields, table } from '../../src/cli/table.ts';
import { timeText } from '../../src/cli/time-text.ts';

const plain = createStyle(false);

test('columns are aligned, whatever marks their cells have', () => {
  const text = table(
    plain,
    ['A', 'LONG'],
    [
      [{ text: 'x', mark: (marked) => `<${marked}>` }, '1'],
      ['four', '2'],
    ],
  );
  expect(text).toBe('A     LONG\n<x>     1\nfour  2');
});

test('a cell cannot break the line or move the cursor', () => {
  const text = table(plain, ['A'], [['a\nb\u001b[2Jc'], ['x'.repeat(100)]]);
  const [, first, second, ...rest] = text.split('\n');
  expect(first).toBe('a b [2Jc');
  expect(second).toBe(`${'x'.repeat(59)}…`);
  expect(rest).toEqual([]);
});

test('fields without a value are left out', () => {
  expect(
    fields(plain, [
      ['a', '1'],
      ['long', '2'],
      ['none', null],
      ['empty', ''],
    ]),
  ).toBe('a     1\nlong  2');
});

test('a time has its zone', () => {
  expect(timeText('2026-01-31T12:00:05.123Z')).toMatch(
    /^2026-0(1-3\d|2-01) \d\d:\d\d:05 (UTC|[+-]\d\d:\d\d)$/,
  );
  expect(timeText(null)).toBe('');
});

test.each([
  ['postgres://me:secret@db.example.com:5432/bel%20fry', 'bel fry at db.example.com:5432'],
  ['postgres://me@/belfry?host=%2Frun%2Fpg&port=5432', 'belfry at /run/pg'],
  ['postgresql://db/belfry', 'belfry at db'],
])('%s is named without its user and password', (url, place) => {
  expect(databasePlace(url)).toBe(place);
});
