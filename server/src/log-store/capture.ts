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
  return change(db, retryMs, async (tx) => {
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
  });
}

/** Removes the triggers and what they noted: no store is configured any more. One look at the catalogue where there are none. */
export async function removeCapture(db: Database, retryMs = RETRY_MS): Promise<void> {
  if ((await captured(db)).length === 0) return;
  await change(db, retryMs, async (tx) => {
    for (const table of await captured(tx)) await tx.query(`drop trigger ${TRIGGER} on ${table}`);
    await tx.query('truncate log_ring, log_aside');
    return true;
  });
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

/** Writers queue behind whoever waits for such a lock, so it waits briefly and often. */
async function change(
  db: Database,
  retryMs: number,
  work: (tx: Queryable) => Promise<boolean>,
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
