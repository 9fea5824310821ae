const LONGEST_MS = 3_600_000;

/**
 * Milliseconds that a `Retry-After` header asks to wait (seconds or an HTTP date, RFC 9110
 * section 10.2.3), at most an hour; undefined when there is none that can be understood.
 */
export function retryAfterMs(
  header: string | readonly string[] | undefined,
  nowMs: number,
): number | undefined {
  const text = (typeof header === 'string' ? header : header?.[0])?.trim();
  if (text === undefined || text === '') return undefined;
  const waitMs = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  if (Number.isNaN(waitMs)) return undefined;
  return Math.min(Math.max(0, waitMs), LONGEST_MS);
}
