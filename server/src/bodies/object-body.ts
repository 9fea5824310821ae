import { createHash } from 'node:crypto';
import { StoreError } from './object-store.ts';

const SEAL_BYTES = 32;

/** An object's bytes: packs one after the other, then the SHA-256 of all of them, so that it can be written again without a doubt. */
export function sealObject(parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return Buffer.concat([...parts, hash.digest()]);
}

/** The packs of an object. Throws `StoreError('damaged')` when they are not what was sealed. */
export function openObject(bytes: Buffer): Buffer {
  const packs = bytes.subarray(0, Math.max(0, bytes.length - SEAL_BYTES));
  const seal = bytes.subarray(packs.length);
  if (seal.equals(createHash('sha256').update(packs).digest())) return packs;
  throw new StoreError('damaged', 'wrong_checksum', 'the object is not what was stored');
}
