import type { Queryable } from '../../db/database.ts';
import type { ChunkKind, ChunkRef } from './chunk.ts';
import { asideSlot } from './slots.ts';
import { STREAM_LOCK_CLASS } from './stream.ts';

/** A chunk without all of its receipts. */
export type OpenChunk = {
  readonly ref: ChunkRef;
  /** Slices that have receipts. */
  readonly receipted: readonly number[];
};

type Row = {
  readonly slot: number;
  readonly stream: number;
  readonly sequence: number;
  readonly lane_id: number;
  readonly kind: ChunkKind;
  readonly flow: number;
  readonly order_id: number | null;
  readonly run_count: number;
  readonly slice_count: number;
  readonly due_at: Date | null;
  readonly receipted: number[] | null;
};

const COLUMNS = `c.slot, c.stream, c.sequence, c.lane_id, c.kind, c.flow, c.order_id, c.run_count,
  c.slice_count, c.due_at`;

/** Chunks of a slot that lack receipts, as the rest of a query. */
function openOf(slot: number): string {
  return OPEN.replace('from chunk c', `from chunk_${slot} c`).replace(
    'from receipt r',
    `from receipt_${slot} r`,
  );
}

const OPEN = `from chunk c
left join lateral (
  select array_agg(r.slice) as slices, count(*) as n
  from receipt r
  where r.slot = c.slot
    and r.stream = c.stream
    and r.sequence = c.sequence
) receipts on true
where receipts.n < c.slice_count`;

/** Chunks of a slot that are to be done by `dueBefore`, oldest first. */
export async function openChunksOfSlot(
  db: Queryable,
  slot: number,
  dueBefore: Date,
): Promise<OpenChunk[]> {
  const rows = await db.query<Row>(
    `select ${COLUMNS}, receipts.slices as receipted
     ${openOf(slot)}
       and (c.due_at is null or c.due_at <= $1)
     order by c.accepted_at, c.stream, c.sequence`,
    [dueBefore],
  );
  return rows.map(openChunk);
}

/** Timers of a slot that fall due after `from` and not after `to`, at most `limit`, soonest first. */
export async function timersOfSlot(
  db: Queryable,
  slot: number,
  from: Date,
  to: Date,
  limit: number,
): Promise<OpenChunk[]> {
  const rows = await db.query<Row>(
    `select ${COLUMNS}, receipts.slices as receipted
     ${openOf(slot)}
       and c.due_at > $1
       and c.due_at <= $2
     order by c.due_at
     limit $3`,
    [from, to, limit],
  );
  return rows.map(openChunk);
}

/** Where a page of an order's chunks ended. */
export type AsideCursor = {
  readonly acceptedAt: Date;
  readonly stream: number;
  readonly sequence: number;
};

/**
 * Chunks that an order set aside and that lack receipts, those accepted first first; of one kind or both, after
 * `cursor`, at most `limit`.
 */
export async function openChunksOfOrder(
  db: Queryable,
  orderId: number,
  kind: ChunkKind | undefined,
  after: AsideCursor | undefined,
  limit: number,
): Promise<(OpenChunk & { readonly cursor: AsideCursor })[]> {
  const slot = asideSlot(orderId);
  const rows = await db.query<Row & { accepted_at: Date }>(
    `select ${COLUMNS}, receipts.slices as receipted, c.accepted_at
     ${openOf(slot)}
       and c.order_id = $1
       and ($2::smallint is null or c.kind = $2)
       and (c.accepted_at, c.stream, c.sequence) > ($3::timestamptz, $4::smallint, $5::bigint)
     order by c.accepted_at, c.stream, c.sequence
     limit $6`,
    [
      orderId,
      kind,
      after?.acceptedAt ?? '-infinity',
      after?.stream ?? 0,
      after?.sequence ?? 0,
      limit,
    ],
  );
  return rows.map((row) => ({
    ...openChunk(row),
    cursor: { acceptedAt: row.accepted_at, stream: row.stream, sequence: row.sequence },
  }));
}

/** The highest sequence of each stream that ever appended. */
export async function highestSequences(db: Queryable): Promise<Map<number, number>> {
  const rows = await db.query<{ stream: number; high: number }>(
    `with stream as (
       select stream from log_stream
       union
       select objid::int::smallint
       from pg_locks
       where locktype = 'advisory'
         and classid = $1::bigint::oid
         and database = (select oid from pg_database where datname = current_database())
     )
     select stream, greatest(
       coalesce((select high_sequence from log_stream l where l.stream = stream.stream), 0),
       coalesce((select max(sequence) from chunk c where c.stream = stream.stream), 0)
     ) as high
     from stream`,
    [STREAM_LOCK_CLASS],
  );
  return new Map(rows.map((row) => [row.stream, row.high]));
}

/** Chunks of a stream with a sequence above `after`, in order. */
export async function chunksAfter(
  db: Queryable,
  stream: number,
  after: number,
): Promise<OpenChunk[]> {
  const rows = await db.query<Row>(
    `select ${COLUMNS}, null as receipted
     from chunk c
     where c.stream = $1
       and c.sequence > $2
     order by c.sequence`,
    [stream, after],
  );
  return rows.map(openChunk);
}

function openChunk(row: Row): OpenChunk {
  return {
    ref: {
      slot: row.slot,
      stream: row.stream,
      sequence: row.sequence,
      laneId: row.lane_id,
      kind: row.kind,
      flow: row.flow,
      runCount: row.run_count,
      sliceCount: row.slice_count,
      dueMs: row.due_at?.getTime(),
      ...(row.order_id === null ? {} : { orderId: row.order_id }),
    },
    receipted: row.receipted ?? [],
  };
}
