/** Where a part gets the time from, so that a test can move it. */
export type Clock = {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly now: () => number;
};

export const systemClock: Clock = { now: () => Date.now() };
