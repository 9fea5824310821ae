import { setTimeout as wait } from 'node:timers/promises';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { FORGET_BROADCASTS, forgetBroadcasts } from './forget.ts';
import { clearLeftovers } from './leftovers.ts';

const EVERY_MS = 60_000;
/** Between two batches, so that deleting takes a small share of the database. */
const REST_MS = 100;

export type Housekeeping = { readonly close: () => Promise<void> };

/** Forgets broadcasts that ended long ago and clears leftovers, once a minute, until it is closed. */
export function startHousekeeping(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Only the owner of the database deletes. */
  readonly isOwner: () => boolean;
}): Housekeeping {
  const { db, clock, log, isOwner } = options;
  const closing = new AbortController();
  const rest = (ms: number): Promise<void> => wait(ms, undefined, { signal: closing.signal });
  const running = run();

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        if (isOwner()) await tidy();
        await rest(EVERY_MS);
      } catch (error) {
        if (closing.signal.aborted) return;
        log.warn({ err: error }, 'forgetting old broadcasts failed; it will be tried again');
        await rest(EVERY_MS).catch(() => undefined);
      }
    }
  }

  async function tidy(): Promise<void> {
    while ((await forgetBroadcasts(db, clock.now())) === FORGET_BROADCASTS) await rest(REST_MS);
    await clearLeftovers(db, () => rest(REST_MS));
  }

  return {
    close: async () => {
      closing.abort();
      await running;
    },
  };
}
