import { type Database, type Queryable, sqlState } from '../../db/database.ts';
import { limitLocks } from '../../db/limit-locks.ts';
import { BelfryError } from '../../lib/errors.ts';
import { faultPoint } from '../../lib/fault-point.ts';

const LOCK_NOT_AVAILABLE = '55P03';
/** Together 13.5 s: executors hold it for milliseconds; whoever is dead or frozen has lost it after 10 s. */
export const LOCK_ATTEMPTS = 15;
/** Longer after every five attempts, for a database on which a statement of a writer takes longer than this. */
const LOCK_WAIT_MS = 150;
const ATTEMPTS_OF_A_WAIT = 5;
/** Everybody who writes results waits behind whoever waits for the lock: they have twice the time to themselves. */
const PAUSE_WAITS = 2;
const RETRY_MS = 5_000;

/**
 * A change of orders. Whoever writes results has a share lock on the table while it does so and compares the
 * number: what began before the change is written before it, what begins later sees it. Throws `overloaded`, naming
 * the session in the way, when the lock is not to be had in all attempts: nothing was changed.
 */
export async function changeOrders<Result>(
  db: Database,
  change: (tx: Queryable) => Promise<Result>,
  attempts = LOCK_ATTEMPTS,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    const waitMs = LOCK_WAIT_MS * Math.ceil(attempt / ATTEMPTS_OF_A_WAIT);
    try {
      const changed = await db.transaction(async (tx) => {
        await limitLocks(tx, waitMs);
        await tx.query('lock table governance in exclusive mode');
        const result = await change(tx);
        await tx.query('update governance set version = version + 1');
        faultPoint('order.before-commit');
        return result;
      });
      faultPoint('order.after-commit');
      return changed;
    } catch (error) {
      if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
      if (attempt >= attempts) throw await nameBlocker(db);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_WAITS * waitMs));
    }
  }
}

/** Of those who have the table, the one whose transaction began first. */
async function nameBlocker(db: Queryable): Promise<BelfryError> {
  const [blocker] = await db.query<{ pid: number; name: string; since: Date | null }>(
    `select a.pid, a.application_name as name, a.xact_start as since
     from pg_locks l
     join pg_stat_activity a on a.pid = l.pid
     where l.relation = 'governance'::regclass
       and l.database = (select oid from pg_database where datname = current_database())
       and l.granted
       and l.mode <> 'AccessShareLock'
     order by a.xact_start nulls last
     limit 1`,
  );
  const why = blocker
    ? `database session ${blocker.pid} (${blocker.name || 'without a name'}) has been in a transaction with results since ${blocker.since?.toISOString() ?? 'an unknown time'}; if it is stuck, end it with: select pg_terminate_backend(${blocker.pid})`
    : 'those who write results take too long in the database; see whether its disk is slow';
  return new BelfryError('overloaded', `No order was changed: ${why}; then try again`, {
    retryAfterMs: RETRY_MS,
  });
}
