import type { Stage } from './stage.ts';
import { logStoreHas, storesState } from './stores-state.ts';
import { waitMs, wallClockMs } from './wall-clock.ts';

/** Of the object store's requests, while it is throttled. */
const THROTTLED_SHARE = 0.95;

/** Milliseconds since 1970. */
export type Window = { readonly fromMs: number; readonly untilMs: number };

export type StoreFaults = {
  /** The object store let 5 % of its requests through. */
  readonly throttled: Window | undefined;
  /** Nobody reached the log store. */
  readonly cut: Window | undefined;
  /** Seconds from its return until it had everything of before it; undefined: that did not happen. */
  readonly caughtUpSeconds: Promise<number | undefined>;
};

/**
 * While the flood lasts: its first third as it is, in the second the object store lets 5 % of the requests
 * through, in the last the log store cannot be reached.
 */
export async function playStoreFaults(stage: Stage, floodSeconds: number): Promise<StoreFaults> {
  const { stores, timeline } = stage;
  const thirdMs = (floodSeconds * 1_000) / 3;
  const during = async (begin: () => Promise<void>, end: () => Promise<void>): Promise<Window> => {
    const fromMs = wallClockMs();
    await begin();
    await waitMs(thirdMs);
    await end();
    return { fromMs, untilMs: wallClockMs() };
  };
  if (!stores?.objectStore && !stores?.logStore) return NO_FAULTS;
  const { objectStore, logStore } = stores;
  await waitMs(thirdMs);
  if (!objectStore) await waitMs(thirdMs);
  const throttled =
    objectStore &&
    (await during(
      async () => {
        await objectStore.setFaults({ kind: 'slow_down', share: THROTTLED_SHARE });
        timeline.note(
          'the object store is throttled: of 100 requests 95 are told to slow down',
          await storesState(stage),
        );
      },
      async () => {
        await objectStore.heal();
        timeline.note('the object store is well again', await storesState(stage));
      },
    ));
  const cut =
    logStore &&
    (await during(
      async () => {
        await logStore.setFaults({ kind: 'reset', share: 1 });
        timeline.note(
          'the log store is cut off: every connection breaks',
          await storesState(stage),
        );
      },
      async () => {
        await logStore.heal();
        timeline.note('the log store is back', await storesState(stage));
      },
    ));
  return { throttled, cut, caughtUpSeconds: catchUp(stage, cut) };
}

const NO_FAULTS: StoreFaults = {
  throttled: undefined,
  cut: undefined,
  caughtUpSeconds: Promise.resolve(undefined),
};

async function catchUp(stage: Stage, cut: Window | undefined): Promise<number | undefined> {
  if (!cut || !(await logStoreHas(stage, cut.untilMs).catch(() => false))) return undefined;
  const seconds = (wallClockMs() - cut.untilMs) / 1_000;
  stage.timeline.note(
    `the log store has caught up ${seconds.toFixed(1)} s after its return, nobody did anything`,
    await storesState(stage).catch(String),
  );
  return seconds;
}
