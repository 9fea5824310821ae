import type { Database, Queryable } from '../db/database.ts';

/** How long the list of who got it is kept after the end. */
export const KEEP_BROADCAST_MS = 30 * 86_400_000;
export const FORGET_BROADCASTS = 100;

/** Of rows `t`: no broadcast is being frozen from them, which this field of its source says. */
export function isNotRead(field: 'audience_id' | 'broadcast_id'): string {
  return `not exists (
         select
         from broadcast r
         where r.state in ('freezing', 'paused')
           and r.total is null
           and r.source ->> '${field}' = t.id::text
       )`;
}

/** Nobody reads the failed runs any more: a retry does while it is being frozen. */
const NOT_RETRIED = isNotRead('broadcast_id');

/**
 * Forgets up to 100 broadcasts that ended 30 days ago or earlier, all at once: whoever asks finds all of a broadcast
 * or none. Their pages and parts become leftovers. Returns how many there were.
 */
export async function forgetBroadcasts(db: Database, nowMs: number): Promise<number> {
  return await db.transaction(async (tx) => {
    const ended = await tx.query<{ id: number }>(
      `select t.id
       from broadcast t
       where t.state in ('cancelled', 'finished')
         and t.changed_at < $1
         and ${NOT_RETRIED}
       order by t.changed_at
       limit ${FORGET_BROADCASTS}
       for update of t skip locked`,
      [new Date(nowMs - KEEP_BROADCAST_MS)],
    );
    if (ended.length === 0) return 0;
    return await forget(
      tx,
      'broadcast',
      ended.map(({ id }) => id),
      NOT_RETRIED,
    );
  });
}

/**
 * Deletes rows that the transaction has locked, unless `condition` over them (as `t`) has become false meanwhile: a
 * statement later than the lock sees what was committed before it. Returns how many went.
 */
export async function forget(
  tx: Queryable,
  kind: 'audience' | 'broadcast',
  ids: readonly number[],
  condition: string,
): Promise<number> {
  const gone = await tx.query(
    `with gone as (
       delete from ${kind} t
       where t.id = any($1::int[])
         and ${condition}
       returning t.id
     )
     insert into leftover (kind, id)
     select '${kind}', id
     from gone
     returning 1`,
    [ids],
  );
  return gone.length;
}
