import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LogSource } from '../../src/log-store/log-store.ts';
import { type LoadedRows, loadRows } from '../../src/log-store/shipper/load-rows.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Written, write, writeApiLog, writeEnvironment } from './written.ts';

const DAY_MS = 86_400_000;

let database: TestDatabase;
/** Of three days in a row, each in partitions of its own. */
let written: Written[];
let apiLogs: string[];
beforeAll(async () => {
  database = await createTestDatabase();
  const environmentId = await writeEnvironment(database.db);
  written = [];
  for (const days of [1, 0, 2]) {
    const atMs = Date.now() - days * DAY_MS;
    written.push(await write(database.db, { environmentId, atMs, recipient: `user-${days}` }));
  }
  apiLogs = [];
  for (let i = 0; i < 3; i++) apiLogs.push(await writeApiLog(database.db, environmentId));
});
afterAll(() => database?.drop());

/** Keys of each source, and which column of its lines says whose row it is. */
const CASES: readonly [LogSource, () => string[], number | null][] = [
  ['message_event', () => written.flatMap(({ eventIds }) => eventIds), null],
  ['recipient_run', () => written.map(({ runId }) => runId), null],
  ['recipient_run_segment', () => written.map(({ runId }) => runId), 1],
  ['delivery', () => written.map(({ messageId }) => messageId), 1],
  ['api_log', () => apiLogs, null],
];

function load(source: LogSource, ids: readonly string[], number: number | null) {
  return loadRows(
    database.db,
    source,
    'select id, $2::smallint as number from unnest($1::uuid[]) as wanted(id)',
    [ids, number],
  );
}

const idsOf = ({ lines }: LoadedRows): string[] =>
  lines
    .toString()
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t')[1] ?? '');

test.each(CASES)(
  'rows of %s, of several days, are the same bytes in whatever order their keys come',
  async (source, keys, number) => {
    const ids = keys();
    const rows = await load(source, ids, number);
    expect(idsOf(rows)).toEqual([...ids].sort());
    expect(rows.rows).toBe(ids.length);
    const again = await load(source, [...ids].reverse(), number);
    expect(again.hash).toBe(rows.hash);
    const some = await load(source, ids.slice(1, 2), number);
    expect(idsOf(some)).toEqual(ids.slice(1, 2));
    expect((await load(source, [], number)).rows).toBe(0);
  },
);

test('of rows with two keys only the one that is wanted comes', async () => {
  const ids = written.map(({ messageId }) => messageId);
  expect((await load('delivery', ids, 2)).rows).toBe(0);
});

test('a run of whose recipient nothing is kept does not come', async () => {
  const [kept, forgotten] = written;
  await database.db.query(`update recipient_run set recipient_id = '' where id = $1`, [
    forgotten?.runId,
  ]);
  const rows = await load('recipient_run', [kept?.runId ?? '', forgotten?.runId ?? ''], null);
  expect(idsOf(rows)).toEqual([kept?.runId]);
});
