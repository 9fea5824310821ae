import { afterAll, beforeAll, expect, test } from 'vitest';
import { inlined } from '../../src/db/copy-out.ts';
import { type DatabasePool, openDatabase } from '../../src/db/database.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let pool: DatabasePool;

beforeAll(async () => {
  database = await createTestDatabase();
  const applicationName = 'copies';
  pool = openDatabase({ url: database.url, max: 1, applicationName, log: silentLog });
});

afterAll(async () => {
  await pool.close();
  await database.drop();
});

test('what is copied out is a line a row, with tabs, line breaks, backslashes and nulls told apart', async () => {
  const text = 'a\tb\nc\\d\r"e" \'f\' \\N $1 é😀';
  const query = inlined('select $1::text as text, $2::int as number, $3::text as nothing', [
    ...[text, -7, null],
  ]);
  const { lines, rows } = await pool.copyOut(query, {});
  expect(rows).toBe(1);
  expect(lines.toString()).toBe('a\\tb\\nc\\\\d\\r"e" \'f\' \\\\N $1 é😀\t-7\t\\N\n');
});

test('values of every kind stand in the place of parameters', async () => {
  const at = new Date('2026-05-01T08:00:00.123Z');
  const query = inlined(
    'select n from unnest($1::bigint[]) as n where n > $2 and $3::timestamptz > $4 and $5 = any($6::text[]) limit $7',
    [['1', '2', '3', '4'], 1, at, '2026-01-01', 'a"b', ['x,y', 'a"b'], 2],
  );
  expect(String((await pool.copyOut(query, {})).lines)).toBe('2\n3\n');
});

test('rows of more bytes than fit at first come whole and in their order', async () => {
  const { lines, rows } = await pool.copyOut(
    'select n, repeat(chr(97 + n % 26), n % 3000) from generate_series(1, 2000) as n order by n',
    {},
  );
  expect(rows).toBe(2_000);
  const found = lines.toString().split('\n');
  expect(found.pop()).toBe('');
  expect(found).toHaveLength(2_000);
  found.forEach((line, i) => {
    const n = i + 1;
    expect(line).toBe(`${n}\t${String.fromCharCode(97 + (n % 26)).repeat(n % 3000)}`);
  });
});

test('settings hold for the copy alone, and one that fails leaves the connection as it was', async () => {
  const shown = "select current_setting('work_mem')";
  expect(String((await pool.copyOut(shown, { work_mem: '5MB' })).lines)).toBe('5MB\n');
  await expect(
    pool.copyOut('select 1 / (n - 500) from generate_series(1, 1000) as n', {}),
  ).rejects.toThrow('division by zero');
  expect(String((await pool.copyOut(shown, {})).lines)).not.toBe('5MB\n');
  expect(await pool.query('select 1 as one')).toEqual([{ one: 1 }]);
});

test('a value that is missing, or null in a list, is not made up', async () => {
  expect(() => inlined('select $2', [1])).toThrow('$2 has no value');
  const query = inlined('select v from unnest($1::text[]) as v', [['a', null, 'null']]);
  expect(String((await pool.copyOut(query, {})).lines)).toBe('a\n\\N\nnull\n');
});

test('a connection that is lost during a copy is an error, and another takes its place', async () => {
  const copying = pool.copyOut('select pg_sleep(30)', {});
  copying.catch(() => undefined);
  const end = () =>
    database.db.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'copies' and query like 'copy%'",
    );
  await waitFor('the copy', async () => ((await end()).length > 0 ? true : undefined));
  await expect(copying).rejects.toThrow();
  expect(await pool.query('select 1 as one')).toEqual([{ one: 1 }]);
});

test('a copy that takes longer than its connection allows is ended', async () => {
  const applicationName = 'impatient';
  const impatient = openDatabase({
    ...{ url: database.url, max: 1, applicationName, log: silentLog, statementTimeoutMs: 200 },
  });
  await expect(impatient.copyOut('select pg_sleep(30)', {})).rejects.toThrow('statement timeout');
  expect(await impatient.query('select 1 as one')).toEqual([{ one: 1 }]);
  await impatient.close();
});
