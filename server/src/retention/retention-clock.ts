import { setTimeout as wait } from 'node:timers/promises';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { enforceRetention } from './enforce.ts';
import type { RetentionDays } from './retention-days.ts';

const FIRST_MS = 60_000;
const EVERY_MS = 3_600_000;

export type RetentionStats = {
  /** Partitions dropped since the start. */
  readonly dropped: number;
  /** Partitions that are too old and still there, as of the last look. */
  readonly overdue: number;
};

export type RetentionClock = {
  readonly stats: () => RetentionStats;
  readonly close: () => Promise<void>;
};

/** Enforces retention every hour until it is closed. */
export function startRetentionClock(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly days: RetentionDays;
  /** Only the owner of the database drops. */
  readonly isOwner: () => boolean;
}): RetentionClock {
  const { db, clock, log, days, isOwner } = options;
  const closing = new AbortController();
  const { signal } = closing;
  const stats = { dropped: 0, overdue: 0 };
  const running = run();

  async function run(): Promise<void> {
    for (let restMs = FIRST_MS; ; restMs = EVERY_MS) {
      try {
        await wait(restMs, undefined, { signal });
        if (!isOwner()) continue;
        const { dropped, kept } = await enforceRetention({
          ...{ db, log, days, signal },
          nowMs: clock.now(),
        });
        stats.dropped += dropped.length;
        stats.overdue = kept.length;
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error }, 'dropping old data failed; it will be tried again');
      }
    }
  }

  return {
    stats: () => ({ ...stats }),
    close: async () => {
      closing.abort();
      await running;
    },
  };
}
