import type { Queryable } from '../db/database.ts';

/**
 * Records where the contents of these messages are, so that they are blanked there; before the messages are deleted, in the same
 * transaction.
 *
 * @param messageIds an array literal
 */
export async function recordErasures(
  tx: Queryable,
  messageIds: string,
  nowMs: number,
): Promise<void> {
  await tx.query(
    `insert into body_erasure (pack_id, start_byte, size, environment_id, recorded_at)
     select (b.stored ->> 'pack')::uuid, (b.stored ->> 'at')::int, (b.stored ->> 'bytes')::int, b.environment_id, $2
     from (
       select environment_id, content -> '$stored' as stored
       from message
       where id = any($1::uuid[])
     ) b
     where b.stored is not null
     on conflict (pack_id, start_byte) do nothing`,
    [messageIds, new Date(nowMs)],
  );
}
