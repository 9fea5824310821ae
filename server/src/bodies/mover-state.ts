import type { GuardedStoreStats } from './guarded-store.ts';

/** What the mover says of itself. */
export type MoverState = {
  /** Packs in the database that the store does not have yet. */
  readonly backlog: {
    readonly packs: number;
    readonly bytes: number;
    /** When the oldest of them was written, in ms since 1970. */
    readonly oldestMs: number | undefined;
  };
  /** What the ring takes on the disk, what is not given back yet included. */
  readonly ring: { readonly bytes: number; readonly boundBytes: number };
  /** Since the start of the carrier. */
  readonly moved: { readonly objects: number; readonly packs: number; readonly bytes: number };
  readonly slotsGivenBack: number;
  /** Contents that went back into their messages, because those were still to be delivered. */
  readonly keptForDelivery: number;
  /** Ranges of deleted messages that are not blanked everywhere yet. */
  readonly erasuresOpen: number;
  readonly objectsDeleted: number;
  readonly store: GuardedStoreStats;
};
