import type { Clock } from '../../src/lib/clock.ts';

/** A clock that stands still until it is moved. */
export type MovableClock = Clock & { moveTo: (ms: number) => void; move: (byMs: number) => void };

export function movableClock(startMs: number = Date.now()): MovableClock {
  let ms = startMs;
  return {
    now: () => ms,
    moveTo: (to) => {
      ms = to;
    },
    move: (by) => {
      ms += by;
    },
  };
}
