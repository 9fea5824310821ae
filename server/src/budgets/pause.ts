/**
 * How long a refusal is kept back at least. A client that comes again at once, whatever it was told, then costs a
 * few requests a second for each connection and not thousands; README.md has the figures.
 */
const LEAST_PAUSE_MS = 500;
/** And at most: clients that wait for an answer give up after some ten seconds. */
const LONGEST_PAUSE_MS = 5_000;
/** Of one account, about, until the longest pause is reached: what is kept back leaves at this pace. */
const REFUSALS_PER_S = 50;
/** By so much more or less, so that many who were refused together do not come back together. */
const JITTER = 0.5;
const MAX_PAUSED = 2_000;

export type Pause = {
  /** Resolves after the pause, or at once when too many are in it already. */
  readonly keepBack: (account: number) => Promise<void>;
  /** Nothing is kept back any more: a server that stops does not wait for those whom it refuses. */
  readonly end: () => void;
};

/** `random` is from 0 to 1. */
export function createPause(random: () => number): Pause {
  const byAccount = new Map<number, number>();
  const answers = new Map<() => void, NodeJS.Timeout>();
  let hasEnded = false;
  return {
    keepBack: async (account) => {
      if (hasEnded || answers.size >= MAX_PAUSED) return;
      const held = (byAccount.get(account) ?? 0) + 1;
      byAccount.set(account, held);
      const { promise, resolve } = Promise.withResolvers<void>();
      answers.set(
        resolve,
        setTimeout(resolve, pauseMs(held) * (1 - JITTER + 2 * JITTER * random())),
      );
      await promise;
      answers.delete(resolve);
      const left = (byAccount.get(account) ?? 0) - 1;
      if (left > 0) byAccount.set(account, left);
      else byAccount.delete(account);
    },
    end: () => {
      hasEnded = true;
      for (const [answer, timer] of answers) {
        clearTimeout(timer);
        answer();
      }
    },
  };
}

/** Whoever has this many in the pause is answered `REFUSALS_PER_S` times a second (Little's law). */
function pauseMs(held: number): number {
  return Math.min(LONGEST_PAUSE_MS, Math.max(LEAST_PAUSE_MS, (held / REFUSALS_PER_S) * 1_000));
}
