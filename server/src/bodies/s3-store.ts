import { randomUUID } from 'node:crypto';
import { limitTime } from '../lib/time-limit.ts';
import {
  type ByteRange,
  MAX_DELETED,
  type ObjectStore,
  type ObjectStoreConfig,
  StoreError,
  type StoreErrorKind,
} from './object-store.ts';

/** A request that takes longer is given up: 8 MB at 300 KB/s. */
const REQUEST_MS = 30_000;
const CONNECT_MS = 3_000;
const SOCKETS = 32;

const KINDS: Readonly<Record<string, StoreErrorKind>> = {
  SlowDown: 'throttled',
  ServiceUnavailable: 'throttled',
  TooManyRequests: 'throttled',
  TooManyRequestsException: 'throttled',
  RequestLimitExceeded: 'throttled',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',
  NoSuchKey: 'missing',
  // A 404 that does not say what is missing may be a proxy's.
  NotFound: 'unavailable',
  InvalidRange: 'damaged',
  RequestTimeout: 'unavailable',
  BadDigest: 'damaged',
  InvalidDigest: 'damaged',
  CredentialsProviderError: 'refused',
};

/**
 * A bucket that speaks the S3 API. Loads the SDK when it is called; it sends each request once (how often something is
 * tried is not its business) and within 30 s, its body included.
 */
export async function openS3Store(
  config: ObjectStoreConfig,
  limits: { readonly requestMs?: number } = {},
): Promise<ObjectStore> {
  const { S3Client, PutObjectCommand, GetObjectCommand, DeleteObjectsCommand } = await import(
    '@aws-sdk/client-s3'
  );
  const { requestMs = REQUEST_MS } = limits;
  const { bucket: Bucket, prefix } = config;
  const client = new S3Client({
    region: config.region,
    ...(config.endpoint === undefined ? {} : { endpoint: config.endpoint, forcePathStyle: true }),
    maxAttempts: 1,
    // Other stores than AWS do not know the SDK's own checksums; what is stored has its own, which every read checks.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      httpAgent: { maxSockets: SOCKETS },
      httpsAgent: { maxSockets: SOCKETS },
    },
  });

  /** One request, from its first byte to the answer's last, or what is wrong with it. */
  async function once<Result>(
    work: (abortSignal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const limit = limitTime(requestMs);
    try {
      return await Promise.race([work(limit.signal), lost(limit.signal, requestMs)]);
    } catch (error) {
      throw storeError(error, limit.isOver());
    } finally {
      limit.end();
    }
  }

  const put = (key: string, body: Buffer): Promise<void> =>
    once(async (abortSignal) => {
      // The signature covers the SHA-256 of the body: what arrives otherwise is refused.
      const input = { Bucket, Key: `${prefix}${key}`, Body: body };
      const { ETag } = await client.send(new PutObjectCommand(input), { abortSignal });
      if (!ETag) throw notOfAStore('write');
    });

  const get = (key: string, range?: ByteRange): Promise<Buffer> =>
    once(async (abortSignal) => {
      const Range = range && `bytes=${range.at}-${range.at + range.bytes - 1}`;
      const input = { Bucket, Key: `${prefix}${key}`, ...(Range ? { Range } : {}) };
      const answer = await client.send(new GetObjectCommand(input), { abortSignal });
      const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
      const expected = range ? range.bytes : (answer.ContentLength ?? bytes.length);
      if (bytes.length === expected) return bytes;
      // A proxy that knows no ranges answers with everything.
      if (range && bytes.length >= range.at + range.bytes && !answer.ContentRange) {
        return bytes.subarray(range.at, range.at + range.bytes);
      }
      const text = `the object store sent ${bytes.length} bytes of ${expected}`;
      throw isCutShort(range, answer.ContentRange)
        ? new StoreError('damaged', 'too_short', `${text}: the object ends before them`)
        : new StoreError('unavailable', 'truncated', text);
    });

  const remove = (keys: readonly string[]): Promise<void> =>
    once(async (abortSignal) => {
      if (keys.length > MAX_DELETED) throw new RangeError(`${keys.length} keys in one request`);
      const Objects = keys.map((key) => ({ Key: `${prefix}${key}` }));
      const input = { Bucket, Delete: { Objects } };
      const answer = await client.send(new DeleteObjectsCommand(input), { abortSignal });
      const { Deleted = [], Errors = [] } = answer;
      if (Deleted.length + Errors.length === 0 && keys.length > 0) throw notOfAStore('delete');
      const [first] = Errors.filter(({ Code }) => Code !== 'NoSuchKey');
      if (!first) return;
      const code = first.Code ?? 'Unknown';
      throw new StoreError(kindOf(code, undefined), code, first.Message ?? code);
    });

  return {
    put,
    get,
    delete: remove,
    check: async () => {
      const key = `.check-${randomUUID()}`;
      const body = Buffer.from('belfry');
      await put(key, body);
      const read = await get(key, { at: 1, bytes: body.length - 1 }).catch(
        (error: unknown) => error,
      );
      await remove([key]);
      if (!Buffer.isBuffer(read)) throw read;
      if (!read.equals(body.subarray(1))) {
        throw new StoreError('damaged', 'wrong_bytes', 'the store does not answer what was stored');
      }
      const absent = await get(key).catch((error: unknown) => error);
      if (absent instanceof StoreError && absent.kind === 'missing') return;
      if (absent instanceof StoreError) throw absent;
      throw new StoreError('damaged', 'not_deleted', 'the store still has what was deleted');
    },
    placeOf: (key) => `s3://${Bucket}/${prefix}${key}`,
    close: () => client.destroy(),
  };
}

/** As of a proxy, which says 200 to everything while it shows a page. */
function notOfAStore(request: string): StoreError {
  const text = `what answered a ${request} is not an object store, though it says that it was done`;
  return new StoreError('unavailable', 'not_a_store', text);
}

/** Whether an answer to a range says that the object ends before the range does. */
function isCutShort(range: ByteRange | undefined, contentRange: string | undefined): boolean {
  const total = /\/(\d+)$/.exec(contentRange ?? '')?.[1];
  return range !== undefined && total !== undefined && Number(total) < range.at + range.bytes;
}

/** Rejects when the time is over: a socket that says nothing does not always hear of an abort. */
function lost(limit: AbortSignal, requestMs: number): Promise<never> {
  return new Promise((_, reject) => {
    const text = `the object store did not answer within ${requestMs / 1_000} s`;
    const expire = (): void => reject(new StoreError('unavailable', 'timeout', text));
    limit.addEventListener('abort', expire, { once: true });
  });
}

function storeError(error: unknown, isLate: boolean): unknown {
  if (error instanceof StoreError || error instanceof RangeError) return error;
  if (!(error instanceof Error)) return new StoreError('unavailable', 'unknown', String(error));
  if (isLate) return new StoreError('unavailable', 'timeout', error.message);
  const { $metadata, code } = error as {
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly code?: string;
  };
  const name = code ?? error.name;
  return new StoreError(kindOf(name, $metadata?.httpStatusCode), name, error.message);
}

function kindOf(code: string, status: number | undefined): StoreErrorKind {
  const known = KINDS[code];
  if (known) return known;
  if (status === 429 || status === 503) return 'throttled';
  // Without a status nobody answered.
  return status === undefined || status >= 500 || status < 300 ? 'unavailable' : 'refused';
}
