import { describe, expect, test } from 'vitest';
import { parseQuery } from '../../src/api/query.ts';

const plain = (text: string) => JSON.parse(JSON.stringify(parseQuery(text)));

describe('a query in the style of any SDK is understood', () => {
  test.each([
    ['', {}],
    ['a=1', { a: '1' }],
    ['a', { a: '' }],
    ['a=1=2', { a: '1=2' }],
    ['a=b+c%20d', { a: 'b c d' }],
    ['a[]=1', { a: ['1'] }],
    ['a[]=1&a[]=2', { a: ['1', '2'] }],
    ['a=1&a=2&a=3', { a: ['1', '2', '3'] }],
    ['a[0]=x&a[1]=y', { a: ['x', 'y'] }],
    ['a[1]=y&a[0]=x', { a: ['x', 'y'] }],
    ['a%5B%5D=1', { a: ['1'] }],
    [
      'o[0][id]=1&o[0][collection]=c&o[1][id]=2',
      { o: [{ id: '1', collection: 'c' }, { id: '2' }] },
    ],
    [
      'o[]=u&o[][id]=1&o[][k]=c&o[][id]=2&o[][k]=d&o[]=v',
      { o: ['u', { id: '1', k: 'c' }, { id: '2', k: 'd' }, 'v'] },
    ],
    ['t[gt]=1&t[lt]=2', { t: { gt: '1', lt: '2' } }],
    ['t.gt=1&t.lt=2', { t: { gt: '1', lt: '2' } }],
    ['query_options.%24top=3', { query_options: { $top: '3' } }],
    ['trigger_data={"a":1}', { trigger_data: '{"a":1}' }],
    ['a=1&a[b]=2', { a: { 0: '1', b: '2' } }],
  ])('%s', (text, expected) => {
    expect(plain(text)).toEqual(expected);
  });
});

test('no key of a query reaches a prototype', () => {
  const query = parseQuery('__proto__[polluted]=1&constructor[prototype][polluted]=1');
  expect(Object.hasOwn(query, '__proto__')).toBe(true);
  expect('polluted' in {}).toBe(false);
});

test.each([
  ['deeply nested', `a${'[b]'.repeat(50)}=1`, 'invalid_params'],
  ['long', 'a=1&'.repeat(5_000), 'invalid_params'],
  ['bracketed', `${'a'.padEnd(15_000, '[')}[b][c][d][e][f]=1`, 'invalid_params'],
  ['badly encoded', 'a=%zz', 'malformed_request'],
])('a %s query is refused', (_name, text, code) => {
  expect(() => parseQuery(text)).toThrowError(expect.objectContaining({ code }));
});
