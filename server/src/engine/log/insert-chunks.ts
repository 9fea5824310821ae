import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Statement } from '../../db/database.ts';
import { type ChunkRef, type NewChunk, sliceCountOf } from './chunk.ts';
import { slotFor } from './slots.ts';

/** A chunk with its place. */
export type PlacedChunk = NewChunk & { readonly slot: number; readonly sequence: number };

/** Gives chunks their slots and the sequences from `firstSequence` on. */
export function placeChunks(
  chunks: readonly NewChunk[],
  firstSequence: number,
  nowMs: number,
): PlacedChunk[] {
  return chunks.map((chunk, i) => ({
    ...chunk,
    slot: slotFor(nowMs, chunk.dueMs),
    sequence: firstSequence + i,
  }));
}

/** What the scheduler is told of placed chunks. */
export function chunkRefs(chunks: readonly PlacedChunk[], stream: number): ChunkRef[] {
  return chunks.map((chunk) => ({
    slot: chunk.slot,
    stream,
    sequence: chunk.sequence,
    laneId: chunk.laneId,
    kind: chunk.kind,
    runCount: chunk.runCount,
    sliceCount: sliceCountOf(chunk.kind, chunk.runCount),
    dueMs: chunk.dueMs,
  }));
}

/** Number of parameters of the insert below. */
export const CHUNK_PARAMETERS = 10;

/**
 * The insert of chunks as SQL text, its parameters numbered from `first`. The epoch is the lane's at
 * this moment, so that voiding a lane voids exactly what was appended before.
 */
export function insertChunksSql(first: number): string {
  const p = (offset: number): string => `$${first + offset}`;
  return `insert into chunk
    (slot, stream, sequence, lane_id, epoch, kind, run_count, slice_count, accepted_at, due_at, body)
  select c.slot, ${p(0)}::smallint, c.sequence, c.lane_id, coalesce(lane.epoch, 0), c.kind, c.run_count,
         c.slice_count, ${p(1)}::timestamptz, c.due_at, c.body
  from unnest(${p(2)}::smallint[], ${p(3)}::bigint[], ${p(4)}::int[], ${p(5)}::smallint[],
              ${p(6)}::smallint[], ${p(7)}::smallint[], ${p(8)}::timestamptz[], ${p(9)}::text[])
    as c(slot, sequence, lane_id, kind, run_count, slice_count, due_at, body)
  left join lane on lane.id = c.lane_id`;
}

export const INSERT_CHUNKS: Statement = { name: 'insert_chunks', text: insertChunksSql(1) };

/** The values for `insertChunksSql`, in order. */
export function chunkValues(
  stream: number,
  acceptedAt: string,
  chunks: readonly PlacedChunk[],
): unknown[] {
  return [
    stream,
    acceptedAt,
    plainArray(chunks.map((chunk) => chunk.slot)),
    plainArray(chunks.map((chunk) => chunk.sequence)),
    plainArray(chunks.map((chunk) => chunk.laneId)),
    plainArray(chunks.map((chunk) => chunk.kind)),
    plainArray(chunks.map((chunk) => chunk.runCount)),
    plainArray(chunks.map((chunk) => sliceCountOf(chunk.kind, chunk.runCount))),
    textArray(
      chunks.map((chunk) =>
        chunk.dueMs === undefined ? null : new Date(chunk.dueMs).toISOString(),
      ),
    ),
    textArray(chunks.map((chunk) => chunk.body)),
  ];
}
