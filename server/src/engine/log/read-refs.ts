import type { Queryable } from '../../db/database.ts';
import type { ChunkKind, ChunkRef } from './chunk.ts';
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
     ${OPEN.replace('from chunk c', `from chunk_${slot} c`).replace('from receipt r', `from receipt_${slot} r`)}
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
     ${OPEN.replace('from chunk c', `from chunk_${slot} c`).replace('from receipt r', `from receipt_${slot} r`)}
       and c.due_at > $1
       and c.due_at <= $2
     order by c.due_at
     limit $3`,
    [from, to, limit],
  );
  return rows.map(openChunk);
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
