import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { ObjectStore } from '../../src/bodies/object-store.ts';

/** Of the objects of the suite: S3 has no limit that matters at this size. */
const LARGE_BYTES = 8 * 1024 * 1024;

/**
 * What every object store must do, whoever makes it. `open` is called once the suite runs; the store may hold other
 * objects.
 */
export function describeObjectStore(name: string, open: () => ObjectStore): void {
  const keyOf = (text: string): string => `conformance/${randomBytes(8).toString('hex')}/${text}`;

  test(`${name}: an object is read as it was written, also an empty and a large one`, async () => {
    const store = open();
    for (const bytes of [0, 1, 4_096, LARGE_BYTES]) {
      const key = keyOf(String(bytes));
      const body = randomBytes(bytes);
      await store.put(key, body);
      expect((await store.get(key)).equals(body)).toBe(true);
    }
  });

  test(`${name}: any range of an object is read, to the byte`, async () => {
    const store = open();
    const key = keyOf('ranges');
    const body = randomBytes(100_000);
    await store.put(key, body);
    for (const [at, bytes] of [
      [0, 1],
      [0, 100_000],
      [99_999, 1],
      [12_345, 4_096],
    ] as const) {
      const range = await store.get(key, { at, bytes });
      expect(range.equals(body.subarray(at, at + bytes))).toBe(true);
    }
  });

  test(`${name}: an object that ends before a range is damaged, not away`, async () => {
    const store = open();
    const key = keyOf('short');
    await store.put(key, Buffer.from('short'));
    for (const range of [
      { at: 3, bytes: 4 },
      { at: 5, bytes: 1 },
      { at: 100, bytes: 10 },
    ]) {
      await expect(store.get(key, range)).rejects.toMatchObject({ kind: 'damaged' });
    }
  });

  test(`${name}: an object that is written again is the new one`, async () => {
    const store = open();
    const key = keyOf('again');
    await store.put(key, Buffer.from('the first, which is longer'));
    await store.put(key, Buffer.from('the second'));
    expect((await store.get(key)).toString()).toBe('the second');
  });

  test(`${name}: what does not exist is missing, and that is told from any other trouble`, async () => {
    const store = open();
    const missing = { kind: 'missing', code: 'NoSuchKey' };
    await expect(store.get(keyOf('nothing'))).rejects.toMatchObject(missing);
    await expect(store.get(keyOf('nothing'), { at: 0, bytes: 1 })).rejects.toMatchObject(missing);
  });

  test(`${name}: a thousand objects are deleted at once, and again without an error`, async () => {
    const store = open();
    const folder = keyOf('many');
    const keys = Array.from({ length: 1_000 }, (_, n) => `${folder}/${n}`);
    const some = keys.filter((_, n) => n % 100 === 0);
    for (const key of some) await store.put(key, Buffer.from(key));
    await store.delete(keys);
    await store.delete(keys);
    for (const key of some) {
      await expect(store.get(key)).rejects.toMatchObject({ kind: 'missing' });
    }
  });

  test(`${name}: keys with any characters are kept apart`, async () => {
    const store = open();
    const folder = keyOf('characters');
    const keys = ['a b', 'a+b', 'a%20b', 'ä', "!'()*", 'x/y', 'x&y'].map(
      (end) => `${folder}/${end}`,
    );
    for (const key of keys) await store.put(key, Buffer.from(key));
    for (const key of keys) expect((await store.get(key)).toString()).toBe(key);
    await store.delete(keys);
    for (const key of keys) {
      await expect(store.get(key)).rejects.toMatchObject({ kind: 'missing' });
    }
  });

  test(`${name}: many objects are written and read at the same time`, async () => {
    const store = open();
    const folder = keyOf('together');
    const bodies = Array.from({ length: 40 }, () => randomBytes(20_000));
    await Promise.all(bodies.map((body, n) => store.put(`${folder}/${n}`, body)));
    const read = await Promise.all(bodies.map((_, n) => store.get(`${folder}/${n}`)));
    expect(read.every((body, n) => bodies[n]?.equals(body))).toBe(true);
  });

  test(`${name}: a check finds nothing wrong, and leaves nothing behind that is in the way`, async () => {
    const store = open();
    await store.check();
    await store.check();
  });
}
