import type { Logger } from '../lib/log.ts';

export type WatchTopics = {
  /** Resolves once changes of these topics are being reported. */
  readonly watch: (topicKeys: readonly string[]) => Promise<void>;
  readonly unwatch: (topicKeys: readonly string[]) => Promise<void>;
};

/** Gathers what is asked for in one turn of the event loop, so that a crowd costs one call. */
export function createWatchList(
  topics: WatchTopics,
  log: Logger,
): {
  readonly watch: (topicKey: string) => Promise<void>;
  readonly unwatch: (topicKey: string) => void;
} {
  let wanted: { readonly keys: Set<string>; readonly done: Promise<void> } | undefined;
  let unwanted = new Set<string>();
  let scheduled: Promise<void> | undefined;

  const turn = (): Promise<void> => {
    scheduled ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
      scheduled = undefined;
      if (unwanted.size === 0) return;
      const keys = [...unwanted];
      unwanted = new Set();
      topics.unwatch(keys).catch((error: unknown) => {
        log.warn({ err: error }, 'feed topics could not be unwatched');
      });
    });
    return scheduled;
  };

  return {
    watch: (topicKey) => {
      // Both in one turn: it was watched and stays so.
      if (unwanted.delete(topicKey)) return Promise.resolve();
      if (!wanted) {
        const keys = new Set<string>();
        const done = turn().then(() => {
          wanted = undefined;
          return topics.watch([...keys]);
        });
        wanted = { keys, done };
      }
      wanted.keys.add(topicKey);
      return wanted.done;
    },
    unwatch: (topicKey) => {
      unwanted.add(topicKey);
      void turn();
    },
  };
}
