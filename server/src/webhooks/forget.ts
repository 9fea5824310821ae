import type { Queryable } from '../db/database.ts';

export const KEEP_MS = 30 * 24 * 3_600_000;
/** So long the events of a suspended endpoint are recorded. */
export const RECORD_SUSPENDED_MS = 7 * 24 * 3_600_000;
export const FORGET = 1_000;

/**
 * Deletes the oldest rows past their time, at most a thousand, and no longer records for endpoints that were suspended
 * long ago. Returns how many rows it deleted.
 */
export async function forgetDeliveries(db: Queryable, nowMs: number): Promise<number> {
  await db.query(
    `update webhook_endpoint
     set state = 'disabled',
       reason = reason || '; nothing was recorded for it since it had been suspended for 7 days'
     where state = 'suspended'
       and stopped_at < $1`,
    [new Date(nowMs - RECORD_SUSPENDED_MS)],
  );
  await db.query(
    `delete from webhook_replay
     where ended_at < $1`,
    [new Date(nowMs - KEEP_MS)],
  );
  const gone = await db.query({ name: 'forget_webhooks', text: DELETE }, [
    new Date(nowMs - KEEP_MS),
  ]);
  return gone.length;
}

// Ids rise with time but for statements that ran side by side: the lowest are the oldest.
export const DELETE = `delete from webhook_delivery
  where id in (
    select id
    from (
      select id, created_at
      from webhook_delivery
      order by id
      limit ${FORGET}
    ) oldest
    where created_at < $1
  )
  returning id`;
