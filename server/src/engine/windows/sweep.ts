import type { Database } from '../../db/database.ts';

const DAY_MS = 86_400_000;
const PAGE = 1_000;
const MAX_PAGES = 100;

/**
 * Deletes windows and throttles that are over for a day, a page a statement, at most 100 pages of each. A window that nobody
 * closed by then has nobody in it, or somebody who does not need its row any more: activities are found by the window's number.
 */
export async function sweepWindows(db: Database, nowMs: number): Promise<void> {
  for (const table of ['batch_window', 'throttle_window']) {
    for (let page = 0; page < MAX_PAGES; page++) {
      const rows = await db.query(
        `delete from ${table} t
         using (
           select environment_id, key
           from ${table}
           where closes_at < $1
           order by closes_at
           limit ${PAGE}
           for update skip locked
         ) as over
         where t.environment_id = over.environment_id
           and t.key = over.key
         returning 1`,
        [new Date(nowMs - DAY_MS)],
      );
      if (rows.length < PAGE) break;
    }
  }
}
