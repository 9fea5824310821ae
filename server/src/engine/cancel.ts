import { textArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import type { CancelRequest } from './engine.ts';
import { USERS } from './log/chunk.ts';

/**
 * Remembers a cancellation. Nothing is searched: a paused run asks when it resumes, so the cost does not
 * depend on how much is waiting.
 */
export async function recordCancellation(
  db: Queryable,
  nowMs: number,
  request: CancelRequest,
): Promise<void> {
  const recipients = request.recipients ?? [];
  const everybody = request.recipients === undefined;
  await db.query(
    `insert into cancellation
       (environment_id, workflow_key, cancellation_key, collection, recipient_id, cancelled_at)
     select $1, $2, $3, r.collection, r.id, $6
     from unnest($4::text[], $5::text[]) as r(collection, id)`,
    [
      request.environmentId,
      request.workflowKey,
      request.cancellationKey,
      everybody
        ? textArray([null])
        : textArray(recipients.map((r) => (typeof r === 'string' ? USERS : r.collection))),
      everybody
        ? textArray([null])
        : textArray(recipients.map((r) => (typeof r === 'string' ? r : r.id))),
      new Date(nowMs),
    ],
  );
}
