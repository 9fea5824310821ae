import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiLogFilter, listApiLogs } from '../../src/api-logs/list.ts';
import { createRecorder, type Recorder } from '../../src/api-logs/recorder.ts';
import { timeOrderedUuid } from '../../src/lib/uuid.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

const PER_SECOND = 2;
/** A minute's worth. */
const BURST = 60 * PER_SECOND;

let api: TestApi;
let recorder: Recorder;
let account: TestAccount;
beforeAll(async () => {
  api = await startTestApi({
    recorder: ({ db, clock, log }) => {
      recorder = createRecorder({ db, clock, log, perSecond: PER_SECOND });
      return recorder;
    },
  });
  account = await api.account();
});
afterAll(() => api?.close());

const written = () =>
  waitFor('what is queued', () => (recorder.stats().queued === 0 ? true : undefined));

async function logs(query = '', token = account.service_token) {
  await written();
  return (await api.call('GET', `/control/v1/api_logs${query}`, { key: token })).body;
}

test('a request is found by the x-request-id of its answer, with bodies that hold no secret', async () => {
  const { headers } = await api.call('PUT', '/v1/users/ada?x=1', {
    key: account.secretKey,
    body: { name: 'Ada', api_token: 'do-not-keep' },
  });
  const { entries } = await logs('?path=/v1/users/ada');
  expect(entries).toHaveLength(1);
  expect(entries[0]).toMatchObject({
    __typename: 'ApiLog',
    id: headers['x-request-id'],
    method: 'PUT',
    route: '/v1/users/:user_id',
    path: '/v1/users/ada?x=1',
    status: 200,
    api_key_id: expect.stringMatching(/^key_\d+$/),
    request: { name: 'Ada', api_token: '[REDACTED]' },
    response: { __typename: 'User', id: 'ada', api_token: '[REDACTED]' },
  });
  expect(Math.abs(Date.parse(entries[0].inserted_at) - Date.now())).toBeLessThan(60_000);
  expect(entries[0].duration_ms).toBeGreaterThan(0);
  const path = `/control/v1/api_logs/${headers['x-request-id']}`;
  const one = await api.call('GET', path, { key: account.service_token });
  expect(one.body).toEqual(entries[0]);
  expect(JSON.stringify(entries)).not.toContain(account.secretKey);
});

test('filters by status, class, method and key; pages go on where one ended', async () => {
  const key = account.secretKey;
  for (const id of ['b', 'c', 'd']) await api.call('GET', `/v1/users/missing-${id}`, { key });
  const failed = await logs('?status=failed&limit=2');
  expect(failed.entries.map((entry: { path: string }) => entry.path)).toEqual([
    '/v1/users/missing-d',
    '/v1/users/missing-c',
  ]);
  const older = await logs(`?status=4xx&limit=2&before=${failed.next}`);
  expect(older.entries.map((entry: { path: string }) => entry.path)).toEqual([
    '/v1/users/missing-b',
  ]);
  expect(older.next).toBeNull();
  expect((await logs('?status=404&method=PUT')).entries).toEqual([]);
  expect((await logs('?status=404&api_key=key_999999')).entries).toEqual([]);
});

test('another account, another environment and a caller without a service token see nothing of it', async () => {
  const stranger = await api.account();
  const { entries } = await logs();
  expect((await logs('', stranger.service_token)).entries).toEqual([]);
  expect((await logs('?environment=production')).entries).toEqual([]);
  const path = `/control/v1/api_logs/${entries[0].id}`;
  const answers = [stranger.service_token, account.secretKey].map((key) =>
    api.call('GET', path, { key }),
  );
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([404, 403]);
});

test.each([
  ['status', 'status=200ish'],
  ['before', 'before=yesterday'],
  ['api_key', 'api_key=12'],
  ['limit', 'limit=0'],
])('a filter that makes no sense is refused by its name: %s', async (field, query) => {
  const { status, body } = await api.call('GET', `/control/v1/api_logs?${query}`, {
    key: account.service_token,
  });
  expect(status).toBe(422);
  expect(JSON.stringify(body)).toContain(field);
});

test('over the rate of its account requests are counted, and failures have a rate of their own', async () => {
  const busy = await api.account();
  const key = busy.secretKey;
  const many = BURST + 40;
  for (let i = 0; i < many; i++) await api.call('GET', '/v1/users/nobody', { key });
  await api.call('PUT', '/v1/users/eve', { key, body: {} });
  const { good, failed } = await waitFor('all of them, written or counted', async () => {
    const token = busy.service_token;
    const answers = {
      good: await logs('?status=200&limit=200', token),
      failed: await logs('?status=failed&limit=200', token),
    };
    const { length } = [...answers.good.entries, ...answers.failed.entries];
    return length + answers.good.skipped === many + 1 ? answers : undefined;
  });
  expect(good.skipped).toBeGreaterThan(0);
  expect(failed.entries.length).toBeGreaterThanOrEqual(BURST);
  expect(good.entries).toHaveLength(1);
});

const request = (nowMs: number, more: object = {}) => ({
  id: timeOrderedUuid(nowMs),
  accountId: 1,
  environmentId: 1,
  keyId: 1,
  method: 'GET',
  route: '/v1/users',
  url: '/v1/users',
  status: 200,
  durationMs: 1.5,
  request: undefined,
  response: undefined,
  ...more,
});

test('while the database is away a bounded number waits, and all of that is written when it is back', async () => {
  const database = await createTestDatabase();
  let isAway = true;
  const db = {
    ...database.db,
    query: ((text: string, values: readonly unknown[]) =>
      isAway
        ? Promise.reject(new Error('away'))
        : database.db.query(text, values)) as typeof database.db.query,
  };
  const clock = { now: () => Date.now() };
  const own = createRecorder({ db, clock, log: silentLog, perSecond: 1_000 });
  for (let i = 0; i < 5_000; i++) own.record(request(clock.now()));
  await waitFor('an attempt', () => (own.stats().queued === 4_000 ? true : undefined));
  expect(own.stats()).toMatchObject({ queued: 4_000, skipped: 1_000 });
  isAway = false;
  await own.close();
  const [row] = await database.db.query('select count(*)::int as n from api_log');
  expect(row).toEqual({ n: 4_000 });
  const [skipped] = await database.db.query('select sum(requests)::int as n from api_log_skipped');
  expect(skipped).toEqual({ n: 1_000 });
  await database.drop();
});

test('while there is no room requests are counted, and not recorded', async () => {
  const database = await createTestDatabase();
  let hasRoom = false;
  const own = createRecorder({
    ...{ db: database.db, log: silentLog, perSecond: 1_000 },
    clock: { now: () => Date.now() },
    hasRoom: () => hasRoom,
  });
  own.record(request(Date.now()));
  expect(own.stats()).toMatchObject({ queued: 0, skipped: 1 });
  hasRoom = true;
  own.record(request(Date.now()));
  await own.close();
  expect(own.stats()).toMatchObject({ recorded: 1, skipped: 1 });
  await database.drop();
});

test('an entry that the database refuses holds up no other', async () => {
  const database = await createTestDatabase();
  const own = createRecorder({
    ...{ db: database.db, log: silentLog, perSecond: 1_000 },
    clock: { now: () => Date.now() },
  });
  // There is no partition for its time.
  own.record(request(Date.UTC(1990, 1)));
  await waitFor('the refusal', () => (own.stats().skipped === 1 ? true : undefined));
  own.record(request(Date.now()));
  await own.close();
  const [row] = await database.db.query('select count(*)::int as n from api_log');
  expect(row).toEqual({ n: 1 });
  await database.drop();
});

test('a page reads by index, and no more than 20,000 entries, whatever the filter', async () => {
  const { ctx } = api;
  const { development } = await api.account();
  await ctx.db.query(
    `insert into api_log (id, environment_id, api_key_id, method, route, path, status, duration_us)
     select (lpad(to_hex($2::bigint - n * 10), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
       $1, 1, 'GET', '/v1/users', '/v1/users', case when n = 49_000 then 500 else 200 end, 10
     from generate_series(1, 50_000) as n`,
    [development.id, Date.now()],
  );
  await ctx.db.query('analyze api_log');
  const plans: string[] = [];
  const db = {
    ...ctx.db,
    query: (async (text: string, values: readonly unknown[]) => {
      const plan = await ctx.db.query<{ 'QUERY PLAN': string }>(
        `explain (analyze, timing off, costs off) ${text}`,
        values,
      );
      plans.push(plan.map((line) => line['QUERY PLAN']).join('\n'));
      return ctx.db.query(text, values);
    }) as typeof ctx.db.query,
  };
  const list = (filter: ApiLogFilter, before?: string) =>
    listApiLogs({ ...ctx, db, environment: development }, { filter, before, limit: 50 });
  const rare = await list({ path: '/v1/nothing' });
  expect(rare.entries).toEqual([]);
  expect(rare.next).not.toBeNull();
  const after = await list({ path: '/v1/nothing' }, rare.next ?? '');
  expect(after.next).not.toBe(rare.next);
  expect((await list({ status: '5xx' })).entries).toHaveLength(1);
  expect((await list({})).entries).toHaveLength(50);
  for (const plan of plans) {
    // Of partitions without a row.
    expect(plan).not.toMatch(/Seq Scan on api_log_\d.*actual rows=[1-9]/);
    for (const [, rows] of plan.matchAll(/Scan.* on api_log_\d.*actual rows=([\d.]+)/g)) {
      expect(Number(rows)).toBeLessThanOrEqual(20_000);
    }
  }
});
