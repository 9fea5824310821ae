import { plainArray } from '../../db/array-literal.ts';
import { type Queryable, sqlState } from '../../db/database.ts';
import { prepared } from '../../db/prepared.ts';

/** A slice, wherever it comes from. */
export type SliceKey = {
  readonly stream: number;
  readonly sequence: number;
  readonly slice: number;
};

const DIVISION_BY_ZERO = '22012';
const UNIQUE_VIOLATION = '23505';

/**
 * The first two parts of every statement that ends slices, parameters numbered from `first`: chunk count,
 * then stream, sequence, slice, done and failed of each receipt; parameter `version` is the number of the
 * orders that the slices were evaluated under, null where none were asked. The guard divides by zero when a
 * chunk is gone, which happens only after all of its slices got their receipts, and when other orders are in
 * force. It locks no row of `governance`, but shares the table with all but those who change orders, who wait for
 * the statement as it waits for them; a backup reads the table beside them. `SLOT` stands for the slot.
 */
export function receiptsSql(first: number, version: number): string {
  const p = (offset: number): string => `$${first + offset}`;
  return `guard as (
  select 1 / (
    count(*) = ${p(0)}::int
    and (select coalesce($${version}::bigint, version) = version from governance)
    and not exists (select from governance where version < 0 for key share)
  )::int as present
  from chunk_SLOT c
  join (select distinct * from unnest(${p(1)}::smallint[], ${p(2)}::bigint[]) as d(stream, sequence)) wanted
    using (stream, sequence)
), receipts as (
  insert into receipt_SLOT (slot, stream, sequence, slice, done, failed)
  select SLOT, r.*
  from guard,
       unnest(${p(1)}::smallint[], ${p(2)}::bigint[], ${p(3)}::smallint[], ${p(4)}::smallint[], ${p(5)}::smallint[])
         as r(stream, sequence, slice, done, failed)
  where guard.present = 1
)`;
}

/** Positions of the slices that lack a receipt and whose chunk exists, each slice once. */
export async function openSlices(
  db: Queryable,
  slot: number,
  slices: readonly SliceKey[],
): Promise<number[]> {
  const rows = await db.query<{ position: number }>(
    prepared(`select min(wanted.n)::int - 1 as position
     from unnest((select $1::smallint[]), (select $2::bigint[]), (select $3::smallint[])) with ordinality
       as wanted(stream, sequence, slice, n)
     join chunk_${slot} c using (stream, sequence)
     where not exists (
       select
       from receipt_${slot} r
       where r.stream = wanted.stream and r.sequence = wanted.sequence and r.slice = wanted.slice
     )
     group by wanted.stream, wanted.sequence, wanted.slice
     order by 1`),
    [
      slices.map((slice) => slice.stream),
      slices.map((slice) => slice.sequence),
      slices.map((slice) => slice.slice),
    ],
  );
  return rows.map((row) => row.position);
}

/**
 * The slices that were not recorded yet, each once: an order comes again as a whole when its executor
 * dies, and whom a provider has acknowledged, or an endpoint answered, must not be asked again.
 */
export async function unrecordedSlices<Slice extends SliceKey>(
  db: Queryable,
  slot: number,
  slices: readonly Slice[],
): Promise<Slice[]> {
  const rows = await db.query<{ n: number }>(
    prepared(`select min(wanted.n)::int as n
     from unnest((select $1::smallint[]), (select $2::bigint[]), (select $3::smallint[])) with ordinality
       as wanted(stream, sequence, slice, n)
     where not exists (
       select
       from receipt_${slot} r
       where r.stream = wanted.stream and r.sequence = wanted.sequence and r.slice = wanted.slice
     )
     group by wanted.stream, wanted.sequence, wanted.slice
     order by 1`),
    [
      plainArray(slices.map((slice) => slice.stream)),
      plainArray(slices.map((slice) => slice.sequence)),
      plainArray(slices.map((slice) => slice.slice)),
    ],
  );
  return rows.flatMap(({ n }) => slices[n - 1] ?? []);
}

/** Whether a statement was refused because its chunks are gone or other orders are in force. */
export function isGuarded(error: unknown): boolean {
  return sqlState(error) === DIVISION_BY_ZERO;
}

/** Whether an error can mean that somebody else ended a slice first, or that orders changed. */
export function mayBeDone(error: unknown): boolean {
  const state = sqlState(error);
  return state === DIVISION_BY_ZERO || state === UNIQUE_VIOLATION;
}

/**
 * Whether trying again cannot help: the database refuses the data (SQLSTATE classes 22, 23 and 54), or our
 * own code fails on it. What the database may get over (lost sessions, locks, disk) is not a refusal.
 */
export function isRefusal(error: unknown): boolean {
  const state = sqlState(error);
  if (state !== undefined) return /^(22|23|54)/.test(state);
  return error instanceof TypeError || error instanceof RangeError;
}

/** Whether an error says something about the database rather than about what it was asked for. */
export function isDatabaseTrouble(error: unknown): boolean {
  if (sqlState(error) !== undefined) return true;
  return error instanceof Error && /connection|ECONN|terminat|time-?out/i.test(error.message);
}
