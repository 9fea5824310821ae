import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LogStoreStandIn, startLogStore } from '../../src/drill/stand-ins/log-store.ts';
import { write } from '../log-store/written.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import {
  belfry,
  descendants,
  type Environment,
  type Started,
  startBelfry,
  stopBelfry,
  temporaryDirectory,
} from './belfry.ts';

const PLACE = { user: 'belfry', password: 'hush-of-tests', database: 'logs', version: '26.7' };

let database: TestDatabase;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let store: LogStoreStandIn;
let server: Started;
let environment: Environment;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = await temporaryDirectory();
  store = await startLogStore({ ...PLACE, nowMs: Date.now, random: Math.random });
  const { host } = new URL(store.url);
  environment = { DATABASE_URL: database.url, BELFRY_DATA_DIR: directory.path };
  server = await startBelfry({
    ...environment,
    BELFRY_LOG_STORE: `http://${PLACE.user}:${PLACE.password}@${host}/${PLACE.database}`,
  });
});
afterAll(async () => {
  await stopBelfry(server);
  await store?.close();
  await directory?.remove();
  await database?.drop();
});

async function development(): Promise<number> {
  const [row] = await database.db.query<{ id: number }>(
    `select e.id
     from environment e
     join account a on a.id = e.account_id
     where a.name = 'demo'
       and e.slug = 'development'`,
  );
  return row?.id ?? 0;
}

const arrived = (ids: readonly string[]) =>
  waitFor('events in the store', () => (store.missing('event', ids) === 0 ? true : undefined));

test('events are shipped by a process beside the server, and searched and counted from the shell', async () => {
  const environmentId = await development();
  const one = await write(database.db, { environmentId, types: ['queued', 'bounced'] });
  await arrived(one.eventIds);
  const listed = await belfry(['events', '--recipient', 'ada', '--since', '1h'], server.env);
  expect(listed.stdout).toMatch(/AT +EVENT +RECIPIENT +WORKFLOW +CHANNEL +MESSAGE/);
  expect(listed.stdout).toMatch(/bounced +ada +welcome +email/);
  const counted = await belfry(['events', '--counts', '--type', 'bounced', '--json'], server.env);
  expect(JSON.parse(counted.stdout)).toMatchObject({
    entries: [{ type: 'message.bounced', count: 1 }],
    lagging: false,
  });
  const none = await belfry(['events', '--workflow', 'none'], server.env);
  expect(none.stdout).toContain('No events.');
  const wrong = await belfry(['events', '--since', 'yesterday'], server.env);
  expect(wrong).toMatchObject({ code: 1, stderr: expect.stringContaining('--since') });
});

test('what the store does is told, without its password', async () => {
  const told = await waitFor('what the shipper says', async () => {
    const { stdout } = await belfry(['stores', '--json'], server.env);
    const { log_store } = JSON.parse(stdout);
    return log_store?.shipped_rows > 0 ? log_store : undefined;
  });
  expect(told).toMatchObject({
    place: expect.stringMatching(/^127\.0\.0\.1:\d+\/logs$/),
    state: 'up',
    reason: null,
    gaps: expect.any(Number),
    refused_rows: 0,
  });
  const shown = await belfry(['stores'], server.env);
  expect(shown.stdout).toMatch(/log store 127\.0\.0\.1:\d+\/logs: up/);
  expect(shown.stdout).toMatch(/left out +0 rows/);
  expect(shown.stdout).toMatch(/to be deleted +0 recipients/);
  expect(shown.stdout + server.stderr()).not.toContain(PLACE.password);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/^belfry_log_store_lag_seconds \d/m);
  expect(metrics).toMatch(/^belfry_log_store_shipped_rows [1-9]/m);
  expect(metrics).toMatch(/^belfry_log_store_deletions_open 0$/m);
});

test('the process that ships may be killed at any time', async () => {
  const environmentId = await development();
  const first = await write(database.db, { environmentId });
  const below = await descendants(server.process.pid);
  const carrier = below.find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('carrier/main.ts'),
  );
  if (carrier === undefined) throw new Error('there is no carrier');
  process.kill(carrier, 'SIGKILL');
  const second = await write(database.db, { environmentId });
  await arrived([...first.eventIds, ...second.eventIds]);
  // What was under way may come twice: rows of the same id count once.
  const [kept] = await database.db.query<{ events: number }>(
    'select count(*)::int as events from message_event',
  );
  expect(store.tables().event?.distinct).toBe(kept?.events);
});

test('a server without a log store removes what was made for one, and answers from the database', async () => {
  await stopBelfry(server);
  server = await startBelfry(environment);
  const environmentId = await development();
  await write(database.db, { environmentId, recipient: 'bob' });
  expect(await database.db.query('select from log_ring')).toEqual([]);
  const listed = await belfry(['events', '--recipient', 'bob', '--json'], server.env);
  expect(JSON.parse(listed.stdout)).toMatchObject({ source: 'live' });
  expect(JSON.parse(listed.stdout).entries).toHaveLength(2);
  const told = await belfry(['stores'], server.env);
  expect(told.stdout).toContain('No store is configured');
});
