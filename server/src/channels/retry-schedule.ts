/** Attempts in all, the first one included. */
export const MAX_ATTEMPTS = 8;

const FIRST_DELAY_MS = 9_000;
const JITTER = 0.2;

/**
 * Milliseconds to wait after attempt number `attempt` (from 1) did not succeed; undefined when it
 * was the last. Doubling from 9 s with 20 % jitter either way: the seven delays sum to 15 to 23
 * minutes, so that eight attempts fit into 30 minutes even when each takes its full 50 s.
 *
 * @param random a number from 0 (inclusive) to 1 (exclusive)
 */
export function nextAttemptDelayMs(attempt: number, random: number): number | undefined {
  if (attempt >= MAX_ATTEMPTS) return undefined;
  const middle = FIRST_DELAY_MS * 2 ** (Math.max(1, attempt) - 1);
  return Math.round(middle * (1 - JITTER + 2 * JITTER * random));
}
