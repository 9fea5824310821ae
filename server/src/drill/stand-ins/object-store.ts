import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { S3Error, textOfXml, xmlText } from './s3-error.ts';
import { type Objects, openObjects, type StoredObject } from './s3-objects.ts';
import { checkSignature, type SigningKey } from './s3-signature.ts';
import { type Answer, readAll, type Stand, serveStand } from './serve.ts';

const XML_TYPE = 'application/xml';
const MOST_XML_BYTES = 2_000_000;
const MOST_KEYS = 1_000;

export type ObjectStoreOptions = SigningKey & {
  /** Where the objects lie; what is there already is served. */
  readonly directory: string;
  /** Made when they are not there. */
  readonly buckets: readonly string[];
  /** 0: any that is free. */
  readonly port?: number;
  /** Its clock; milliseconds since 1970. */
  readonly nowMs: () => number;
  /** From 0 to below 1; decides which requests meet a fault. */
  readonly random: () => number;
};

export type ObjectStoreStandIn = Stand & {
  /** Every request that changes something is answered AccessDenied. */
  readonly setReadOnly: (readOnly: boolean) => void;
  readonly keys: (bucket: string) => Promise<string[]>;
};

/**
 * Speaks as much of the S3 protocol as a store of whole objects needs: PUT (also `If-None-Match: *`), GET with
 * a range, HEAD, DELETE, DeleteObjects, ListObjectsV2 and HEAD of a bucket, by path-style addresses, each with
 * a checked signature.
 */
export async function startObjectStore(options: ObjectStoreOptions): Promise<ObjectStoreStandIn> {
  const objects = await openObjects(options.directory, options.buckets);
  let readOnly = false;
  const answer = async (request: IncomingMessage): Promise<Answer> => {
    try {
      checkSignature(request, options, options.nowMs());
      const isChange =
        request.method === 'PUT' || request.method === 'DELETE' || request.method === 'POST';
      if (readOnly && isChange) throw new S3Error('AccessDenied', 'Access Denied');
      return await serve(objects, request);
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      return errorAnswer(error, request);
    }
  };
  const stand = await serveStand({
    port: options.port ?? 0,
    nowMs: options.nowMs,
    random: options.random,
    answer,
    refusal: (kind, request) =>
      errorAnswer(
        kind === 'slow_down'
          ? new S3Error('SlowDown', 'Please reduce your request rate.')
          : new S3Error('InternalError', 'We encountered an internal error. Please try again.'),
        request,
      ),
  });
  return {
    ...stand,
    setReadOnly: (value) => {
      readOnly = value;
    },
    keys: objects.keys,
  };
}

function errorAnswer(error: S3Error, request: IncomingMessage): Answer {
  // What is left of the body is not of interest, and must be taken off the connection.
  request.resume();
  return xmlAnswer(error.xml, error.status);
}

function xmlAnswer(xml: string, status = 200): Answer {
  return { status, headers: { 'content-type': XML_TYPE }, body: Buffer.from(xml) };
}

async function serve(objects: Objects, request: IncomingMessage): Promise<Answer> {
  const url = new URL(request.url ?? '/', 'http://stand-in');
  const [bucket = '', ...rest] = url.pathname.slice(1).split('/').map(decodeURIComponent);
  const key = rest.join('/');
  if (!(await objects.hasBucket(bucket))) {
    throw new S3Error('NoSuchBucket', 'The specified bucket does not exist');
  }
  if (key === '') return await serveBucket(objects, bucket, request, url.searchParams);
  switch (request.method) {
    case 'PUT':
      return await putObject(objects, bucket, key, request);
    case 'GET':
    case 'HEAD':
      return await getObject(objects, bucket, key, request);
    case 'DELETE':
      await objects.remove(bucket, key);
      return { status: 204 };
    default:
      throw new S3Error('MethodNotAllowed', 'The specified method is not allowed.');
  }
}

async function serveBucket(
  objects: Objects,
  bucket: string,
  request: IncomingMessage,
  query: URLSearchParams,
): Promise<Answer> {
  if (request.method === 'HEAD') return { status: 200 };
  if (request.method === 'POST' && query.has('delete')) {
    return await deleteObjects(objects, bucket, request);
  }
  if (request.method === 'GET' && query.get('list-type') === '2') {
    return await listObjects(objects, bucket, query);
  }
  if (request.method === 'GET' && query.has('versioning')) {
    return xmlAnswer('<VersioningConfiguration/>');
  }
  throw new S3Error('NotImplemented', 'A header or query you provided is not implemented');
}

async function putObject(
  objects: Objects,
  bucket: string,
  key: string,
  request: IncomingMessage,
): Promise<Answer> {
  const { headers } = request;
  const claimed = String(headers['x-amz-content-sha256'] ?? '');
  if (claimed.startsWith('STREAMING-')) {
    throw new S3Error('NotImplemented', 'Bodies in signed chunks are not implemented');
  }
  if (headers['if-none-match'] === '*' && (await objects.find(bucket, key))) {
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions did not hold');
  }
  const stored = await objects.put(bucket, key, request, ({ sha256, md5 }) => {
    if (claimed !== 'UNSIGNED-PAYLOAD' && claimed !== sha256) {
      throw new S3Error('XAmzContentSHA256Mismatch', 'The provided SHA256 does not match');
    }
    const claimedMd5 = headers['content-md5'];
    if (claimedMd5 !== undefined && claimedMd5 !== md5.toString('base64')) {
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match');
    }
  });
  return { status: 200, headers: { etag: `"${stored.etag}"` }, body: Buffer.alloc(0) };
}

async function getObject(
  objects: Objects,
  bucket: string,
  key: string,
  request: IncomingMessage,
): Promise<Answer> {
  const stored = await objects.find(bucket, key);
  if (!stored) throw new S3Error('NoSuchKey', 'The specified key does not exist.');
  const { bytes } = stored;
  const headers = {
    etag: `"${stored.etag}"`,
    'last-modified': new Date(stored.modifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
  };
  if (request.method === 'HEAD') return { status: 200, headers, bytes };
  const range = rangeOf(request.headers.range, bytes);
  const { from, until } = range ?? { from: 0, until: bytes - 1 };
  return {
    status: range ? 206 : 200,
    headers: { ...headers, ...(range && { 'content-range': `bytes ${from}-${until}/${bytes}` }) },
    body: objects.read(bucket, key, from, until),
    bytes: until - from + 1,
  };
}

/** RFC 9110, one range; undefined: the whole. */
function rangeOf(
  text: string | undefined,
  bytes: number,
): { readonly from: number; readonly until: number } | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(text ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const from = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const until = first === '' || last === '' ? bytes - 1 : Math.min(Number(last), bytes - 1);
  if (from > until) throw new S3Error('InvalidRange', 'The requested range is not satisfiable');
  return { from, until };
}

async function deleteObjects(
  objects: Objects,
  bucket: string,
  request: IncomingMessage,
): Promise<Answer> {
  const { headers } = request;
  const body = await readAll(request, MOST_XML_BYTES);
  const md5 = headers['content-md5'];
  if (
    md5 === undefined &&
    !Object.keys(headers).some((name) => name.startsWith('x-amz-checksum-'))
  ) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5');
  }
  if (md5 !== undefined && md5 !== createHash('md5').update(body).digest('base64')) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match');
  }
  const keys = [...body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key = '']) =>
    textOfXml(key),
  );
  if (keys.length > MOST_KEYS) throw new S3Error('InvalidRequest', 'More than 1000 keys');
  for (const key of keys) await objects.remove(bucket, key);
  const isQuiet = body.includes('<Quiet>true</Quiet>');
  const deleted = isQuiet ? [] : keys.map((key) => `<Deleted><Key>${xmlText(key)}</Key></Deleted>`);
  return xmlAnswer(`<DeleteResult>${deleted.join('')}</DeleteResult>`);
}

async function listObjects(
  objects: Objects,
  bucket: string,
  query: URLSearchParams,
): Promise<Answer> {
  if (query.has('delimiter')) throw new S3Error('NotImplemented', 'delimiter is not implemented');
  const prefix = query.get('prefix') ?? '';
  const token = query.get('continuation-token');
  const after =
    token === null ? query.get('start-after') : Buffer.from(token, 'base64url').toString();
  const most = Math.min(Number(query.get('max-keys') ?? MOST_KEYS), MOST_KEYS);
  const keys = (await objects.keys(bucket)).filter(
    (key) =>
      key.startsWith(prefix) &&
      (after === null || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0),
  );
  const page = keys.slice(0, most);
  const found = await Promise.all(page.map((key) => objects.find(bucket, key)));
  const isTruncated = keys.length > page.length;
  const next = isTruncated ? Buffer.from(page.at(-1) ?? '').toString('base64url') : '';
  return xmlAnswer(
    [
      `<ListBucketResult><Name>${bucket}</Name><Prefix>${xmlText(prefix)}</Prefix>`,
      `<KeyCount>${page.length}</KeyCount><MaxKeys>${most}</MaxKeys><IsTruncated>${isTruncated}</IsTruncated>`,
      isTruncated ? `<NextContinuationToken>${next}</NextContinuationToken>` : '',
      // One that is deleted meanwhile is left out.
      ...found.filter((object) => object !== undefined).map(listed),
      '</ListBucketResult>',
    ].join(''),
  );
}

function listed({ key, bytes, etag, modifiedMs }: StoredObject): string {
  return `<Contents><Key>${xmlText(key)}</Key><LastModified>${new Date(modifiedMs).toISOString()}</LastModified><ETag>&quot;${etag}&quot;</ETag><Size>${bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
}
