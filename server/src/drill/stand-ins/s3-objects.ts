import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { S3Error } from './s3-error.ts';

/** Names of files may be no longer. */
const MOST_NAME_BYTES = 250;
const PREFIX = 'o-';

export type StoredObject = {
  readonly key: string;
  readonly bytes: number;
  /** MD5, hexadecimal. */
  readonly etag: string;
  readonly modifiedMs: number;
};

/** Objects in files, one folder a bucket; in memory is nothing that grows with their size. */
export type Objects = {
  readonly hasBucket: (bucket: string) => Promise<boolean>;
  /** Whole or not at all. `check` sees the hashes before the object is visible, and throws to refuse it. */
  readonly put: (
    bucket: string,
    key: string,
    body: Readable,
    check: (hashes: { readonly sha256: string; readonly md5: Buffer }) => void,
  ) => Promise<StoredObject>;
  readonly find: (bucket: string, key: string) => Promise<StoredObject | undefined>;
  /** Bytes `from` to `until`, both inclusive. */
  readonly read: (bucket: string, key: string, from: number, until: number) => Readable;
  readonly remove: (bucket: string, key: string) => Promise<void>;
  /** In the order of their bytes. */
  readonly keys: (bucket: string) => Promise<string[]>;
};

export async function openObjects(root: string, buckets: readonly string[]): Promise<Objects> {
  for (const bucket of buckets) await mkdir(join(root, bucket), { recursive: true });
  await mkdir(join(root, '.new'), { recursive: true });
  const etags = new Map<string, string>();
  let uploads = 0;

  const pathOf = (bucket: string, key: string): string => {
    const name = `${PREFIX}${encodeURIComponent(key)}`;
    if (Buffer.byteLength(name) > MOST_NAME_BYTES) {
      throw new S3Error('KeyTooLongError', 'Your key is too long');
    }
    return join(root, bucket, name);
  };

  const objects: Objects = {
    hasBucket: async (bucket) =>
      /^[a-z0-9][a-z0-9.-]+$/.test(bucket) &&
      (await stat(join(root, bucket)).then(
        (entry) => entry.isDirectory(),
        () => false,
      )),
    put: async (bucket, key, body, check) => {
      const path = pathOf(bucket, key);
      const temporary = join(root, '.new', String(++uploads));
      const sha256 = createHash('sha256');
      const md5 = createHash('md5');
      try {
        await write(temporary, body, [sha256, md5]);
        const digest = md5.digest();
        check({ sha256: sha256.digest('hex'), md5: digest });
        await rename(temporary, path);
        etags.set(path, digest.toString('hex'));
      } finally {
        await rm(temporary, { force: true });
      }
      const stored = await objects.find(bucket, key);
      if (!stored) throw new S3Error('InternalError', 'the object vanished');
      return stored;
    },
    find: async (bucket, key) => {
      const path = pathOf(bucket, key);
      const entry = await stat(path).catch(() => undefined);
      if (!entry) return undefined;
      const etag = etags.get(path) ?? (await md5Of(path));
      etags.set(path, etag);
      return { key, etag, bytes: entry.size, modifiedMs: entry.mtimeMs };
    },
    read: (bucket, key, from, until) =>
      until < from
        ? Readable.from([])
        : createReadStream(pathOf(bucket, key), { start: from, end: until }),
    remove: async (bucket, key) => {
      const path = pathOf(bucket, key);
      etags.delete(path);
      await rm(path, { force: true });
    },
    keys: async (bucket) => {
      const names = await readdir(join(root, bucket));
      return names
        .map((name) => decodeURIComponent(name.slice(PREFIX.length)))
        .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    },
  };
  return objects;
}

async function write(path: string, body: Readable, hashes: readonly Hash[]): Promise<void> {
  const file = await open(path, 'w');
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      for (const hash of hashes) hash.update(part);
      await file.write(part);
    }
  } finally {
    await file.close();
  }
}

async function md5Of(path: string): Promise<string> {
  const md5 = createHash('md5');
  for await (const part of createReadStream(path) as AsyncIterable<Buffer>) md5.update(part);
  return md5.digest('hex');
}
