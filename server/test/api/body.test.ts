import { describe, expect, test } from 'vitest';
import { parseBody } from '../../src/api/body.ts';

function refusal(text: string): { code: string; message: string; fields?: unknown } {
  try {
    parseBody(text);
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('the body was not refused');
}

test('an empty body is no value', () => {
  expect(parseBody('')).toBeUndefined();
  expect(parseBody(' \n')).toBeUndefined();
});

test('a body may be nested 64 levels deep and no deeper', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  expect(parseBody(nested(64))).toBeDefined();
  expect(refusal(nested(65))).toMatchObject({ code: 'invalid_params' });
  expect(refusal(nested(10_000))).toMatchObject({ code: 'invalid_params' });
  expect(refusal('{"a":'.repeat(10_000))).toMatchObject({ code: 'invalid_params' });
});

test('brackets in strings are not nesting', () => {
  const text = JSON.stringify({ a: `${'['.repeat(500)}"\\${'{'.repeat(500)}`, b: '\\' });
  expect(parseBody(text)).toEqual(JSON.parse(text));
});

test.each(['{"a":1', '{a:1}', '[1,]', 'nonsense', '"\u0001"', '{"a":"\\x"}'])(
  'malformed JSON is a 400 that shows where: %s',
  (text) => {
    const { code, message } = refusal(text);
    expect(code).toBe('malformed_json');
    expect(message).toMatch(/position|end|not valid/);
  },
);

describe('text that the database cannot keep is refused by name', () => {
  test.each([
    ['{"a":{"b":["x","y\\u0000"]}}', 'a.b[1]'],
    ['{"a\\u0000":1}', 'body'],
    ['{"a":"\\ud800"}', 'a'],
    ['{"a":"\\uDC00x"}', 'a'],
    ['"\\u0000"', 'body'],
  ])('%s', (text, field) => {
    expect(refusal(text)).toMatchObject({ code: 'invalid_params', fields: [{ field }] });
  });

  test('a whole surrogate pair and an escaped backslash before u0000 are fine', () => {
    const text = '{"a":"\\ud83d\\udd14","b":"\\\\u0000","c":"🔔"}';
    expect(parseBody(text)).toEqual({ a: '🔔', b: '\\u0000', c: '🔔' });
  });
});

test.each([
  '{"__proto__":{"polluted":true}}',
  '{"a":[{"\\u005f_proto__":1}]}',
  '{"__pr\\u006fto__":{"polluted":true}}',
])('a key that would set a prototype is refused: %s', (text) => {
  expect(refusal(text)).toMatchObject({ code: 'invalid_params' });
  expect('polluted' in {}).toBe(false);
});
