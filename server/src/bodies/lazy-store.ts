import type { Clock } from '../lib/clock.ts';
import type { BodiesConfig } from './config.ts';
import { guardStore } from './guarded-store.ts';
import type { ObjectStore } from './object-store.ts';
import { openS3Store } from './s3-store.ts';

/** A guarded store that is opened, and its SDK loaded, when somebody first needs it. */
export function lazyStore(
  config: BodiesConfig,
  clock: Clock,
  random: () => number,
): { readonly open: () => Promise<ObjectStore>; readonly close: () => void } {
  let store: Promise<ObjectStore> | undefined;
  const open = async (): Promise<ObjectStore> =>
    guardStore(await openS3Store(config), { nowMs: clock.now, random });
  return {
    open: () => {
      store ??= open().catch((error: unknown) => {
        store = undefined;
        throw error;
      });
      return store;
    },
    close: () => {
      // One that could not be opened has nothing to close.
      store?.then((opened) => opened.close()).catch(() => undefined);
    },
  };
}
