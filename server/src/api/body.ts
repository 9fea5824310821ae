import { isUtf8 } from 'node:buffer';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { unstorable } from '../lib/text.ts';

/** `data` may have 10 MB; the rest is the envelope around it. */
export const BODY_LIMIT_BYTES = 10 * 1024 * 1024 + 64 * 1024;

/** Objects and arrays inside each other, at the most. */
const BODY_DEPTH_LIMIT = 64;

// What makes a closer look necessary: a NUL or a half of a surrogate pair, which PostgreSQL cannot
// store, and a key that would set a prototype. Escapes count, other text cannot hide them.
const SUSPECT = /__proto__|\\u(?:0000|00[5-7][0-9a-f]|d[89a-f])/i;

// Up to here the rest of a refused body is read and dropped, so that the client, which is still
// sending, gets the answer instead of a broken connection.
const DRAINED_BYTES = 64 * 1024 * 1024;

/**
 * The 413 for a body that is announced to be too large. One larger still, or of unknown length,
 * ends with its connection.
 */
export function bodyTooLarge(contentLength: string | undefined): BelfryError | undefined {
  if (contentLength === undefined) return undefined;
  const bytes = Number(contentLength);
  if (bytes <= BODY_LIMIT_BYTES || bytes > DRAINED_BYTES) return undefined;
  return new BelfryError('request_too_large', 'The body is larger than 10 MB');
}

/** The text of a body. Throws the 415 of a compressed one and the 400 of one that is not UTF-8. */
export function bodyText(bytes: Buffer, contentEncoding: string | undefined): string {
  if (contentEncoding !== undefined && contentEncoding.toLowerCase() !== 'identity') {
    throw new BelfryError(
      'unsupported_media_type',
      `The body has the Content-Encoding "${contentEncoding}"; send it without one`,
    );
  }
  // Decoding would put U+FFFD for what is broken, and a name or an id would be another one.
  if (!isUtf8(bytes)) throw new BelfryError('malformed_json', 'The body is not valid UTF-8');
  return bytes.toString('utf8');
}

/** The value of a JSON body; undefined for an empty one. Throws 400 and 422 errors. */
export function parseBody(text: string): unknown {
  if (text.trim() === '') return undefined;
  const depthError = tooDeepAt(text);
  if (depthError !== undefined) {
    throw invalidField(
      'body',
      `is nested deeper than ${BODY_DEPTH_LIMIT} levels (at character ${depthError})`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'not JSON';
    throw new BelfryError('malformed_json', `The body is not valid JSON: ${reason}`);
  }
  if (SUSPECT.test(text)) refuseUnstorable(value, '');
  return value;
}

/** Where the text first goes beyond the depth limit. A loop, because a parser could run out of stack. */
function tooDeepAt(text: string): number | undefined {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) {
      i = endOfString(text, i);
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > BODY_DEPTH_LIMIT) return i;
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
    }
  }
  return undefined;
}

/** Index of the quote that ends the string that begins at `start`, or the text's length. */
function endOfString(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
}

/** Throws for the first string or key that must not get further. Recursion: the depth is bounded. */
function refuseUnstorable(value: unknown, path: string): void {
  if (typeof value === 'string') {
    const problem = unstorable(value);
    if (problem) throw invalidField(path || 'body', problem);
  } else if (Array.isArray(value)) {
    value.forEach((item, index) => {
      refuseUnstorable(item, `${path}[${index}]`);
    });
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (key === '__proto__') {
        throw invalidField(join(path, '__proto__'), 'is not allowed as a key');
      }
      const problem = unstorable(key);
      if (problem) throw invalidField(path || 'body', `has a key that ${problem}`);
      refuseUnstorable(item, join(path, key));
    }
  }
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
