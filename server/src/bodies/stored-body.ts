import { createHash } from 'node:crypto';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';

/** Where a content is: bytes of a pack, and what they must hash to. */
export type StoredBody = {
  readonly pack: string;
  readonly at: number;
  readonly bytes: number;
  readonly sha: string;
};

const SHA_DIGITS = 32;

/** The first 128 bits of the SHA-256 of these bytes, in hexadecimal. */
export function bodyHash(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, SHA_DIGITS);
}

/** What a message's `content` holds instead of its content. */
export function storedText({ pack, at, bytes, sha }: StoredBody): string {
  return `{"$stored":{"pack":"${pack}","at":${at},"bytes":${bytes},"sha":"${sha}"}}`;
}

/** The body that a message's `content` refers to; undefined when the content is there itself. */
export function storedBody(content: JsonObject): StoredBody | undefined {
  const { $stored: stored } = content;
  if (stored === undefined || !isJsonObject(stored)) return undefined;
  const { pack, at, bytes, sha } = stored;
  const isWhole =
    typeof pack === 'string' &&
    typeof at === 'number' &&
    typeof bytes === 'number' &&
    typeof sha === 'string';
  return isWhole ? { pack, at, bytes, sha } : undefined;
}

/** The content that was put back beside the reference, for a delivery. */
export function keptContent(content: JsonObject): JsonObject | undefined {
  const kept: Json | undefined = content.$kept;
  return kept !== undefined && isJsonObject(kept) ? kept : undefined;
}
