/** When an account changes its level. */
export type Limits = {
  /** Arrivals are loud above this many times the normal, and above the floor. */
  readonly surgeFactor: number;
  readonly floorPerS: number;
  /** Loud arrivals are remembered for so long while their work grows old. */
  readonly loudMemoryMs: number;
  /** A surge: loud, and its oldest queued work is older than this. */
  readonly surgeAgeMs: number;
  /** Its work is done promptly when the oldest is younger than this. */
  readonly promptAgeMs: number;
  /** A surge ends below this share of what was loud ... */
  readonly exitShare: number;
  /** ... and with prompt work, for so long without a break. */
  readonly exitAfterMs: number;
  /** It also ends when its work was prompt for so long, however much arrives, or nothing was asked for so long. */
  readonly quietMs: number;
  /** Queued runs of an account that are too many. */
  readonly backlogRuns: number;
  /** Shares of those: a surge from and below, a reject below. */
  readonly surgeBacklog: number;
  readonly surgeBacklogExit: number;
  readonly rejectExit: number;
  /** Paused when the backlog is so much of the account's rate in quarantine, and as a proposal no longer below. */
  readonly pauseBacklogMs: number;
  readonly pauseBacklogExitMs: number;
  /** How long its rate in quarantine is measured first. */
  readonly measureMs: number;
  /** A pause ends by itself after this, and does not come again for as long. */
  readonly pauseMs: number;
};

/** A hundredth of what one executor does in a second (docs/benchmarks.md). */
const FLOOR_PER_EXECUTOR = 250;

/** The limits for a server with so many executors; `backlogRuns` is the quota of queued runs. */
export function limitsFor(box: {
  readonly executors: number;
  readonly backlogRuns: number;
}): Limits {
  return {
    surgeFactor: 10,
    floorPerS: FLOOR_PER_EXECUTOR * box.executors,
    loudMemoryMs: 10_000,
    surgeAgeMs: 2_000,
    promptAgeMs: 1_000,
    exitShare: 0.5,
    exitAfterMs: 10_000,
    quietMs: 300_000,
    backlogRuns: box.backlogRuns,
    surgeBacklog: 0.5,
    surgeBacklogExit: 0.4,
    rejectExit: 0.8,
    pauseBacklogMs: 600_000,
    pauseBacklogExitMs: 300_000,
    measureMs: 30_000,
    pauseMs: 3_600_000,
  };
}
