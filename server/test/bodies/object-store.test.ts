import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { ObjectStore } from '../../src/bodies/object-store.ts';
import { openS3Store } from '../../src/bodies/s3-store.ts';
import { NO_FAULTS } from '../../src/drill/stand-ins/faults.ts';
import {
  type ObjectStoreStandIn,
  startObjectStore,
} from '../../src/drill/stand-ins/object-store.ts';
import { temporaryDirectory } from '../cli/belfry.ts';
import { describeObjectStore } from './conformance.ts';

const keys = { accessKeyId: 'AKTEST', secretAccessKey: 'SKTEST' };

let standIn: ObjectStoreStandIn;
let store: ObjectStore;
let directory: string;

beforeAll(async () => {
  process.env.AWS_ACCESS_KEY_ID = keys.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = keys.secretAccessKey;
  directory = (await temporaryDirectory()).path;
  standIn = await startObjectStore({
    ...{ directory, buckets: ['bodies'], region: 'eu-west-1', ...keys },
    ...{ nowMs: Date.now, random: Math.random },
  });
  store = await openS3Store(
    { bucket: 'bodies', prefix: 'a/b/', endpoint: standIn.url, region: 'eu-west-1' },
    { requestMs: 1_000 },
  );
});

afterEach(() => standIn.setFaults(NO_FAULTS));

afterAll(async () => {
  store.close();
  await standIn.close();
  await rm(directory, { recursive: true });
});

describeObjectStore('the stand-in', () => store);

test('every fault is told by what to do about it', async () => {
  const body = randomBytes(50_000);
  await store.put('fault', body);
  const failure = (work: Promise<unknown>) => work.then(String, ({ kind, code }) => [kind, code]);
  standIn.setFaults({ kind: 'slow_down', share: 1 });
  expect(await failure(store.put('fault', body))).toEqual(['throttled', 'SlowDown']);
  standIn.setFaults({ kind: 'internal_error' });
  expect(await failure(store.get('fault'))).toEqual(['unavailable', 'InternalError']);
  for (const kind of ['reset', 'reset_answer', 'truncate'] as const) {
    standIn.setFaults({ kind });
    expect((await failure(store.get('fault')))[0]).toBe('unavailable');
  }
  standIn.setFaults({ kind: 'hang' });
  expect(await failure(store.get('fault'))).toEqual(['unavailable', 'timeout']);
});

test('each call is one request, whatever becomes of it', async () => {
  standIn.setFaults({ kind: 'internal_error', share: 1 });
  const before = standIn.counters().requests;
  await expect(store.put('once', Buffer.from('x'))).rejects.toThrow();
  expect(standIn.counters().requests - before).toBe(1);
});

test('what a proxy says in the place of the store is not believed', async () => {
  const page = '<html><body>We are back soon</body></html>';
  let status = 200;
  const proxy = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.writeHead(status, { 'content-type': 'text/html' }).end(page));
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}`;
  const behind = await openS3Store({ bucket: 'bodies', prefix: '', endpoint, region: 'eu-west-1' });
  const away = { kind: 'unavailable' };
  try {
    await expect(behind.put('key', Buffer.from('text'))).rejects.toMatchObject(away);
    await expect(behind.delete(['key'])).rejects.toMatchObject(away);
    status = 404;
    await expect(behind.get('key')).rejects.toMatchObject(away);
  } finally {
    behind.close();
    proxy.closeAllConnections();
    proxy.close();
  }
});
