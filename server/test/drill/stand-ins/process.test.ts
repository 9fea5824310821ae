import { randomUUID } from 'node:crypto';
import { getPriority } from 'node:os';
import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type StandIn, startStandIn } from '../../../src/drill/stand-in.ts';
import { waitFor } from '../../support/wait.ts';

let store: StandIn;

beforeAll(async () => {
  store = await startStandIn({
    type: 'log-store',
    options: { user: 'belfry', password: 'secret', database: 'logs', version: '25.8.1.1' },
  });
});

afterAll(() => store.end());

test('a stand-in in a process of its own is directed and asked from here', async () => {
  const client = createClient({
    url: store.url,
    ...{ username: 'belfry', password: 'secret', database: 'logs' },
    log: { level: ClickHouseLogLevel.OFF },
  });
  try {
    await client.command({ query: 'create table event (id UUID) engine = Memory' });
    const id = randomUUID();
    const insert = () => client.insert({ table: 'event', values: [{ id }], format: 'JSONEachRow' });
    await store.setFaults({ kind: 'reset', share: 1 });
    await expect(insert()).rejects.toThrow();
    expect(await store.missing('event', [id])).toBe(1);
    await store.heal();
    await insert();
    expect(await store.missing('event', [id, randomUUID()])).toBe(1);
    expect(await store.tables()).toMatchObject({ event: { rows: 1, distinct: 1 } });
    expect(await store.counters()).toMatchObject({ faults: { reset: 1 } });
  } finally {
    await client.close();
  }
});

test('it comes after the server, and a stand-in that cannot be opened says why', async () => {
  expect(getPriority(store.pid)).toBe(10);
  const port = Number(new URL(store.url).port);
  const again = startStandIn({
    type: 'log-store',
    options: { user: 'a', password: 'b', database: 'c', version: '25.8.1.1', port },
  });
  await expect(again).rejects.toThrow(/EADDRINUSE/);
});

test('who asks one that has ended is told so', async () => {
  store.end();
  await waitFor('the end', () =>
    store.counters().then(
      () => undefined,
      (error: Error) => error.message,
    ),
  );
});
