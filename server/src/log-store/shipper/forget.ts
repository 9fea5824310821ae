import type { DatabasePool } from '../../db/database.ts';
import { lowestUuidAt } from '../../lib/address.ts';
import { USERS } from '../../recipients/reference.ts';
import type { LogSink, LogSource } from '../log-store.ts';
import { type LoadedRows, loadRows } from './load-rows.ts';
import { movePosition, type Position } from './position.ts';

/** Recipients in one mutation of the store. */
const BATCH = 500;
/** What a merge moves; as in deletion/clear-messages.ts. */
const MOVED_MS = 30 * 86_400_000;
const PAGE = 1_000;

type Deletion = {
  readonly id: number;
  readonly environmentId: number;
  readonly collection: string;
  readonly recipientId: string;
  readonly deletedAt: Date;
  readonly mergedInto: string | null;
  readonly isOver: boolean;
};

/**
 * Passes deletions that are over on to the store, in their order, and sends again what merges moved, with `send`; then records that.
 */
export async function forgetDeleted(
  db: DatabasePool,
  sink: LogSink,
  position: Position,
  send: (rows: LoadedRows, purpose: string) => Promise<void>,
): Promise<void> {
  const next = await db.query<Deletion>(
    `select id, environment_id as "environmentId", collection, recipient_id as "recipientId", deleted_at as "deletedAt",
       merged_into as "mergedInto", due_at is null as "isOver"
     from deletion
     where id > $1
     order by id
     limit ${BATCH}`,
    [position.forgotten],
  );
  const open = next.findIndex(({ isOver }) => !isOver);
  const over = open === -1 ? next : next.slice(0, open);
  const last = over.at(-1);
  if (!last) return;
  await sink.forget(
    over.map(({ environmentId, collection, recipientId, deletedAt }) => ({
      environmentId,
      collection,
      recipientId,
      before: lowestUuidAt(deletedAt.getTime()),
    })),
  );
  for (const deletion of over) {
    if (deletion.mergedInto !== null) await sendMoved(db, deletion, send);
  }
  await movePosition(db, position, 'forgotten = $2', [last.id]);
}

/** The keys of what belongs to messages or to runs, by their ids. */
const OWNED: readonly (readonly [LogSource, 'message' | 'recipient_run', string])[] = [
  [
    'message_event',
    'message',
    'select id, null::smallint as number from message_event where message_id = any($1::uuid[])',
  ],
  [
    'delivery',
    'message',
    'select message_id as id, attempt as number from delivery where message_id = any($1::uuid[])',
  ],
  [
    'recipient_run',
    'recipient_run',
    'select id, null::smallint as number from unnest($1::uuid[]) as page(id)',
  ],
  [
    'recipient_run_segment',
    'recipient_run',
    'select recipient_run_id as id, segment as number from recipient_run_segment where recipient_run_id = any($1::uuid[])',
  ],
];

async function sendMoved(
  db: DatabasePool,
  deletion: Deletion,
  send: (rows: LoadedRows, purpose: string) => Promise<void>,
): Promise<void> {
  for (const [source, owner, keys] of OWNED) {
    let after = lowestUuidAt(deletion.deletedAt.getTime() - MOVED_MS);
    for (;;) {
      const ids = await db.query<{ id: string }>(
        `select id
        from ${owner}
        where environment_id = $1
          and recipient_id = $2
          and collection = '${USERS}'
          and workflow_run_id < $3
          and id > $4
        order by id
        limit ${PAGE}`,
        [
          deletion.environmentId,
          deletion.mergedInto,
          lowestUuidAt(deletion.deletedAt.getTime()),
          after,
        ],
      );
      const last = ids.at(-1);
      if (!last) break;
      const rows = await loadRows(db, source, keys, [ids.map(({ id }) => id)]);
      await send(rows, `merge-${deletion.id}-`);
      after = last.id;
    }
  }
}
