import { performance } from 'node:perf_hooks';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { createDynamicThreshold, type DynamicThreshold } from '../lib/dynamic-threshold.ts';
import { type AcceptBudget, createAcceptBudget } from './accept.ts';
import { createDatabaseShares, type DatabaseShares } from './database-shares.ts';
import { createPause, type Pause } from './pause.ts';
import { createRefusals, type Refusals } from './refusals.ts';

const BODY_BYTES = 256 * 1024 * 1024;

/** What all accounts share in this process, and who may have how much of it. */
export type Budgets = {
  readonly accept: AcceptBudget;
  /** Bytes of request bodies from their announcement to the end of the answer, by account. */
  readonly bodies: DynamicThreshold;
  readonly database: DatabaseShares;
  readonly refusals: Refusals;
  /** Before a refusal is answered. */
  readonly pause: Pause;
  readonly close: () => void;
};

const TICK_MS = 100;

/**
 * `pressure` tells how busy the process was since it was last asked, 0 to 1; it is asked every 100 ms.
 */
export function createBudgets(options: {
  readonly clock: Clock;
  readonly db: Database;
  /** Of its connections, for requests of accounts. */
  readonly connections: number;
  readonly pressure: () => number;
  readonly bodyBytes?: number;
  /** How busy the event loop may be before anybody is limited, 0 to 1. */
  readonly highPressure?: number;
}): Budgets {
  const { clock, db, connections, pressure, bodyBytes = BODY_BYTES } = options;
  const accept = createAcceptBudget(options.highPressure);
  const timer = setInterval(() => accept.tick(pressure(), clock.now()), TICK_MS).unref();
  return {
    accept,
    bodies: createDynamicThreshold(bodyBytes),
    database: createDatabaseShares({ db, connections, nowMs: () => performance.now() }),
    refusals: createRefusals(),
    pause: createPause(Math.random),
    close: () => clearInterval(timer),
  };
}
