/**
 * Runs work for keys, a few at a time: at most one run of a key is under way and at most one waits.
 * Groups take turns, so that a group with many keys does not delay the others.
 */
export type FairQueue = {
  /** Runs the key's work soon, once, after a run that is under way. */
  readonly add: (group: number, key: string) => void;
  /** Forgets a key that waits. */
  readonly remove: (group: number, key: string) => void;
};

/** `work` must not reject; `concurrency` bounds how much of it is under way. */
export function createFairQueue(
  concurrency: number,
  work: (key: string) => Promise<void>,
): FairQueue {
  // A Map keeps insertion order: its first group is the one whose turn it is.
  const waiting = new Map<number, Set<string>>();
  const running = new Set<string>();

  const next = (): { readonly group: number; readonly key: string } | undefined => {
    for (const [group, keys] of waiting) {
      for (const key of keys) {
        if (running.has(key)) continue;
        keys.delete(key);
        waiting.delete(group);
        if (keys.size > 0) waiting.set(group, keys);
        return { group, key };
      }
    }
    return undefined;
  };

  const pump = (): void => {
    while (running.size < concurrency) {
      const turn = next();
      if (!turn) break;
      running.add(turn.key);
      void work(turn.key).finally(() => {
        running.delete(turn.key);
        pump();
      });
    }
  };

  return {
    add: (group, key) => {
      const keys = waiting.get(group);
      if (keys) keys.add(key);
      else waiting.set(group, new Set([key]));
      pump();
    },
    remove: (group, key) => {
      const keys = waiting.get(group);
      keys?.delete(key);
      if (keys?.size === 0) waiting.delete(group);
    },
  };
}
