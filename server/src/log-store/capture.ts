import { setTimeout as wait } from 'node:timers/promises';
import { type Database, isDeadlock, type Queryable, sqlState } from '../db/database.ts';
import { limitLocks } from '../db/limit-locks.ts';
import { logSources } from './log-store.ts';

const TRIGGER = 'log_capture';
const LOCK_WAIT_MS = 200;
const ATTEMPTS = 60;
const RETRY_MS = 500;
const LOCK_NOT_AVAILABLE = '55P03';

/**
 * Makes the triggers that note what is written, where they are missing, and runs `alongside` in the transaction that makes
 * them: nobody writes to the tables during it. Returns whether any was missing. Throws when somebody holds a table for half a minute.
 */
export function installCapture(
  db: Database,
  alongside: (tx: Queryable) => Promise<void>,
  retryMs = RETRY_MS,
): Promise<boolean> {
  return withBriefLocks(
    db,
    async (tx) => {
      const present = await captured(tx);
      const missing = logSources.filter((table) => !present.includes(table));
      for (const table of missing) {
        await tx.query(
          `create trigger ${TRIGGER}
         after insert on ${table}
         referencing new table as written
         for each statement execute function log_capture_${table}()`,
        );
      }
      if (missing.length > 0) await alongside(tx);
      return missing.length > 0;
    },
    retryMs,
  );
}

/** Removes the triggers and what they noted: no store is configured any more. One look at the catalogue where there are none. */
export async function removeCapture(db: Database, retryMs = RETRY_MS): Promise<void> {
  if ((await captured(db)).length === 0) return;
  await withBriefLocks(
    db,
    async (tx) => {
      for (const table of await captured(tx)) await tx.query(`drop trigger ${TRIGGER} on ${table}`);
      // What is aside is older than the position: with a store again it is looked for from there on.
      await tx.query(
        `update log_shipper
       set shipped_at = least(shipped_at, (select min(at) from log_aside)),
         version = version + 1`,
      );
      await tx.query('truncate log_ring, log_aside');
      return true;
    },
    retryMs,
  );
}

async function captured(db: Queryable): Promise<readonly string[]> {
  const rows = await db.query<{ name: string }>(
    `select c.relname as name
     from pg_trigger t
     join pg_class c on c.oid = t.tgrelid
     where t.tgname = $1
       and not t.tgisinternal
       and c.relnamespace = current_schema()::regnamespace`,
    [TRIGGER],
  );
  return rows.map(({ name }) => name);
}

/** A transaction with locks behind whose waiters writers queue: it waits briefly and often. Throws when somebody holds one for half a minute. */
export async function withBriefLocks(
  db: Database,
  work: (tx: Queryable) => Promise<boolean>,
  retryMs = RETRY_MS,
): Promise<boolean> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await db.transaction(async (tx) => {
        await limitLocks(tx, LOCK_WAIT_MS);
        return await work(tx);
      });
    } catch (error) {
      const busy = sqlState(error) === LOCK_NOT_AVAILABLE || isDeadlock(error);
      if (!busy || attempt === ATTEMPTS) throw error;
      await wait(retryMs);
    }
  }
}
