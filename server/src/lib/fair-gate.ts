import { createDynamicThreshold } from './dynamic-threshold.ts';

/**
 * A few places for many: who finds none waits for a turn, which goes round the holders, so that one with
 * many waiting does not delay the others.
 */
export type FairGate = {
  /** Goes in now. False: wait for a turn. Whoever is in leaves. */
  readonly enter: (holder: number) => boolean;
  /** Waits for a turn; undefined: too many of this holder do. `start` is called when it is in. */
  readonly wait: (holder: number, start: () => void) => Waiter | undefined;
  readonly leave: (holder: number) => void;
  readonly waiting: () => number;
};

/** A wait that can be given up; after `start` was called that does nothing. */
export type Waiter = { readonly giveUp: () => void };

type Waiting = { readonly start: () => void };

/**
 * `keepsHalfFree`: one holder has at most half of the places. For places that may be held for long; it
 * costs whoever is alone the other half.
 */
export function createFairGate(options: {
  readonly places: number;
  readonly maxWaiting: number;
  readonly keepsHalfFree: boolean;
}): FairGate {
  const { maxWaiting, keepsHalfFree } = options;
  const shares = createDynamicThreshold(options.places);
  let free = options.places;
  const chairs = createDynamicThreshold(maxWaiting);
  // A Map keeps insertion order: its first holder is the one whose turn it is.
  const waiting = new Map<number, Set<Waiting>>();

  const take = (holder: number): boolean => {
    if (keepsHalfFree) return shares.take(holder, 1);
    if (free === 0) return false;
    free -= 1;
    return true;
  };

  const remove = (holder: number, waiter: Waiting): boolean => {
    const waiters = waiting.get(holder);
    if (!waiters?.delete(waiter)) return false;
    if (waiters.size === 0) waiting.delete(holder);
    chairs.giveBack(holder, 1);
    return true;
  };

  const serveNext = (): void => {
    for (const [holder, waiters] of waiting) {
      const [waiter] = waiters;
      if (!waiter || !take(holder)) continue;
      remove(holder, waiter);
      // Its turn is over.
      if (waiters.size > 0) {
        waiting.delete(holder);
        waiting.set(holder, waiters);
      }
      waiter.start();
      return;
    }
  };

  return {
    enter: (holder) => !waiting.has(holder) && take(holder),
    wait: (holder, start) => {
      if (!chairs.take(holder, 1)) return undefined;
      const waiter = { start };
      const waiters = waiting.get(holder);
      if (waiters) waiters.add(waiter);
      else waiting.set(holder, new Set([waiter]));
      return { giveUp: () => void remove(holder, waiter) };
    },
    leave: (holder) => {
      if (keepsHalfFree) shares.giveBack(holder, 1);
      else free += 1;
      serveNext();
    },
    waiting: () => maxWaiting - chairs.free(),
  };
}

/** Waits until the holder is in; `full`: too many of it wait; `aborted`: the signal came first. */
export function enterGate(
  gate: FairGate,
  holder: number,
  signal: AbortSignal,
): 'in' | 'full' | 'aborted' | Promise<'in' | 'aborted'> {
  if (signal.aborted) return 'aborted';
  if (gate.enter(holder)) return 'in';
  let start: (() => void) | undefined;
  const waiter = gate.wait(holder, () => start?.());
  if (!waiter) return 'full';
  return new Promise((resolve) => {
    const onAbort = (): void => {
      waiter.giveUp();
      resolve('aborted');
    };
    start = () => {
      signal.removeEventListener('abort', onAbort);
      resolve('in');
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
