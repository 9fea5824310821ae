import type { Queryable } from '../../db/database.ts';

/** How far the store is: the row of `log_shipper`. Snapshots and transaction ids are text. */
export type Position = {
  readonly cluster: string;
  readonly store: string | null;
  readonly shipped: string;
  readonly shippedAt: Date;
  readonly target: string | null;
  /** Until when the shipment under way goes; null: none is. */
  readonly targetAt: Date | null;
  readonly afterXid: string | null;
  readonly afterNumber: string | null;
  readonly forgotten: number;
  readonly version: number;
};

/** Another shipper moved the position: whoever gets this reads it again. */
export class PositionMoved extends Error {}

const COLUMNS = `cluster, store, shipped::text as shipped, shipped_at as "shippedAt", target::text as target, target_at as "targetAt", after_xid::text as "afterXid",
    after_number::text as "afterNumber", forgotten, version`;

export async function readPosition(db: Queryable): Promise<Position | undefined> {
  const [row] = await db.query<Position>(`select ${COLUMNS} from log_shipper`);
  return row;
}

/** Changes the position unless somebody else did since it was read. `set` is SQL; its values begin at $2. */
export async function movePosition(
  db: Queryable,
  from: Position,
  set: string,
  values: readonly unknown[] = [],
): Promise<Position> {
  const [row] = await db.query<Position>(
    `update log_shipper
     set ${set},
       version = version + 1
     where version = $1
     returning ${COLUMNS}`,
    [from.version, ...values],
  );
  if (row) return row;
  throw new PositionMoved('another shipper moved the position');
}

/** The intent: everything that is visible now and was not shipped. */
export function beginShipment(db: Queryable, position: Position): Promise<Position> {
  return movePosition(
    db,
    position,
    'target = pg_current_snapshot(), target_at = statement_timestamp(), after_xid = null, after_number = null',
  );
}

export function endPart(
  db: Queryable,
  position: Position,
  last: { readonly xid: string; readonly number: string },
): Promise<Position> {
  return movePosition(db, position, 'after_xid = $2::xid8, after_number = $3::bigint', [
    last.xid,
    last.number,
  ]);
}

export function endShipment(db: Queryable, position: Position): Promise<Position> {
  return movePosition(
    db,
    position,
    'shipped = target, shipped_at = target_at, target = null, target_at = null, after_xid = null, after_number = null',
  );
}

/**
 * Writes down that everything from `fromAt` (null: from the beginning) until now has to be looked for in the tables, and goes
 * on from now. In a transaction of the caller.
 */
export async function jumpToNow(tx: Queryable, fromAt: Date | null): Promise<void> {
  // One that goes on where another ended, and that is not begun, is the same.
  const extended = await tx.query(
    `update log_gap
     set until_at = clock_timestamp(),
       from_at = case when from_at is not null then least(from_at, $1::timestamptz) end
     where id = (select max(id) from log_gap)
       and source = 1
       and after_id is null
       and until_at >= $1::timestamptz
     returning 1`,
    [fromAt],
  );
  if (extended.length === 0) {
    await tx.query(
      `insert into log_gap (from_at, until_at)
       values ($1, clock_timestamp())`,
      [fromAt],
    );
  }
  await tx.query(
    `insert into log_shipper (cluster, shipped, shipped_at, forgotten)
     select ${CLUSTER}, pg_current_snapshot(), clock_timestamp(),
       coalesce(min(id) filter (where due_at is not null) - 1, max(id), 0)
     from deletion
     on conflict (only_row) do update
     set cluster = excluded.cluster,
       shipped = excluded.shipped,
       shipped_at = excluded.shipped_at,
       target = null,
       target_at = null,
       after_xid = null,
       after_number = null,
       version = log_shipper.version + 1`,
  );
}

/** Which cluster this is: transaction ids of another one mean nothing here. */
const CLUSTER = '(select system_identifier::text from pg_control_system())';

/** Whether the position is of this cluster, and not of a time that it has not come to yet. */
export async function isOfThisCluster(db: Queryable): Promise<boolean> {
  const [row] = await db.query<{ isOurs: boolean }>(
    `select cluster = ${CLUSTER} and pg_snapshot_xmax(shipped) <= pg_snapshot_xmax(pg_current_snapshot()) as "isOurs"
     from log_shipper`,
  );
  return row?.isOurs ?? true;
}

/** What is not in the store yet, beside what is written: gaps, and deletions of recipients. */
export async function countOpen(
  db: Queryable,
): Promise<{ readonly gaps: number; readonly deletionsOpen: number }> {
  const [row] = await db.query<{ gaps: number; deletionsOpen: number }>(
    `select (select count(*)::int from log_gap) as gaps,
       (
         select count(*)::int
         from deletion d
         where d.id > s.forgotten
       ) as "deletionsOpen"
     from log_shipper s`,
  );
  return row ?? { gaps: 0, deletionsOpen: 0 };
}
