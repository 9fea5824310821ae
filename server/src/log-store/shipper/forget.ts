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

/** What belongs to a message or to a run, by its id. */
const OWNED: readonly (readonly [LogSource, 'message' | 'recipient_run', string])[] = [
  [
    'message_event',
    'message',
    'select e.id, null::smallint as number from page join message_event e on e.message_id = page.id',
  ],
  [
    'delivery',
    'message',
    'select d.message_id as id, d.attempt as number from page join delivery d on d.message_id = page.id',
  ],
  ['recipient_run', 'recipient_run', 'select page.id, null::smallint as number from page'],
  [
    'recipient_run_segment',
    'recipient_run',
    'select s.recipient_run_id as id, s.segment as number from page join recipient_run_segment s on s.recipient_run_id = page.id',
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
      const rows = await loadRows(
        db,
        source,
        `with page as materialized (
          select unnest($1::uuid[]) as id
        )
        ${keys}
        order by 1, 2`,
        [ids.map(({ id }) => id)],
      );
      await send(rows, `merge-${deletion.id}-`);
      after = last.id;
    }
  }
}
