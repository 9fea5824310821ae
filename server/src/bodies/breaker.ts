const FAILURES_IN_A_ROW = 5;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;

export type BreakerState = 'closed' | 'open' | 'half_open';

export type Breaker = {
  /** Whether a request may be sent; half open, one at a time may. */
  readonly allows: () => boolean;
  readonly succeeded: () => void;
  readonly failed: () => void;
  readonly state: () => BreakerState;
  /** Until when nothing is sent, in ms of the clock; 0 while it is closed. */
  readonly openUntilMs: () => number;
};

/**
 * Sends nothing after five failures in a row: for a second, then twice as long up to 30 s for each trial that fails.
 *
 * ```
 * closed ──5 failures──► open ──pause over──► half open ──success──► closed
 *                          ▲                     │ failure
 *                          └─────────────────────┘ twice the pause
 * ```
 */
export function createBreaker(nowMs: () => number): Breaker {
  let failures = 0;
  let pauseMs = 0;
  let openUntilMs = 0;
  let trialUntilMs = 0;

  const state = (): BreakerState => {
    if (openUntilMs === 0) return 'closed';
    return nowMs() < openUntilMs ? 'open' : 'half_open';
  };

  return {
    state,
    openUntilMs: () => openUntilMs,
    allows: () => {
      const now = nowMs();
      if (openUntilMs === 0) return true;
      if (now < openUntilMs || now < trialUntilMs) return false;
      // Whoever tries and never says what came of it does not keep others from trying.
      trialUntilMs = now + MAX_PAUSE_MS;
      return true;
    },
    succeeded: () => {
      failures = 0;
      pauseMs = 0;
      openUntilMs = 0;
      trialUntilMs = 0;
    },
    failed: () => {
      const now = nowMs();
      failures += 1;
      if (openUntilMs === 0 && failures < FAILURES_IN_A_ROW) return;
      // Requests that were under way when it opened say nothing new.
      if (openUntilMs > now) return;
      pauseMs = pauseMs === 0 ? FIRST_PAUSE_MS : Math.min(MAX_PAUSE_MS, pauseMs * 2);
      openUntilMs = now + pauseMs;
      trialUntilMs = 0;
    },
  };
}
