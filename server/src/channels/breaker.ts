/**
 * A circuit breaker as a pure state machine; time comes in.
 *
 *   closed --5 failures in a row--> open --time is up, one probe let through--> probing
 *     ^                              ^                                           |  |
 *     |                              +---------- probe failed (twice as long) ---+  |
 *     +------------------------------ any success -----------------------------------+
 */
export type Breaker =
  | { readonly kind: 'closed'; readonly failures: number }
  | { readonly kind: 'open'; readonly openings: number; readonly untilMs: number }
  | { readonly kind: 'probing'; readonly openings: number };

export type Admission = {
  readonly breaker: Breaker;
  /** Present when the call must not be made: come back after so many milliseconds. */
  readonly refusedForMs?: number;
};

const FAILURES_TO_OPEN = 5;
const FIRST_OPEN_MS = 2_000;
const LONGEST_OPEN_MS = 30_000;
/** While a probe is under way nobody knows how long it takes; look again soon. */
const PROBING_REFUSAL_MS = 2_000;

export const closedBreaker: Breaker = { kind: 'closed', failures: 0 };

/** Whether a call may be made now. Every admitted call must be followed by one of the others. */
export function admit(breaker: Breaker, nowMs: number): Admission {
  switch (breaker.kind) {
    case 'closed':
      return { breaker };
    case 'probing':
      return { breaker, refusedForMs: PROBING_REFUSAL_MS };
    case 'open':
      return nowMs < breaker.untilMs
        ? { breaker, refusedForMs: breaker.untilMs - nowMs }
        : { breaker: { kind: 'probing', openings: breaker.openings } };
  }
}

/** The other side answered, whatever it said. */
export function succeeded(): Breaker {
  return closedBreaker;
}

/** The other side could not be used. */
export function failed(breaker: Breaker, nowMs: number): Breaker {
  switch (breaker.kind) {
    case 'closed':
      return breaker.failures + 1 < FAILURES_TO_OPEN
        ? { kind: 'closed', failures: breaker.failures + 1 }
        : opened(1, nowMs);
    case 'probing':
      return opened(breaker.openings + 1, nowMs);
    case 'open':
      // A call from before the opening: nothing new.
      return breaker;
  }
}

/** The call ended without telling anything about the other side. */
export function abandoned(breaker: Breaker, nowMs: number): Breaker {
  return breaker.kind === 'probing'
    ? { kind: 'open', openings: breaker.openings, untilMs: nowMs }
    : breaker;
}

function opened(openings: number, nowMs: number): Breaker {
  const openMs = Math.min(FIRST_OPEN_MS * 2 ** Math.min(openings - 1, 10), LONGEST_OPEN_MS);
  return { kind: 'open', openings, untilMs: nowMs + openMs };
}
