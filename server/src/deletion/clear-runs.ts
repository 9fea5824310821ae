import { plainArray, textArray } from '../db/array-literal.ts';
import type { Database } from '../db/database.ts';
import { isMoved, keysOf, triggersBefore } from './clear-messages.ts';
import type { Deletion } from './open-deletions.ts';

const PAGE = {
  name: 'runs_to_clear',
  text: `select d.n::int as deletion, r.id
  from unnest($1::int[], $2::text[], $3::text[], $4::uuid[]) with ordinality
    as d(environment_id, collection, recipient_id, before, n)
  cross join lateral (
    select r.id
    from recipient_run r
    where r.environment_id = d.environment_id
      and r.collection = d.collection
      and r.recipient_id = d.recipient_id
      and r.workflow_run_id < d.before
    limit $5
  ) r`,
};

type Row = { readonly deletion: number; readonly id: string };

/**
 * Empties a page of runs of each, or gives them to the user that it was merged into. Their rows stay: the ledger counts
 * them. Returns how many each had.
 */
export async function clearRuns(
  db: Database,
  deletions: readonly Deletion[],
  limit: number,
): Promise<readonly number[]> {
  const found = await db.query<Row>(PAGE, [...keysOf(deletions), triggersBefore(deletions), limit]);
  const counts = deletions.map(() => 0);
  for (const row of found) counts[row.deletion - 1] = (counts[row.deletion - 1] ?? 0) + 1;
  if (found.length === 0) return counts;
  const gone = found.filter((row) => !isMoved(row, deletions));
  const owners = found.map((row) =>
    isMoved(row, deletions) ? deletions[row.deletion - 1]?.mergedInto : '',
  );
  const goneIds = plainArray(gone.map(({ id }) => id));
  await db.transaction(async (tx) => {
    await tx.query(
      `update recipient_run_segment
       set steps = '[]'
       where recipient_run_id = any($1::uuid[])`,
      [goneIds],
    );
    await tx.query(
      `delete from once_run
       where run_id = any($1::uuid[])`,
      [goneIds],
    );
    await tx.query(
      `update recipient_run r
       set recipient_id = t.owner,
         steps = case when t.owner = '' then '[]'::json else r.steps end
       from unnest($1::uuid[], $2::text[]) as t(id, owner)
       where r.id = t.id`,
      [plainArray(found.map(({ id }) => id)), textArray(owners)],
    );
  });
  return counts;
}
