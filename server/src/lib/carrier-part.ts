import type { Clock } from './clock.ts';
import type { Logger } from './log.ts';

/** What a part of the carrier process is given; `Database` is that of the part alone. */
export type PartContext<Database> = {
  readonly db: Database;
  readonly databaseUrl: string;
  readonly clock: Clock;
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
  /** Whether everybody else keeps the processors busy: who has much to do should take its time. */
  readonly processorsAreBusy: () => boolean;
  readonly log: Logger;
};

/** Something that the carrier process does until it is closed. */
export type Part<State> = {
  /** What the part says of itself, as plain JSON; asked once a second. */
  readonly state: () => State;
  /** Finishes or gives up what is under way, within 5 s. */
  readonly close: () => Promise<void>;
};
