import { textArray } from '../db/array-literal.ts';
import type { Queryable, Statement } from '../db/database.ts';
import { keysOf, triggersBefore } from './clear-messages.ts';
import type { Deletion } from './open-deletions.ts';

const GIVEN = `unnest($1::int[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[], $6::timestamptz[])
    with ordinality as d(environment_id, collection, recipient_id, before, deleted_at, recorded_at, n)`;

/**
 * A statement that deletes a page of the rows `t` of a table for each deletion `d`, found by `where`, and says how
 * many; `key` names the columns of its primary key.
 */
function clear(table: string, key: readonly string[], where: string): Statement {
  const columns = key.join(', ');
  return {
    name: `clear_${table}_${key[0]}_${where.length}`,
    text: `with page as materialized (
    select d.n, t.*
    from ${GIVEN}
    cross join lateral (
      select ${columns}
      from ${table} t
      where ${where}
      limit $7
    ) t
  ), gone as (
    delete from ${table} t
    using page
    where ${key.map((column) => `t.${column} = page.${column}`).join('\n      and ')}
  )
  select n::int as n, count(*)::int as rows
  from page
  group by n`,
  };
}

const SUBSCRIPTION = [
  'environment_id',
  'object_collection',
  'object_id',
  'recipient_collection',
  'recipient_id',
];

const STATEMENTS: readonly Statement[] = [
  clear(
    'subscription',
    SUBSCRIPTION,
    `t.environment_id = d.environment_id
        and t.recipient_collection = d.collection
        and t.recipient_id = d.recipient_id
        and t.updated_at <= d.recorded_at`,
  ),
  clear(
    'subscription',
    SUBSCRIPTION,
    `t.environment_id = d.environment_id
        and t.object_collection = d.collection
        and t.object_id = d.recipient_id
        and t.updated_at <= d.recorded_at`,
  ),
  clear(
    'schedule',
    ['id'],
    `t.environment_id = d.environment_id
        and t.collection = d.collection
        and t.recipient_id = d.recipient_id
        and t.inserted_at < d.deleted_at`,
  ),
  clear(
    'event_wait',
    ['run_id', 'ref'],
    `t.environment_id = d.environment_id
        and t.recipient_id = d.recipient_id
        and t.collection = d.collection
        and t.workflow_run_id < d.before`,
  ),
];

/** Deletes a page of everything but messages of each. Returns the fullest page of each. */
export async function clearRest(
  db: Queryable,
  deletions: readonly Deletion[],
  limit: number,
): Promise<readonly number[]> {
  const values = [
    ...keysOf(deletions),
    triggersBefore(deletions),
    textArray(deletions.map(({ deletedAt }) => deletedAt.toISOString())),
    textArray(deletions.map(({ recordedAt }) => recordedAt)),
    limit,
  ];
  const fullest = deletions.map(() => 0);
  for (const statement of STATEMENTS) {
    for (const { n, rows } of await db.query<{ n: number; rows: number }>(statement, values)) {
      fullest[n - 1] = Math.max(fullest[n - 1] ?? 0, rows);
    }
  }
  return fullest;
}
