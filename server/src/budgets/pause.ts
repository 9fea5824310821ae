/**
 * How long a refusal is kept back. A client that comes again at once, whatever it was told, then costs a
 * few requests a second for each connection and not thousands; README.md has the figures.
 */
const PAUSE_MS = 500;
/** By so much more or less, so that many who were refused together do not come back together. */
const JITTER = 0.5;
const MAX_PAUSED = 2_000;

/** Resolves after the pause, or at once when too many are in it already. */
export type Pause = () => Promise<void>;

/** `random` is from 0 to 1. */
export function createPause(random: () => number): Pause {
  let paused = 0;
  return async () => {
    if (paused >= MAX_PAUSED) return;
    paused += 1;
    const pauseMs = PAUSE_MS * (1 - JITTER + 2 * JITTER * random());
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    paused -= 1;
  };
}
