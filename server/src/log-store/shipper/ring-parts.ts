import type { Database, DatabasePool } from '../../db/database.ts';
import { type LogSource, logSources } from '../log-store.ts';
import { type LoadedRows, loadRows, MOST_ROWS } from './load-rows.ts';
import type { Position } from './position.ts';

/** A row of the ring, without its ids. */
export type RingRow = {
  readonly xid: string;
  readonly number: string;
  readonly source: number;
  readonly rows: number;
  /** Of the transaction, where the row itself names none. */
  readonly environment: number | null;
};

const PART_ROWS = 60_000;
const PART_STATEMENTS = 2_000;

/** The next part of the shipment under way; empty: it is over. The same as long as the position does not move. */
export function nextPart(db: Database, position: Position): Promise<readonly RingRow[]> {
  return db.query<RingRow>(
    `select xid::text as xid, number::text as number, source, rows, environment
     from (
       select xid, number, source, rows,
         coalesce(environment_id, min(environment_id) over (partition by xid)) as environment,
         sum(rows) over (order by xid, number) - rows as before
       from (
         select xid, number, source, rows, environment_id
         from log_ring
         where xid >= coalesce($3::xid8, pg_snapshot_xmin($1::pg_snapshot))
           and xid < pg_snapshot_xmax($2::pg_snapshot)
           and ($3::xid8 is null or (xid, number) > ($3::xid8, $4::bigint))
           and not pg_visible_in_snapshot(xid, $1::pg_snapshot)
           and pg_visible_in_snapshot(xid, $2::pg_snapshot)
         order by xid, number
         limit ${PART_STATEMENTS}
       ) next
     ) part
     where before < ${PART_ROWS}
     order by part.xid, part.number`,
    [position.shipped, position.target, position.afterXid, position.afterNumber],
  );
}

/** The tables' rows of these rows of the ring, a batch at a time. */
export async function* loadPart(
  db: DatabasePool,
  part: readonly RingRow[],
): AsyncGenerator<LoadedRows> {
  for (const [index, source] of logSources.entries()) {
    const own = part.filter((row) => row.source === index + 1);
    const first = own[0];
    const last = own.at(-1);
    if (!first || !last) continue;
    const total = own.reduce((sum, row) => sum + row.rows, 0);
    const numbers = own.map((row) => row.number);
    for (const offset of slices(source, total)) {
      yield loadRows(
        db,
        source,
        `select k.id, k.number
        from log_ring r
        cross join lateral unnest(r.ids, r.numbers) with ordinality as k(id, number, n)
        where r.xid between $1::xid8 and $2::xid8
          and r.number = any($3::bigint[])
        order by r.xid, r.number, k.n
        offset $4
        limit $5`,
        [first.xid, last.xid, numbers, offset, MOST_ROWS[source]],
      );
    }
  }
}

/** Where the batches of so many rows begin. */
export function slices(source: LogSource, total: number): number[] {
  const size = MOST_ROWS[source];
  return Array.from({ length: Math.ceil(total / size) }, (_, i) => i * size);
}
