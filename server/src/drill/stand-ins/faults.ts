/**
 * What a stand-in does to a request: an answer that says no (`slow_down`, `internal_error`), a connection that
 * breaks before anything was done (`reset`) or after it was done (`reset_answer`), an answer that never comes
 * (`hang`), one that stops halfway (`truncate`), one with a wrong byte (`flip`).
 */
export type FaultKind =
  | 'slow_down'
  | 'internal_error'
  | 'reset'
  | 'reset_answer'
  | 'hang'
  | 'truncate'
  | 'flip';

/** What goes wrong, from the next request on. */
export type Faults = {
  readonly kind: FaultKind;
  /** Of all requests, from 0 to 1. */
  readonly share: number;
  /** Before each answer. */
  readonly latencyMs: number;
  /** What comes above it is told to slow down; fractions are allowed. Null: no limit. */
  readonly requestsPerSecond: number | null;
};

export const NO_FAULTS: Faults = {
  kind: 'slow_down',
  share: 0,
  latencyMs: 0,
  requestsPerSecond: null,
};

export type FaultSource = {
  /** Of one request; undefined: it is served. */
  readonly next: () => FaultKind | undefined;
  readonly latencyMs: () => number;
  readonly set: (faults: Partial<Faults>) => void;
};

/** `random`: from 0 to below 1. */
export function createFaults(nowMs: () => number, random: () => number): FaultSource {
  let faults = NO_FAULTS;
  let tokens = 1;
  let filledMs = nowMs();

  const isOverLimit = (perSecond: number): boolean => {
    const now = nowMs();
    tokens = Math.min(
      Math.max(1, perSecond),
      tokens + (Math.max(0, now - filledMs) * perSecond) / 1_000,
    );
    filledMs = now;
    if (tokens < 1) return true;
    tokens -= 1;
    return false;
  };

  return {
    next: () => {
      if (faults.share > 0 && random() < faults.share) return faults.kind;
      const { requestsPerSecond } = faults;
      return requestsPerSecond !== null && isOverLimit(requestsPerSecond) ? 'slow_down' : undefined;
    },
    latencyMs: () => faults.latencyMs,
    set: (changes) => {
      faults = { ...faults, ...changes };
      tokens = Math.min(tokens, Math.max(1, faults.requestsPerSecond ?? 1));
      filledMs = nowMs();
    },
  };
}
