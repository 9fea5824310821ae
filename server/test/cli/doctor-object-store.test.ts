import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type ObjectStoreOptions,
  type ObjectStoreStandIn,
  startObjectStore,
} from '../../src/drill/stand-ins/object-store.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
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
let store: ObjectStoreStandIn | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = await temporaryDirectory();
  port = await closedPort();
  server = await startBelfry({
    DATABASE_URL: database.url,
    BELFRY_DATA_DIR: directory.path,
    BELFRY_OBJECT_STORE: 's3://belfry/messages',
    BELFRY_OBJECT_STORE_ENDPOINT: `http://127.0.0.1:${port}`,
    BELFRY_OBJECT_STORE_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'AKBELFRY',
    AWS_SECRET_ACCESS_KEY: 'secret',
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

async function openStore(changes: Partial<ObjectStoreOptions> = {}): Promise<ObjectStoreStandIn> {
  store = await startObjectStore({
    directory: join(directory.path, 'objects'),
    buckets: ['belfry'],
    region: 'eu-west-1',
    accessKeyId: 'AKBELFRY',
    secretAccessKey: 'secret',
    port,
    nowMs: Date.now,
    random: Math.random,
    ...changes,
  });
  return store;
}

/** What doctor says of the object store. */
async function diagnosis(changes: Readonly<Record<string, string>> = {}) {
  const { stdout } = await belfry(['doctor', '--json'], { ...server.env, ...changes });
  const { checks } = JSON.parse(stdout);
  return checks.find(({ name }: { readonly name: string }) => name === 'object store');
}

/** A mail with a body that belongs into the store. */
async function expectDelivery(): Promise<void> {
  const data = JSON.stringify({ comment: 'A long one. '.repeat(400), page: 'Plan' });
  const recipient = '{"id":"ann","email":"a@example.com"}';
  const args = ['run', 'new-comment', '--recipient', recipient, '--data', data];
  const { stdout } = await belfry(args, server.env);
  expect(stdout).toMatch(/email_1 {2}message delivered/);
}

test('a store that works is found to work', async () => {
  await openStore();
  expect(await diagnosis()).toMatchObject({ state: 'ok' });
  await expectDelivery();
});

test('a wrong bucket is named, and mail is delivered', async () => {
  await openStore({ directory: join(directory.path, 'elsewhere'), buckets: ['other'] });
  expect(await diagnosis()).toMatchObject({
    state: 'fail',
    finding: `There is no bucket belfry at http://127.0.0.1:${port}.`,
    way_out: expect.stringContaining('BELFRY_OBJECT_STORE'),
  });
  await expectDelivery();
});

test('a wrong secret and an unknown key are told apart, and mail is delivered', async () => {
  await openStore({ secretAccessKey: 'another' });
  expect(await diagnosis()).toMatchObject({
    state: 'fail',
    finding: expect.stringContaining('The secret is not that of this access key'),
    way_out: 'Correct AWS_SECRET_ACCESS_KEY.',
  });
  await expectDelivery();
  expect(await diagnosis({ AWS_ACCESS_KEY_ID: 'AKNOBODY' })).toMatchObject({
    state: 'fail',
    way_out: 'Correct AWS_ACCESS_KEY_ID.',
  });
});

test('clocks that are apart are named, and mail is delivered', async () => {
  await openStore({ nowMs: () => Date.now() + HOUR_MS });
  expect(await diagnosis()).toMatchObject({
    state: 'fail',
    finding: expect.stringMatching(
      /^The clocks of this machine and of .* are more than 15 minutes/,
    ),
    way_out: expect.stringContaining('Set the clock'),
  });
  await expectDelivery();
});

test('a store that nobody can reach is named, and mail is delivered', async () => {
  expect(await diagnosis()).toMatchObject({
    state: 'fail',
    finding: `s3://belfry/messages/ at http://127.0.0.1:${port} cannot be reached (ECONNREFUSED).`,
    way_out: expect.stringContaining('BELFRY_OBJECT_STORE_ENDPOINT'),
  });
  await expectDelivery();
});

test('credentials that may not write are named, and mail is delivered', async () => {
  (await openStore()).setReadOnly(true);
  expect(await diagnosis()).toMatchObject({
    state: 'fail',
    finding: expect.stringContaining('may not write'),
    way_out: expect.stringContaining('s3:PutObject'),
  });
  await expectDelivery();
});

test('another region and a store that slows down are named too', async () => {
  const { setFaults } = await openStore();
  expect(await diagnosis({ BELFRY_OBJECT_STORE_REGION: 'us-east-1' })).toMatchObject({
    state: 'fail',
    way_out: expect.stringContaining('BELFRY_OBJECT_STORE_REGION'),
  });
  setFaults({ kind: 'slow_down', share: 1 });
  expect(await diagnosis()).toMatchObject({
    state: 'warn',
    finding: expect.stringContaining('SlowDown'),
  });
});

test('without a store nothing is said of one', async () => {
  expect(await diagnosis({ BELFRY_OBJECT_STORE: '' })).toBeUndefined();
});
