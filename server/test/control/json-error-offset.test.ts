import { expect, test } from 'vitest';
import { jsonErrorOffset } from '../../src/control/json-error-offset.ts';

test.each([
  ['', 0],
  ['  ', 2],
  ['{', 1],
  ['{"a"', 4],
  ['{"a":', 5],
  ['{"a":1', 6],
  ['{"a":1,}', 7],
  ['{"a" 1}', 5],
  ['{a:1}', 1],
  ["{'a':1}", 1],
  ['[1,]', 3],
  ['[1 2]', 3],
  ['[1}', 2],
  ['[tru]', 1],
  ['01', 1],
  ['{} x', 3],
  ['["a\nb"]', 1],
  ['["\\x"]', 1],
  ['[1, // no\n2]', 4],
  ['"abc', 0],
])('%j stops being JSON at %i', (text, offset) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(jsonErrorOffset(text)).toBe(offset);
});

test('a text that is JSON goes to its end', () => {
  for (const value of [
    1,
    -1.5e-7,
    'a"\\\u2028',
    [],
    {},
    [{ a: [null, true] }],
    { '': { b: [] } },
  ]) {
    const text = JSON.stringify(value, null, 2);
    expect(jsonErrorOffset(text)).toBe(text.length);
  }
});
