const LONGEST_COURTESY_MS = 3_000;

/**
 * How long somebody rests after work while others want all processors, in milliseconds: three times as long as the work took, which
 * makes a quarter of the time, and more where the bound cuts it.
 */
export function courtesyRestMs(workedMs: number): number {
  return Math.min(LONGEST_COURTESY_MS, 3 * workedMs);
}

/** What a loop does between its rounds. */
export type Rest = {
  /** Resolves after so many milliseconds, or when it is woken: at once when that was since the last rest. */
  readonly rest: (ms: number) => Promise<void>;
  readonly wake: () => void;
};

/** For one loop: no two rests at a time. */
export function createRest(): Rest {
  let woken = false;
  let end: (() => void) | undefined;
  return {
    rest: async (ms) => {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, woken ? 0 : ms);
        end = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      end = undefined;
      woken = false;
    },
    wake: () => {
      woken = true;
      end?.();
    },
  };
}
