import type { Database, Queryable } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { createFairGate } from '../lib/fair-gate.ts';
import { createLruCache } from '../lib/lru.ts';

/** Requests that may wait for a connection, of all accounts. */
const MAX_WAITING = 2_000;
const MAX_WAIT_MS = 10_000;
const ACCOUNTS = 1_000;
/** Over how long an account's use of the database is averaged. */
const METER_S = 10;

/**
 * Connections for the requests of accounts: one account holds at most half of them, and who waits
 * is served by turns, an account at a time.
 */
export type DatabaseShares = {
  /** The database as this account sees it. A transaction must not ask it for anything else. */
  readonly of: (accountId: number) => Database;
  /** Milliseconds a second for which the account held connections, over the last ten seconds. */
  readonly msPerSecond: (accountId: number) => number;
  readonly waiting: () => number;
};

type Meter = { ms: number; atMs: number };

/** `nowMs` is a clock in milliseconds that only runs forward. */
export function createDatabaseShares(options: {
  readonly db: Database;
  /** Connections for all accounts: fewer than the pool has where something else asks it too, as keys. */
  readonly connections: number;
  readonly nowMs: () => number;
  readonly maxWaitMs?: number;
}): DatabaseShares {
  const { db, nowMs, maxWaitMs = MAX_WAIT_MS } = options;
  const gate = createFairGate({
    places: options.connections,
    maxWaiting: MAX_WAITING,
    keepsHalfFree: true,
  });
  const meters = createLruCache<Meter>(ACCOUNTS, Number.POSITIVE_INFINITY);

  // The same to everybody who asks: what is remembered of a database is remembered by it.
  const views = createLruCache<Database>(ACCOUNTS, Number.POSITIVE_INFINITY);

  const measure = (accountId: number, ms: number): Meter => {
    const now = nowMs();
    const key = String(accountId);
    const meter = meters.get(key, 0) ?? { ms: 0, atMs: now };
    meter.ms = meter.ms * Math.exp((meter.atMs - now) / (METER_S * 1_000)) + ms;
    meter.atMs = now;
    meters.set(key, meter, 0);
    return meter;
  };

  const turn = (accountId: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const waiter = gate.wait(accountId, () => {
        clearTimeout(timer);
        resolve();
      });
      if (!waiter) {
        reject(
          new BelfryError(
            'rate_limited',
            'Too much at once: so many requests of this account wait for the database that no more may; send the request again after Retry-After',
            { retryAfterMs: 1_000, budget: 'database' },
          ),
        );
        return;
      }
      const timer = setTimeout(() => {
        waiter.giveUp();
        reject(
          new BelfryError(
            'overloaded',
            'The request waited too long for the database; send it again',
            { retryAfterMs: 1_000, budget: 'database' },
          ),
        );
      }, maxWaitMs);
    });

  const hold = async <Result>(accountId: number, work: () => Promise<Result>): Promise<Result> => {
    if (!gate.enter(accountId)) await turn(accountId);
    const startMs = nowMs();
    try {
      return await work();
    } finally {
      measure(accountId, nowMs() - startMs);
      gate.leave(accountId);
    }
  };

  const viewOf = (accountId: number): Database => ({
    query: <Row>(...query: Parameters<Queryable['query']>): Promise<Row[]> =>
      hold(accountId, () => db.query<Row>(...query)),
    transaction: (work) => hold(accountId, () => db.transaction(work)),
    close: db.close,
  });

  return {
    of: (accountId) => {
      const key = String(accountId);
      const view = views.get(key, 0) ?? viewOf(accountId);
      views.set(key, view, 0);
      return view;
    },
    msPerSecond: (accountId) => measure(accountId, 0).ms / METER_S,
    waiting: gate.waiting,
  };
}
