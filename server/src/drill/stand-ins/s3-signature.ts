import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { S3Error } from './s3-error.ts';

const MOST_SKEW_MS = 15 * 60_000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

export type SigningKey = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
};

/**
 * Checks the AWS Signature Version 4 of a request (docs.aws.amazon.com/AmazonS3, "Authenticating Requests:
 * Using the Authorization Header"). Throws the error that S3 answers with. The body is not read: its hash is
 * what the header says, for whoever reads it to compare.
 */
export function checkSignature(request: IncomingMessage, key: SigningKey, nowMs: number): void {
  const { authorization } = request.headers;
  if (authorization === undefined) throw new S3Error('AccessDenied', 'Access Denied');
  const [, keyId, day = '', region = '', names = '', signature = ''] =
    AUTHORIZATION.exec(authorization) ?? [];
  if (keyId === undefined) {
    throw new S3Error('AuthorizationHeaderMalformed', 'The authorization header is malformed.');
  }
  if (keyId !== key.accessKeyId) {
    throw new S3Error(
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
    );
  }
  if (region !== key.region) {
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${region}' is wrong; expecting '${key.region}'`,
    );
  }
  const sentAt = headerOf(request, 'x-amz-date');
  if (!(Math.abs(timeOf(sentAt) - nowMs) <= MOST_SKEW_MS)) {
    throw new S3Error(
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
    );
  }
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', sentAt, scope, sha256(canonicalRequest(request, names))].join(
    '\n',
  );
  const signingKey = [day, region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${key.secretAccessKey}`,
  );
  const expected = createHmac('sha256', signingKey).update(text).digest();
  if (!timingSafeEqual(expected, Buffer.from(signature, 'hex'))) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    );
  }
}

function canonicalRequest(request: IncomingMessage, signedNames: string): string {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  const headers = signedNames
    .split(';')
    .map((name) => `${name}:${headerOf(request, name).trim().replaceAll(/ +/g, ' ')}\n`);
  return [
    request.method,
    path.split('/').map(reencoded).join('/'),
    query
      .split('&')
      .filter((pair) => pair !== '')
      .map((pair) => {
        const [name = '', value = ''] = pair.split('=', 2);
        return `${reencoded(name)}=${reencoded(value)}`;
      })
      .sort()
      .join('&'),
    headers.join(''),
    signedNames,
    headerOf(request, 'x-amz-content-sha256'),
  ].join('\n');
}

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : (value ?? '');
}

/** RFC 3986, also for `!'()*`, which `encodeURIComponent` leaves alone. */
function reencoded(text: string): string {
  return encodeURIComponent(decodeURIComponent(text)).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Of `20261121T212307Z`; not a number for anything else. */
function timeOf(text: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
