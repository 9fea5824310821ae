import type { Queryable } from '../db/database.ts';
import { lowestUuidAt } from '../lib/address.ts';

const SLOTS = 51;
/** The runs of a fan-out are accepted later than its trigger; so long at the most, about. */
const FAN_OUT_MS = 7 * 86_400_000;

/** Of runs that a chunk has parked: the batch that they came out of. Other text of a trigger may look like it. */
const WINDOW = '"batch":\\{"window":(\\d{1,18})';

/**
 * What, if anything, still needs triggers and activities from before a time: runs read them again when they go on. The
 * chunks are read a slot at a time, because a slot that is read cannot be given back.
 */
export async function neededBy(db: Queryable, untilMs: number): Promise<string | undefined> {
  const until = lowestUuidAt(untilMs);
  const activitiesUntil = lowestUuidAt(untilMs + FAN_OUT_MS);
  if (await exists(db, 'event_wait', 'workflow_run_id < $1', [until])) return 'a wait for an event';
  const ofWindow = `exists (
      select
      from batch_activity a
      where a.window_id = t.id
        and a.run_id < $1
        and (a.workflow_run_id < $2 or a.run_id < $2)
    )`;
  const bounds = [activitiesUntil, until];
  if (await exists(db, 'batch_window', ofWindow, bounds)) return 'an open batch';
  const waits = `(
    select distinct (state #>> '{batch,window}')::bigint as id
    from event_wait
    where state #>> '{batch,window}' is not null
  )`;
  if (await exists(db, waits, ofWindow, bounds)) return 'a wait of a run out of a batch';
  for (let slot = 0; slot < SLOTS; slot++) {
    const parked = `(
      select distinct (m)[1]::bigint as id
      from chunk_${slot}
      cross join lateral regexp_matches(body, '${WINDOW}', 'g') as m
      where body like '%"batch":{"window":%'
    )`;
    if (await exists(db, parked, ofWindow, bounds)) return 'a parked run out of a batch';
  }
  return undefined;
}

async function exists(
  db: Queryable,
  table: string,
  where: string,
  values: readonly unknown[],
): Promise<boolean> {
  const [row] = await db.query<{ found: boolean }>(
    `select exists (
       select
       from ${table} t
       where ${where}
     ) as found`,
    values,
  );
  return row?.found ?? false;
}
