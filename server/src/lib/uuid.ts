import { randomUUID } from 'node:crypto';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether the text is a UUID of any version, in its usual form. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/**
 * A random UUID whose first 48 bits are its time (version 7, RFC 9562 section 5.7), so that it
 * sorts by time and finds its range partition.
 */
export function timeOrderedUuid(nowMs: number): string {
  const time = nowMs.toString(16).padStart(12, '0');
  // Its last 74 random bits, with the variant between them; Node draws the randomness of many at once.
  const random = randomUUID().slice(15);
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random}`;
}
