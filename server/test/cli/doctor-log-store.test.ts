import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type LogStoreOptions,
  type LogStoreStandIn,
  startLogStore,
} from '../../src/drill/stand-ins/log-store.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import {
  belfry,
  closedPort,
  type Started,
  startBelfry,
  stopBelfry,
  temporaryDirectory,
} from './belfry.ts';

const examples = join(import.meta.dirname, '..', '..', '..', 'examples');
const HOUR_MS = 3_600_000;

let database: TestDatabase;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let port: number;
let server: Started;
let store: LogStoreStandIn | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = await temporaryDirectory();
  port = await closedPort();
  await openStore();
  server = await startBelfry({
    DATABASE_URL: database.url,
    BELFRY_DATA_DIR: directory.path,
    BELFRY_LOG_STORE: `http://belfry:secret@127.0.0.1:${port}/logs`,
  });
  await belfry(['push', examples], server.env);
});

afterEach(async () => {
  await store?.close();
  store = undefined;
});

afterAll(async () => {
  await stopBelfry(server);
  await directory?.remove();
  await database?.drop();
});

async function openStore(changes: Partial<LogStoreOptions> = {}): Promise<LogStoreStandIn> {
  store = await startLogStore({
    ...{ user: 'belfry', password: 'secret', database: 'logs', version: '25.8.1.1', port },
    ...{ nowMs: Date.now, random: Math.random },
    ...changes,
  });
  return store;
}

/** What doctor says of the log store. */
async function diagnosis(changes: Readonly<Record<string, string>> = {}) {
  const { stdout } = await belfry(['doctor', '--json'], { ...server.env, ...changes });
  const { checks } = JSON.parse(stdout);
  return checks.find(({ name }: { readonly name: string }) => name === 'log store');
}

async function expectDelivery(): Promise<void> {
  const recipient = `{"id":"ann-${randomUUID()}","email":"a@example.com"}`;
  const data = '{"comment":"Hi","page":"Plan"}';
  const args = ['run', 'new-comment', '--recipient', recipient, '--data', data];
  expect((await belfry(args, server.env)).stdout).toMatch(/email_1 {2}message delivered/);
}

test('a store that works is found to work, and what happens arrives there', async () => {
  expect(await diagnosis()).toMatchObject({ state: 'ok' });
  await expectDelivery();
  const events = await database.db.query<{ readonly id: string }>('select id from message_event');
  expect(events.length).toBeGreaterThan(0);
  await waitFor(
    'all events',
    () =>
      store?.missing(
        'event',
        events.map(({ id }) => id),
      ) === 0
        ? true
        : undefined,
    60_000,
  );
});

test('a wrong password is named, and mail is delivered', async () => {
  await openStore({ password: 'another' });
  expect(await diagnosis()).toMatchObject({
    state: 'fail',
    finding: expect.stringContaining('does not take this password for the user belfry'),
    way_out: 'Correct user and password in BELFRY_LOG_STORE.',
  });
  await expectDelivery();
});

test('a wrong database is named, and mail is delivered', async () => {
  await openStore({ database: 'other' });
  expect(await diagnosis()).toMatchObject({
    state: 'fail',
    finding: `ClickHouse at http://127.0.0.1:${port} has no database logs.`,
    way_out: expect.stringContaining('create database logs'),
  });
  await expectDelivery();
});

test('a store that nobody can reach is named without its password, and mail is delivered', async () => {
  const check = await diagnosis();
  expect(check).toMatchObject({
    state: 'fail',
    finding: expect.stringMatching(/^Nobody answers as ClickHouse at http:.*ECONNREFUSED/),
    way_out: expect.stringContaining('BELFRY_LOG_STORE'),
  });
  expect(JSON.stringify(check)).not.toContain('secret');
  await expectDelivery();
});

test('a version that is too old, and clocks that are apart, are named', async () => {
  await openStore({ version: '18.16.1' });
  expect(await diagnosis()).toMatchObject({
    state: 'fail',
    finding: `ClickHouse 18.16.1 at http://127.0.0.1:${port} is too old.`,
    way_out: expect.stringMatching(/^Upgrade it to \d+\.\d+ or newer\.$/),
  });
  await expectDelivery();
  await store?.close();
  await openStore({ nowMs: () => Date.now() + HOUR_MS });
  expect(await diagnosis()).toMatchObject({
    state: 'warn',
    finding: expect.stringMatching(/are 3600 s apart|are 3601 s apart|are 3599 s apart/),
  });
});

test('without a store nothing is said of one', async () => {
  expect(await diagnosis({ BELFRY_LOG_STORE: '' })).toBeUndefined();
});
