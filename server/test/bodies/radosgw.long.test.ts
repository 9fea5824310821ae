import { randomBytes } from 'node:crypto';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { ObjectStore, ObjectStoreConfig } from '../../src/bodies/object-store.ts';
import { openS3Store } from '../../src/bodies/s3-store.ts';
import { checkObjectStore } from '../../src/cli/doctor/object-store.ts';
import { NO_FAULTS } from '../../src/drill/stand-ins/faults.ts';
import type { Stand } from '../../src/drill/stand-ins/serve.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { type Radosgw, startRadosgw } from '../support/radosgw.ts';
import { describeObjectStore } from './conformance.ts';

const bucket = 'belfry-bodies';
const region = 'us-east-1';
const REQUEST_MS = 2_000;
const TOGETHER = 16;
const LARGE = 3_000_000;
const TRIES = 400;

let ceph: Radosgw;
let proxy: Stand;
let store: ObjectStore;
const stores: ObjectStore[] = [];

beforeAll(async () => {
  ceph = await startRadosgw();
  process.env.AWS_ACCESS_KEY_ID = ceph.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = ceph.secretAccessKey;
  const client = new S3Client({ endpoint: ceph.url, region, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  proxy = await startFaultProxy(ceph.url);
  store = await storeAt(proxy.url);
}, 600_000);

afterEach(() => proxy?.setFaults(NO_FAULTS));

afterAll(async () => {
  for (const opened of stores) opened.close();
  await proxy?.close();
  await ceph?.close();
}, 60_000);

async function storeAt(endpoint: string, requestMs?: number): Promise<ObjectStore> {
  const config: ObjectStoreConfig = { bucket, prefix: 'messages/', endpoint, region };
  const opened = await openS3Store(config, requestMs === undefined ? {} : { requestMs });
  stores.push(opened);
  return opened;
}

const outcomeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    ({ kind, code }: { readonly kind: string; readonly code: string }) => `${kind} ${code}`,
  );

describeObjectStore('radosgw', () => store);

test('a gateway that has too much to do says SlowDown, and takes everything one after the other', async () => {
  const { url } = await ceph.startGateway('--rgw_max_concurrent_requests=1');
  const busy = await storeAt(url);
  const body = randomBytes(LARGE);
  const keys = Array.from({ length: TOGETHER }, (_, n) => `slow-down/${n}`);
  const outcomes = await Promise.all(keys.map((key) => outcomeOf(busy.put(key, body))));
  expect(new Set(outcomes)).toEqual(new Set(['done', 'throttled SlowDown']));
  for (const key of keys) await busy.put(key, body);
  for (const key of keys) expect((await store.get(key)).equals(body)).toBe(true);
});

test.each([0.05, 0.5])(
  'with a share of %d errors what is tried often enough is stored, and whole',
  async (share) => {
    const bodies = Array.from({ length: 60 }, () => randomBytes(20_000));
    proxy.setFaults({ kind: 'slow_down', share });
    let failed = 0;
    for (const [n, body] of bodies.entries()) {
      const key = `errors/${share}/${n}`;
      for (let tried = 1; (await outcomeOf(store.put(key, body))) !== 'done'; tried++) {
        failed += 1;
        expect(tried).toBeLessThan(TRIES);
      }
    }
    proxy.setFaults(NO_FAULTS);
    expect(failed).toBeGreaterThan(0);
    for (const [n, body] of bodies.entries()) {
      expect((await store.get(`errors/${share}/${n}`)).equals(body)).toBe(true);
    }
  },
);

test('with nothing but errors each is told, and nothing is stored', async () => {
  proxy.setFaults({ kind: 'slow_down', share: 1 });
  expect(await outcomeOf(store.put('never', Buffer.from('x')))).toBe('throttled SlowDown');
  proxy.setFaults({ kind: 'internal_error' });
  expect(await outcomeOf(store.put('never', Buffer.from('x')))).toBe('unavailable InternalError');
  proxy.setFaults({ kind: 'reset' });
  expect(await outcomeOf(store.put('never', Buffer.from('x')))).toMatch(/^unavailable /);
  proxy.setFaults(NO_FAULTS);
  expect(await outcomeOf(store.get('never'))).toBe('missing NoSuchKey');
});

test('a store that hangs is given up in time, and one that is slow is waited for', async () => {
  const impatient = await storeAt(proxy.url, REQUEST_MS);
  proxy.setFaults({ kind: 'hang', share: 1 });
  expect(await outcomeOf(impatient.put('slow', Buffer.from('x')))).toBe('unavailable timeout');
  proxy.setFaults({ ...NO_FAULTS, latencyMs: REQUEST_MS / 2 });
  expect(await outcomeOf(impatient.put('slow', Buffer.from('x')))).toBe('done');
});

test('what was done and whose answer was lost can be done again', async () => {
  proxy.setFaults({ kind: 'reset_answer', share: 1 });
  expect(await outcomeOf(store.put('again', Buffer.from('once')))).toMatch(/^unavailable /);
  proxy.setFaults(NO_FAULTS);
  expect((await store.get('again')).toString()).toBe('once');
  expect(await outcomeOf(store.put('again', Buffer.from('once')))).toBe('done');
});

test('an answer that stops halfway is no answer, and a wrong byte is for whoever knows the checksum', async () => {
  const body = randomBytes(100_000);
  await store.put('damaged', body);
  proxy.setFaults({ kind: 'truncate', share: 1 });
  expect(await outcomeOf(store.get('damaged'))).toMatch(/^unavailable /);
  proxy.setFaults({ kind: 'flip' });
  expect((await store.get('damaged')).equals(body)).toBe(false);
});

test('doctor tells a wrong bucket, key and secret of a real store', async () => {
  const config = { bucket, prefix: '', endpoint: ceph.url, region, minBytes: 0, backlogBytes: 0 };
  expect(await checkObjectStore(config)).toMatchObject({ state: 'ok' });
  expect(await checkObjectStore({ ...config, bucket: 'nowhere' })).toMatchObject({
    finding: `There is no bucket nowhere at ${ceph.url}.`,
  });
  try {
    process.env.AWS_SECRET_ACCESS_KEY = 'wrong';
    expect(await checkObjectStore(config)).toMatchObject({
      wayOut: 'Correct AWS_SECRET_ACCESS_KEY.',
    });
    process.env.AWS_ACCESS_KEY_ID = 'wrong';
    expect(await checkObjectStore(config)).toMatchObject({ wayOut: 'Correct AWS_ACCESS_KEY_ID.' });
  } finally {
    process.env.AWS_ACCESS_KEY_ID = ceph.accessKeyId;
    process.env.AWS_SECRET_ACCESS_KEY = ceph.secretAccessKey;
  }
});
