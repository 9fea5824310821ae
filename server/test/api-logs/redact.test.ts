import { expect, test } from 'vitest';
import { keptBody, keptPath } from '../../src/api-logs/redact.ts';

const read = (body: unknown) => JSON.parse(keptBody(body) ?? 'null');

test('values under names that speak of secrets are replaced at any depth, others are not', () => {
  const body = {
    name: 'Ada',
    apiKey: 'k-1',
    nested: [{ Access_Token: 'k-2', data: { 'client-secret': { a: 'k-3' } } }],
    password: null,
    tokens: ['k-4'],
    keyboard: 'qwerty',
  };
  expect(read(body)).toEqual({
    name: 'Ada',
    apiKey: '[REDACTED]',
    nested: [{ Access_Token: '[REDACTED]', data: { 'client-secret': '[REDACTED]' } }],
    password: null,
    tokens: '[REDACTED]',
    keyboard: 'qwerty',
  });
  expect(keptPath('/v1/x?user_token=k-5&page_size=2&a[secret]=k-6')).toBe(
    '/v1/x?user_token=[REDACTED]&page_size=2&a[secret]=[REDACTED]',
  );
});

test('strings of more than 1,024 bytes are cut between characters', () => {
  const { short, long, wide } = read({
    short: 'x'.repeat(1_024),
    long: 'x'.repeat(1_025),
    wide: '€'.repeat(1_000),
  });
  expect(short).toHaveLength(1_024);
  expect(Buffer.byteLength(long)).toBe(1_024);
  expect(long).toMatch(/^x+\[TRUNCATED\]$/);
  expect(Buffer.byteLength(wide)).toBeLessThanOrEqual(1_024);
  expect(wide).toMatch(/^€+\[TRUNCATED\]$/);
});

test('whatever its shape, what is kept of a body is short', () => {
  let deep: unknown = 'end';
  for (let i = 0; i < 5_000; i++) deep = [deep];
  const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`m${i}`, i]));
  const rows = Array.from({ length: 200 }, () => Array.from({ length: 200 }, () => 'x'.repeat(90)));
  for (const body of [deep, wide, rows, { wide, rows }, { x: 'y'.repeat(1e6) }]) {
    expect(keptBody(body)?.length).toBeLessThanOrEqual(16_384);
    expect(() => read(body)).not.toThrow();
  }
  expect(keptBody('text')).toBeUndefined();
  expect(keptBody(null)).toBeUndefined();
  expect(keptBody(undefined)).toBeUndefined();
});
