import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type ObjectStoreOptions,
  type ObjectStoreStandIn,
  startObjectStore,
} from '../../src/drill/stand-ins/object-store.ts';
import { closedPort } from './belfry.ts';
import { createDoctorWorld, type DoctorWorld } from './doctor-world.ts';

const HOUR_MS = 3_600_000;

let port: number;
let world: DoctorWorld;
let store: ObjectStoreStandIn | undefined;

beforeAll(async () => {
  port = await closedPort();
  world = await createDoctorWorld('object store', {
    BELFRY_OBJECT_STORE: 's3://belfry/messages',
    BELFRY_OBJECT_STORE_ENDPOINT: `http://127.0.0.1:${port}`,
    BELFRY_OBJECT_STORE_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'AKBELFRY',
    AWS_SECRET_ACCESS_KEY: 'secret',
  });
});

afterEach(async () => {
  await store?.close();
  store = undefined;
});

afterAll(() => world?.close());

async function openStore(changes: Partial<ObjectStoreOptions> = {}): Promise<ObjectStoreStandIn> {
  store = await startObjectStore({
    directory: join(world.directory, 'objects'),
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

/** A mail with a body that belongs into the store. */
const expectDelivery = (): Promise<void> => world.expectDelivery('A long one. '.repeat(400));

test('a store that works is found to work', async () => {
  await openStore();
  expect(await world.diagnosis()).toMatchObject({ state: 'ok' });
  await expectDelivery();
});

test('a wrong bucket is named, and mail is delivered', async () => {
  await openStore({ directory: join(world.directory, 'elsewhere'), buckets: ['other'] });
  expect(await world.diagnosis()).toMatchObject({
    state: 'fail',
    finding: `There is no bucket belfry at http://127.0.0.1:${port}.`,
    way_out: expect.stringContaining('BELFRY_OBJECT_STORE'),
  });
  await expectDelivery();
});

test('a wrong secret and an unknown key are told apart, and mail is delivered', async () => {
  await openStore({ secretAccessKey: 'another' });
  expect(await world.diagnosis()).toMatchObject({
    state: 'fail',
    finding: expect.stringContaining('The secret is not that of this access key'),
    way_out: 'Correct AWS_SECRET_ACCESS_KEY.',
  });
  await expectDelivery();
  expect(await world.diagnosis({ AWS_ACCESS_KEY_ID: 'AKNOBODY' })).toMatchObject({
    state: 'fail',
    way_out: 'Correct AWS_ACCESS_KEY_ID.',
  });
});

test('clocks that are apart are named, and mail is delivered', async () => {
  await openStore({ nowMs: () => Date.now() + HOUR_MS });
  expect(await world.diagnosis()).toMatchObject({
    state: 'fail',
    finding: expect.stringMatching(
      /^The clocks of this machine and of .* are more than 15 minutes/,
    ),
    way_out: expect.stringContaining('Set the clock'),
  });
  await expectDelivery();
});

test('a store that nobody can reach is named, and mail is delivered', async () => {
  expect(await world.diagnosis()).toMatchObject({
    state: 'fail',
    finding: `s3://belfry/messages/ at http://127.0.0.1:${port} cannot be reached (ECONNREFUSED).`,
    way_out: expect.stringContaining('BELFRY_OBJECT_STORE_ENDPOINT'),
  });
  await expectDelivery();
});

test('credentials that may not write are named, and mail is delivered', async () => {
  (await openStore()).setReadOnly(true);
  expect(await world.diagnosis()).toMatchObject({
    state: 'fail',
    finding: expect.stringContaining('may not write'),
    way_out: expect.stringContaining('s3:PutObject'),
  });
  await expectDelivery();
});

test('another region and a store that slows down are named too', async () => {
  const { setFaults } = await openStore();
  expect(await world.diagnosis({ BELFRY_OBJECT_STORE_REGION: 'us-east-1' })).toMatchObject({
    state: 'fail',
    way_out: expect.stringContaining('BELFRY_OBJECT_STORE_REGION'),
  });
  setFaults({ kind: 'slow_down', share: 1 });
  expect(await world.diagnosis()).toMatchObject({
    state: 'warn',
    finding: expect.stringContaining('SlowDown'),
  });
});

test('without a store nothing is said of one', async () => {
  expect(await world.diagnosis({ BELFRY_OBJECT_STORE: '' })).toBeUndefined();
});
