import type { Database, DatabasePool, Queryable } from '../../db/database.ts';
import { logSources } from '../log-store.ts';
import { type LoadedRows, loadRows, MOST_ROWS } from './load-rows.ts';
import type { Position } from './position.ts';
import { type RingRow, slices } from './ring-parts.ts';

/** More than this of what waits is more than a share, when others wait too. */
const SHARE = 0.5;
/** Pages of the ring that are looked at, spread over all of it. */
const SAMPLED_PAGES = 2_000;
const PAGE_BYTES = 8_192;

/** The environment that has more than its share of what waits; null: none has. */
export async function greedyEnvironment(
  db: Queryable,
  position: Position,
  waitingBytes: number,
): Promise<number | null> {
  const percent = Math.min(100, (100 * SAMPLED_PAGES) / Math.max(1, waitingBytes / PAGE_BYTES));
  const shares = await db.query<{ environment: number; rows: number }>(
    `select environment_id as environment, sum(rows)::float8 as rows
     from log_ring tablesample system ($1)
     where environment_id is not null
       and xid >= pg_snapshot_xmin($2::pg_snapshot)
       and not pg_visible_in_snapshot(xid, $2::pg_snapshot)
     group by environment_id
     order by 2 desc`,
    [percent, position.shipped],
  );
  const total = shares.reduce((sum, { rows }) => sum + rows, 0);
  const [first] = shares;
  return first && shares.length > 1 && first.rows > SHARE * total ? first.environment : null;
}

/** Copies what an environment has in a part, by its ids, to what is sent later. */
export async function putAside(
  tx: Queryable,
  part: readonly RingRow[],
  environment: number,
): Promise<void> {
  const own = part.filter((row) => row.environment === environment);
  if (own.length === 0) return;
  await tx.query(
    `insert into log_aside (environment_id, at, source, rows, ids, numbers)
     select $4, at, source, rows, ids, numbers
     from log_ring
     where xid between $1::xid8 and $2::xid8
       and number = any($3::bigint[])
     order by xid, number`,
    [own[0]?.xid, own.at(-1)?.xid, own.map((row) => row.number), environment],
  );
}

type AsideRow = { readonly id: number; readonly source: number; readonly rows: number };

/** The oldest of what the environment after `environment` (in a circle) put aside; empty: nothing is. */
export async function nextAside(
  db: Database,
  environment: number,
): Promise<{ readonly environment: number; readonly rows: readonly AsideRow[] }> {
  const [next] = await db.query<{ environment: number }>(
    `select environment_id as environment
     from log_aside
     order by environment_id <= $1, environment_id
     limit 1`,
    [environment],
  );
  if (!next) return { environment: 0, rows: [] };
  const rows = await db.query<AsideRow>(
    `select id, source, rows
     from (
       select id, source, rows, sum(rows) over (order by id) - rows as before
       from (
         select id, source, rows
         from log_aside
         where environment_id = $1
         order by id
         limit 2000
       ) next
     ) part
     where before < 20000
     order by part.id`,
    [next.environment],
  );
  return { environment: next.environment, rows };
}

export async function* loadAside(
  db: DatabasePool,
  rows: readonly AsideRow[],
): AsyncGenerator<LoadedRows> {
  for (const [index, source] of logSources.entries()) {
    const own = rows.filter((row) => row.source === index + 1);
    const total = own.reduce((sum, row) => sum + row.rows, 0);
    for (const offset of slices(source, total)) {
      yield loadRows(
        db,
        source,
        `select k.id, k.number
        from log_aside a
        cross join lateral unnest(a.ids, a.numbers) with ordinality as k(id, number, n)
        where a.id = any($1::bigint[])
        order by a.id, k.n
        offset $2
        limit $3`,
        [own.map((row) => row.id), offset, MOST_ROWS[source]],
      );
    }
  }
}

export async function dropAside(db: Queryable, rows: readonly AsideRow[]): Promise<void> {
  await db.query('delete from log_aside where id = any($1::bigint[])', [rows.map(({ id }) => id)]);
}
