import { type Database, sqlState } from '../../db/database.ts';

export const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;
const LISTS = 8;
const LOCK_NOT_AVAILABLE = '55P03';

/** Days that the ledger looks back. One list is today's and one is being given back. */
export const LEDGER_DAYS = LISTS - 2;

/** The minute of a time, counted from 1970. */
export function minuteOf(ms: number): number {
  return Math.floor(ms / MINUTE_MS);
}

/** The list of a minute, as SQL. */
export function listSql(minute: string): string {
  return `${minute} / ${DAY_MINUTES} % ${LISTS}`;
}

/** Gives the list back that tomorrow will use. */
export async function forgetLedger(db: Database, nowMs: number): Promise<void> {
  const list = (Math.floor(minuteOf(nowMs) / DAY_MINUTES) + 1) % LISTS;
  const [row] = await db.query<{ used: boolean }>(
    `select exists (select from ledger_minute_${list})
         or exists (select from ledger_settled_${list}) as used`,
  );
  if (!row?.used) return;
  try {
    await db.transaction(async (tx) => {
      await tx.query(`set local lock_timeout = '100ms'`);
      await tx.query(`truncate ledger_minute_${list}, ledger_settled_${list}`);
    });
  } catch (error) {
    if (sqlState(error) !== LOCK_NOT_AVAILABLE) throw error;
  }
}
