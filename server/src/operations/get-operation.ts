import type { EnvironmentContext } from '../context.ts';
import type { Database } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { isUuid } from '../lib/uuid.ts';
import { type ErrorItem, OPERATION_COLUMNS, type Operation } from './operation.ts';

/** How long an operation that is over can be asked for. */
const KEEP_MS = 7 * 24 * 60 * 60 * 1_000;
const PAGE = 1_000;

/** An operation of the environment with its refused items, in the order of the request, or a 404. */
export async function getOperation(
  ctx: EnvironmentContext,
  { id }: { readonly id: string },
): Promise<{ readonly operation: Operation; readonly errors: readonly ErrorItem[] }> {
  // One statement, so that the items are those that the count has.
  const [row] = isUuid(id)
    ? await ctx.db.query<Operation & { readonly errors: readonly ErrorItem[] | null }>(
        {
          name: 'get_bulk_operation',
          text: `select ${OPERATION_COLUMNS},
                   (select json_agg(
                      json_strip_nulls(json_build_object('id', e.item_id, 'collection', e.collection))
                      order by e.position)
                    from bulk_operation_error e
                    where e.operation_id = o.id) as errors
                 from bulk_operation o
                 where o.id = $1
                   and o.environment_id = $2`,
        },
        [id, ctx.environment.id],
      )
    : [];
  if (row) return { operation: row, errors: row.errors ?? [] };
  throw new BelfryError(
    'resource_missing',
    `There is no bulk operation ${JSON.stringify(id.slice(0, 100))}; it can be read for seven days after its end`,
  );
}

/** Deletes what is over for seven days. */
export async function forgetOperations(db: Database, nowMs: number): Promise<void> {
  const before = new Date(nowMs - KEEP_MS);
  for (;;) {
    const gone = await db.query(
      `delete from bulk_operation
       where id in (
         select id
         from bulk_operation
         where (completed_at is not null or failed_at is not null)
           and coalesce(completed_at, failed_at) < $1
         limit ${PAGE}
       )
       returning 1`,
      [before],
    );
    if (gone.length < PAGE) return;
  }
}
