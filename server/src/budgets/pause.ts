/**
 * How long a refusal is kept back. A client that comes again at once, whatever it was told, then costs a
 * few requests a second for each connection and not thousands; README.md has the figures.
 */
const PAUSE_MS = 200;
const MAX_PAUSED = 2_000;

/** Resolves after the pause, or at once when too many are in it already. */
export type Pause = () => Promise<void>;

export function createPause(): Pause {
  let paused = 0;
  return async () => {
    if (paused >= MAX_PAUSED) return;
    paused += 1;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    paused -= 1;
  };
}
