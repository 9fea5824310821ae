import { setTimeout as wait } from 'node:timers/promises';

/** Pauses that end early when there is a reason to go on. */
export type Rests = {
  /** Resolves after about `ms`, spread by a quarter either way so that not all come back at once; or when it is woken. */
  readonly rest: (ms: number) => Promise<void>;
  readonly wakeAll: () => void;
};

export function createRests(options: {
  readonly random: () => number;
  readonly signal: AbortSignal;
}): Rests {
  let waking = new AbortController();
  return {
    rest: async (ms) => {
      const signal = AbortSignal.any([options.signal, waking.signal]);
      await wait(ms * (0.75 + options.random() / 2), undefined, { signal }).catch(() => undefined);
    },
    wakeAll: () => {
      waking.abort();
      waking = new AbortController();
    },
  };
}
