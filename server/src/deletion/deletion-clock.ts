import { setTimeout as wait } from 'node:timers/promises';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Logger } from '../lib/log.ts';
import { clearMessages } from './clear-messages.ts';
import { clearRest } from './clear-rest.ts';
import { clearRuns } from './clear-runs.ts';
import {
  dueDeletions,
  forgetDeletions,
  type OpenDeletions,
  openDeletions,
  recordPass,
} from './open-deletions.ts';

const LOOK_MS = 1_000;
const TROUBLE_MS = 5_000;
const FORGET_EVERY_MS = 3_600_000;
const COUNT_EVERY_MS = 10_000;
/** Rows of a kind in a pass, shared by its deletions, and what each has at the least. */
const PAGE = 5_000;
const LEAST_PAGE = 50;

export type DeletionClock = {
  /** As of the last look, ten seconds old at the most while this server owns the database. */
  readonly stats: () => OpenDeletions;
  readonly close: () => Promise<void>;
};

/** Works off deletions until it is closed. After any error it begins anew with what the table says. */
export function startDeletionClock(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  /** Only the owner of the database deletes. */
  readonly isOwner: () => boolean;
}): DeletionClock {
  const { db, clock, log, isOwner } = options;
  const closing = new AbortController();
  let stats: OpenDeletions = { open: 0, oldest: null };
  let forgottenMs = 0;
  let countedMs = 0;
  const rest = (ms: number): Promise<void> =>
    wait(ms, undefined, { signal: closing.signal }).catch(() => undefined);
  const running = run();

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await rest(isOwner() ? await round() : LOOK_MS);
      } catch (error) {
        if (closing.signal.aborted) return;
        log.warn({ err: error }, 'deleting failed; it will be tried again');
        await rest(TROUBLE_MS);
      }
    }
  }

  /** Returns how long to rest, in milliseconds: as long as it worked. */
  async function round(): Promise<number> {
    const startedMs = performance.now();
    const found = await sweepDeletions(db, clock);
    if (clock.now() - countedMs >= COUNT_EVERY_MS) {
      stats = await openDeletions(db);
      countedMs = clock.now();
    }
    if (found > 0) return performance.now() - startedMs;
    if (clock.now() - forgottenMs >= FORGET_EVERY_MS) {
      if ((await forgetDeletions(db, clock.now())) === 0) forgottenMs = clock.now();
    }
    return LOOK_MS;
  }

  return {
    stats: () => stats,
    close: async () => {
      closing.abort();
      await running;
    },
  };
}

/** One pass over what is due: a page of each. Returns how many deletions it was about. */
export async function sweepDeletions(db: Database, clock: Clock): Promise<number> {
  const startedMs = clock.now();
  const deletions = await dueDeletions(db, startedMs);
  if (deletions.length === 0) return 0;
  const limit = Math.max(LEAST_PAGE, Math.floor(PAGE / deletions.length));
  faultPoint('deletion.before-page');
  const messages = await clearMessages(db, deletions, limit, startedMs);
  faultPoint('deletion.after-messages');
  const runs = await clearRuns(db, deletions, limit);
  const others = await clearRest(db, deletions, limit);
  faultPoint('deletion.after-page');
  await recordPass(
    db,
    deletions.map((deletion, i) => ({
      deletion,
      isFull: [messages, runs, others].some((page) => (page[i] ?? 0) >= limit),
    })),
    { startedMs, nowMs: clock.now() },
  );
  faultPoint('deletion.after-record');
  return deletions.length;
}
