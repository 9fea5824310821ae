import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { NO_FAULTS } from '../../../src/drill/stand-ins/faults.ts';
import {
  type ObjectStoreStandIn,
  startObjectStore,
} from '../../../src/drill/stand-ins/object-store.ts';
import { temporaryDirectory } from '../../cli/belfry.ts';

const Bucket = 'belfry-test';
const credentials = { accessKeyId: 'AKTEST', secretAccessKey: 'SKTEST' };
const HOUR_MS = 3_600_000;

let store: ObjectStoreStandIn;
let directory: string;
let clockMs: () => number = Date.now;
const clients: S3Client[] = [];

beforeAll(async () => {
  directory = (await temporaryDirectory()).path;
  store = await startObjectStore({
    directory,
    buckets: [Bucket],
    region: 'eu-west-1',
    ...credentials,
    nowMs: () => clockMs(),
    random: () => 0.5,
  });
});

afterEach(() => {
  store.setFaults(NO_FAULTS);
  store.setReadOnly(false);
  clockMs = Date.now;
});

afterAll(async () => {
  for (const client of clients) client.destroy();
  await store.close();
  await rm(directory, { recursive: true });
});

function clientOf(changes: S3ClientConfig = {}): S3Client {
  const client = new S3Client({
    endpoint: store.url,
    region: 'eu-west-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...changes,
  });
  clients.push(client);
  return client;
}

async function put(Key: string, Body: string | Uint8Array, client = clientOf()): Promise<void> {
  await client.send(new PutObjectCommand({ Bucket, Key, Body }));
}

async function get(Key: string, Range?: string, client = clientOf()): Promise<Buffer> {
  const { Body } = await client.send(
    new GetObjectCommand({ Bucket, Key, ...(Range && { Range }) }),
  );
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

test('what is put is read again, whole and in ranges', async () => {
  const body = randomBytes(3_000_000);
  await put('a/b c+d/ü(1)!.bin', body);
  expect((await get('a/b c+d/ü(1)!.bin')).equals(body)).toBe(true);
  expect(await get('a/b c+d/ü(1)!.bin', 'bytes=1000-1999')).toEqual(body.subarray(1_000, 2_000));
  expect(await get('a/b c+d/ü(1)!.bin', 'bytes=2999990-')).toEqual(body.subarray(2_999_990));
  await expect(get('a/b c+d/ü(1)!.bin', 'bytes=3000000-')).rejects.toMatchObject({
    name: 'InvalidRange',
  });
  const head = await clientOf().send(new HeadObjectCommand({ Bucket, Key: 'a/b c+d/ü(1)!.bin' }));
  expect(head.ContentLength).toBe(3_000_000);
});

test('a list has the keys of a prefix in order, page by page', async () => {
  const keys = ['list/b', 'list/a', 'list/c&d', 'list/é'];
  for (const key of keys) await put(key, key);
  const client = clientOf();
  const first = await client.send(
    new ListObjectsV2Command({ Bucket, Prefix: 'list/', MaxKeys: 3 }),
  );
  expect(first.Contents?.map(({ Key, Size }) => [Key, Size])).toEqual([
    ['list/a', 6],
    ['list/b', 6],
    ['list/c&d', 8],
  ]);
  const second = await client.send(
    new ListObjectsV2Command({
      Bucket,
      Prefix: 'list/',
      ContinuationToken: first.NextContinuationToken,
    }),
  );
  expect(second.Contents?.map(({ Key }) => Key)).toEqual(['list/é']);
  expect(second.IsTruncated).toBe(false);
});

test('objects are deleted one by one and many at once, and deleting again is no error', async () => {
  for (const key of ['gone/a', 'gone/b&', 'gone/c']) await put(key, 'x');
  const client = clientOf();
  const remove = () =>
    client.send(
      new DeleteObjectsCommand({
        Bucket,
        Delete: { Objects: [{ Key: 'gone/a' }, { Key: 'gone/b&' }], Quiet: true },
      }),
    );
  await remove();
  expect((await remove()).Errors).toBeUndefined();
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone/c' }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone/c' }));
  expect((await store.keys(Bucket)).filter((key) => key.startsWith('gone/'))).toEqual([]);
});

test('an object that is there is not written over when the caller says so', async () => {
  const client = clientOf();
  const once = { Bucket, Key: 'once', Body: '1', IfNoneMatch: '*' };
  await client.send(new PutObjectCommand(once));
  await expect(client.send(new PutObjectCommand(once))).rejects.toThrow(/pre-conditions/);
});

test('a wrong secret, key, region, bucket or object is answered with the error of S3', async () => {
  const nameOf = (changes: S3ClientConfig, name = Bucket, key = 'nowhere') =>
    clientOf(changes)
      .send(new GetObjectCommand({ Bucket: name, Key: key }))
      .then(
        () => 'no error',
        (error: Error) => error.name,
      );
  const secret = { credentials: { ...credentials, secretAccessKey: 'wrong' } };
  expect(await nameOf(secret)).toBe('SignatureDoesNotMatch');
  const keyId = { credentials: { ...credentials, accessKeyId: 'wrong' } };
  expect(await nameOf(keyId)).toBe('InvalidAccessKeyId');
  expect(await nameOf({ region: 'us-east-1' })).toBe('AuthorizationHeaderMalformed');
  expect(await nameOf({}, 'other-bucket')).toBe('NoSuchBucket');
  expect(await nameOf({})).toBe('NoSuchKey');
  const missing = clientOf().send(new HeadBucketCommand({ Bucket: 'other-bucket' }));
  await expect(missing).rejects.toMatchObject({ $metadata: { httpStatusCode: 404 } });
});

test('a body that is not what was signed is not stored', async () => {
  const client = clientOf();
  client.middlewareStack.add(
    (next) => async (args) => {
      const { request } = args as { readonly request: { body: unknown } };
      request.body = 'forged';
      return await next(args);
    },
    { step: 'finalizeRequest', priority: 'low' },
  );
  await expect(put('forged', 'signed', client)).rejects.toThrow();
  await expect(get('forged')).rejects.toMatchObject({ name: 'NoSuchKey' });
});

test('a clock that is an hour apart is too skewed', async () => {
  clockMs = () => Date.now() + HOUR_MS;
  await expect(get('any')).rejects.toMatchObject({ name: 'RequestTimeTooSkewed' });
});

test('who may only read is told so when writing', async () => {
  await put('readable', 'x');
  store.setReadOnly(true);
  await expect(put('readable', 'y')).rejects.toMatchObject({ name: 'AccessDenied' });
  expect((await get('readable')).toString()).toBe('x');
});

test('a store that slows down answers 503, and a share of 0.5 is half of the requests', async () => {
  store.setFaults({ kind: 'slow_down', share: 1 });
  await expect(put('slow', 'x')).rejects.toMatchObject({
    name: 'SlowDown',
    $metadata: { httpStatusCode: 503 },
  });
  store.setFaults({ kind: 'internal_error' });
  await expect(put('slow', 'x')).rejects.toMatchObject({ name: 'InternalError' });
  store.setFaults({ share: 0.5 });
  await put('slow', 'x');
});

test('a limit in requests a second lets so many through and no more', async () => {
  clockMs = () => 1_800_000_000_000;
  const client = clientOf({ systemClockOffset: 1_800_000_000_000 - Date.now() });
  store.setFaults({ requestsPerSecond: 0.5 });
  await put('limited', 'x', client);
  await expect(put('limited', 'x', client)).rejects.toMatchObject({ name: 'SlowDown' });
  clockMs = () => 1_800_000_002_000;
  await put('limited', 'x', client);
  await expect(put('limited', 'x', client)).rejects.toMatchObject({ name: 'SlowDown' });
});

test('a connection can break before a request is done, and after it', async () => {
  store.setFaults({ kind: 'reset', share: 1 });
  await expect(put('broken', 'before')).rejects.toThrow();
  store.setFaults(NO_FAULTS);
  await expect(get('broken')).rejects.toMatchObject({ name: 'NoSuchKey' });
  store.setFaults({ kind: 'reset_answer', share: 1 });
  await expect(put('broken', 'after')).rejects.toThrow();
  store.setFaults(NO_FAULTS);
  expect((await get('broken')).toString()).toBe('after');
});

test('an answer can stop halfway, have a wrong byte, or never come', async () => {
  const body = randomBytes(200_000);
  await put('damaged', body);
  store.setFaults({ kind: 'truncate', share: 1 });
  await expect(get('damaged')).rejects.toThrow();
  store.setFaults({ kind: 'flip' });
  const flipped = await get('damaged');
  expect(flipped.filter((byte, n) => byte !== body[n])).toHaveLength(1);
  store.setFaults({ kind: 'hang' });
  const hung = clientOf().send(new GetObjectCommand({ Bucket, Key: 'damaged' }), {
    abortSignal: AbortSignal.timeout(200),
  });
  await expect(hung).rejects.toMatchObject({ name: 'AbortError' });
});

test('it counts what it was asked and what it answered', async () => {
  const before = store.counters();
  await put('counted', 'twelve bytes');
  await expect(get('uncounted')).rejects.toThrow();
  const after = store.counters();
  expect(after.requests - before.requests).toBe(2);
  expect((after.methods.PUT ?? 0) - (before.methods.PUT ?? 0)).toBe(1);
  expect((after.statuses['404'] ?? 0) - (before.statuses['404'] ?? 0)).toBe(1);
  expect(after.bytesIn - before.bytesIn).toBe(12);
  expect(after.busiestSecond).toBeGreaterThan(0);
});

test('what was stored is there for a store that is started again', async () => {
  await put('kept/over', 'a start');
  const again = await startObjectStore({
    ...{ directory, buckets: [Bucket], region: 'eu-west-1', ...credentials },
    ...{ nowMs: Date.now, random: () => 0.5 },
  });
  try {
    const client = clientOf({ endpoint: again.url });
    expect((await get('kept/over', undefined, client)).toString()).toBe('a start');
  } finally {
    await again.close();
  }
});
