import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseTimestamp } from '../../src/db/parse-timestamp.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const never = (text: string) => {
  throw new Error(`not parsed: ${text}`);
};

test('what the server writes is the millisecond that it means', async () => {
  const rows = await database.db.query<{ text: string; ms: number }>(
    `select at::text as text, floor(extract(epoch from at) * 1000)::float8 as ms
     from (
       select '1970-01-01Z'::timestamptz + n::float8 * n * interval '0.123457 second' as at
       from generate_series(0, 100000, 7) as n
       union all
       values ('2024-02-29 23:59:59.999999Z'::timestamptz), ('9999-12-31 00:00Z'), ('1000-01-01Z'), ('2038-01-19 03:14:08.1Z')
     ) times`,
  );
  expect(rows.length).toBeGreaterThan(10_000);
  for (const { text, ms } of rows) {
    expect((parseTimestamp(text, never) as Date).getTime(), text).toBe(ms);
  }
});

test.each([
  '2026-11-21 18:59:10.5+05:30',
  '0099-01-01 00:00:00+00',
  '12026-01-01 00:00:00+00',
  '2026-01-01 00:00:00+00 BC',
  'infinity',
])('any other form is read as the driver reads it: %s', (text) => {
  expect(parseTimestamp(text, (given) => `other ${given}`)).toBe(`other ${text}`);
});

test('rows have it', async () => {
  const [row] = await database.db.query<{ at: Date }>(
    `select '2026-11-21 18:59:10.123456Z'::timestamptz as at`,
  );
  expect(row?.at).toEqual(new Date('2026-11-21T18:59:10.123Z'));
  expect(pg.types.getTypeParser(1184)('infinity')).toBe(Number.POSITIVE_INFINITY);
});
