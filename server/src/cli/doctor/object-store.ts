import type { BodiesConfig } from '../../bodies/config.ts';
import { StoreError } from '../../bodies/object-store.ts';
import { openS3Store } from '../../bodies/s3-store.ts';
import { type Check, fail, ok, reasonOf, warn } from './check.ts';

const NAME = 'object store';
const ASK_MS = 10_000;

/** Writes, reads and deletes a small object, and says in one sentence what keeps it from that. */
export async function checkObjectStore(config: BodiesConfig): Promise<Check> {
  const place = placeOf(config);
  const store = await openS3Store(config, { requestMs: ASK_MS });
  try {
    await store.check();
    return ok(NAME, `${place} can be written, read and deleted from.`);
  } catch (error) {
    if (error instanceof StoreError) return explain(error, config, place);
    return fail(NAME, `${place} cannot be used (${reasonOf(error)}).`, 'Look at the settings.');
  } finally {
    store.close();
  }
}

function placeOf({ bucket, prefix, endpoint, region }: BodiesConfig): string {
  return `s3://${bucket}/${prefix} at ${endpoint ?? `AWS, ${region}`}`;
}

/** By S3's own codes ("Error responses" in its API reference), or those of the system where nobody answered. */
function explain({ kind, code, message }: StoreError, config: BodiesConfig, place: string): Check {
  const { bucket, endpoint = 'AWS', region } = config;
  switch (code) {
    case 'NoSuchBucket':
      return fail(
        NAME,
        `There is no bucket ${bucket} at ${endpoint}.`,
        'Make it, or correct BELFRY_OBJECT_STORE.',
      );
    case 'InvalidAccessKeyId':
      return fail(NAME, `${endpoint} does not know this access key.`, 'Correct AWS_ACCESS_KEY_ID.');
    case 'SignatureDoesNotMatch':
      return fail(
        NAME,
        `The secret is not that of this access key, says ${endpoint}.`,
        'Correct AWS_SECRET_ACCESS_KEY.',
      );
    case 'CredentialsProviderError':
      return fail(
        NAME,
        'There are no credentials for the object store.',
        'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role that may use the bucket.',
      );
    case 'AccessDenied':
      return fail(
        NAME,
        `These credentials may not write, read, delete and ask for what does not exist in s3://${bucket}/${config.prefix}.`,
        `Allow s3:PutObject, s3:GetObject and s3:DeleteObject on arn:aws:s3:::${bucket}/${config.prefix}*, and s3:ListBucket on arn:aws:s3:::${bucket}.`,
      );
    case 'RequestTimeTooSkewed':
      return fail(
        NAME,
        `The clocks of this machine and of ${endpoint} are more than 15 minutes apart.`,
        'Set the clock, best with a time service such as systemd-timesyncd or chrony.',
      );
    case 'AuthorizationHeaderMalformed':
    case 'PermanentRedirect':
      return fail(
        NAME,
        `The bucket ${bucket} is not in the region ${region}.`,
        'Set BELFRY_OBJECT_STORE_REGION to the region of the bucket.',
      );
    default:
      if (kind === 'throttled') {
        return warn(NAME, `${place} limits requests now (${code}).`, 'Wait; contents wait too.');
      }
      return kind === 'unavailable'
        ? fail(
            NAME,
            `${place} cannot be reached (${code}).`,
            'Start it or look at the network, or correct BELFRY_OBJECT_STORE_ENDPOINT.',
          )
        : fail(NAME, `${place} cannot be used (${code}: ${message}).`, 'Look at the settings.');
  }
}
