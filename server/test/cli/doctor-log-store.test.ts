import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  type LogStoreOptions,
  type LogStoreStandIn,
  startLogStore,
} from '../../src/drill/stand-ins/log-store.ts';
import { waitFor } from '../support/wait.ts';
import { closedPort } from './belfry.ts';
import { createDoctorWorld, type DoctorWorld } from './doctor-world.ts';

const HOUR_MS = 3_600_000;

let port: number;
let world: DoctorWorld;
let store: LogStoreStandIn | undefined;

beforeAll(async () => {
  port = await closedPort();
  await openStore();
  world = await createDoctorWorld('log store', {
    BELFRY_LOG_STORE: `http://belfry:secret@127.0.0.1:${port}/logs`,
  });
});

afterEach(async () => {
  await store?.close();
  store = undefined;
});

afterAll(() => world?.close());

async function openStore(changes: Partial<LogStoreOptions> = {}): Promise<LogStoreStandIn> {
  store = await startLogStore({
    ...{ user: 'belfry', password: 'secret', database: 'logs', version: '25.8.1.1', port },
    ...{ nowMs: Date.now, random: Math.random },
    ...changes,
  });
  return store;
}

const expectDelivery = (): Promise<void> => world.expectDelivery('Hi');

test('a store that works is found to work, and what happens arrives there', async () => {
  expect(await world.diagnosis()).toMatchObject({ state: 'ok' });
  await expectDelivery();
  const events = await world.db.query<{ readonly id: string }>('select id from message_event');
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
  expect(await world.diagnosis()).toMatchObject({
    state: 'fail',
    finding: expect.stringContaining('does not take this password for the user belfry'),
    way_out: 'Correct user and password in BELFRY_LOG_STORE.',
  });
  await expectDelivery();
});

test('a wrong database is named, and mail is delivered', async () => {
  await openStore({ database: 'other' });
  expect(await world.diagnosis()).toMatchObject({
    state: 'fail',
    finding: `ClickHouse at http://127.0.0.1:${port} has no database logs.`,
    way_out: expect.stringContaining('create database logs'),
  });
  await expectDelivery();
});

test('a store that nobody can reach is named without its password, and mail is delivered', async () => {
  const check = await world.diagnosis();
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
  expect(await world.diagnosis()).toMatchObject({
    state: 'fail',
    finding: `ClickHouse 18.16.1 at http://127.0.0.1:${port} is too old.`,
    way_out: expect.stringMatching(/^Upgrade it to \d+\.\d+ or newer\.$/),
  });
  await expectDelivery();
  await store?.close();
  await openStore({ nowMs: () => Date.now() + HOUR_MS });
  expect(await world.diagnosis()).toMatchObject({
    state: 'warn',
    finding: expect.stringMatching(/are 3600 s apart|are 3601 s apart|are 3599 s apart/),
  });
});

test('without a store nothing is said of one', async () => {
  expect(await world.diagnosis({ BELFRY_LOG_STORE: '' })).toBeUndefined();
});
