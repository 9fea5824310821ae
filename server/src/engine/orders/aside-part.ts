import type { Queryable } from '../../db/database.ts';
import type { ChunkKind } from '../log/chunk.ts';
import { acrossSlots, FIRST_ASIDE_SLOT, SLOT_COUNT } from '../log/slots.ts';
import type { QueuedSlices } from '../scheduler/lane-queue.ts';

/** Work of lanes in scope in one place, and the part of it that is read. */
export type Part = { readonly runs: number; readonly entries: readonly QueuedSlices[] };

type Row = {
  readonly slot: number;
  readonly stream: number;
  readonly sequence: number;
  readonly lane_id: number;
  readonly run_count: number;
  readonly slice_count: number;
  readonly order_id: number;
  readonly all_runs: number;
};

/** Chunks of holds and slows in force of which nothing is done. */
const UNTOUCHED = acrossSlots(
  FIRST_ASIDE_SLOT,
  SLOT_COUNT,
  (slot) => `
    select ${slot}::smallint as slot, c.stream, c.sequence, c.lane_id, c.run_count, c.slice_count, c.order_id,
      c.accepted_at
    from chunk_${slot} c
    join work_order o on o.id = c.order_id
    where c.kind = $1
      and c.lane_id / 4 = any($2::int[])
      and o.verb <> 'discard'
      and o.ended_at is null
      and not exists (
        select
        from receipt_${slot} r
        where r.stream = c.stream
          and r.sequence = c.sequence
      )`,
);

/**
 * What holds and slows in force set aside of these environments, and `chunks` of it, spread evenly. Only keys of
 * chunks are visited, not their bodies; a chunk of which a part is done is on its way and left out.
 */
export async function asidePart(
  db: Queryable,
  kind: ChunkKind,
  environmentIds: readonly number[],
  chunks: number,
): Promise<Part> {
  const rows = await db.query<Row>(
    `
    with aside as (
      select slot, stream, sequence, lane_id, run_count, slice_count, order_id,
        row_number() over (order by accepted_at, stream, sequence) - 1 as position,
        count(*) over () as all_chunks, sum(run_count) over () as all_runs
      from (${UNTOUCHED}) as untouched
    )
    select slot, stream, sequence, lane_id, run_count, slice_count, order_id, all_runs
    from aside
    where position % ((all_chunks + $3 - 1) / $3) = 0
    order by position`,
    [kind, environmentIds, chunks],
  );
  return {
    runs: rows[0]?.all_runs ?? 0,
    entries: rows.map((row) => ({
      ref: {
        slot: row.slot,
        stream: row.stream,
        sequence: row.sequence,
        laneId: row.lane_id,
        kind,
        flow: 0,
        runCount: row.run_count,
        sliceCount: row.slice_count,
        dueMs: undefined,
        orderId: row.order_id,
      },
      next: 0,
      end: row.slice_count,
      careful: false,
      skip: [],
      freshAtMs: undefined,
      queuedAtMs: 0,
    })),
  };
}
