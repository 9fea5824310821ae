import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Statement } from '../../db/database.ts';
import { type ChunkRef, type NewChunk, sliceCountOf } from './chunk.ts';
import { asideSlot, slotFor } from './slots.ts';

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
    slot: chunk.aside ? asideSlot(chunk.aside.orderId) : slotFor(nowMs, chunk.dueMs),
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
    flow: chunk.flow ?? 0,
    runCount: chunk.runCount,
    sliceCount: sliceCountOf(chunk.kind, chunk.runCount),
    dueMs: chunk.dueMs,
    ...(chunk.aside ? { orderId: chunk.aside.orderId } : {}),
  }));
}

/** Number of parameters of the insert below. */
export const CHUNK_PARAMETERS = 15;

/** The insert of chunks as SQL text, its parameters numbered from `first`. */
export function insertChunksSql(first: number): string {
  const p = (offset: number): string => `$${first + offset}`;
  return `insert into chunk
    (slot, stream, sequence, lane_id, kind, run_count, slice_count, accepted_at, due_at, body, flow,
     order_id, source_stream, source_sequence)
  select c.slot, ${p(0)}::smallint, c.sequence, c.lane_id, c.kind, c.run_count, c.slice_count,
         coalesce(c.accepted_at, ${p(1)}::timestamptz), c.due_at, c.body, c.flow,
         c.order_id, c.source_stream, c.source_sequence
  from unnest(${p(2)}::smallint[], ${p(3)}::bigint[], ${p(4)}::int[], ${p(5)}::smallint[],
              ${p(6)}::smallint[], ${p(7)}::smallint[], ${p(8)}::timestamptz[], ${p(9)}::text[],
              ${p(10)}::smallint[], ${p(11)}::timestamptz[], ${p(12)}::int[], ${p(13)}::smallint[],
              ${p(14)}::bigint[])
    as c(slot, sequence, lane_id, kind, run_count, slice_count, due_at, body, flow, accepted_at, order_id,
         source_stream, source_sequence)`;
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
    textArray(chunks.map((chunk) => isoOrNull(chunk.dueMs))),
    textArray(chunks.map((chunk) => chunk.body)),
    plainArray(chunks.map((chunk) => chunk.flow ?? 0)),
    textArray(chunks.map((chunk) => isoOrNull(chunk.aside?.acceptedMs))),
    plainArray(chunks.map((chunk) => chunk.aside?.orderId ?? null)),
    plainArray(chunks.map((chunk) => chunk.aside?.stream ?? null)),
    plainArray(chunks.map((chunk) => chunk.aside?.sequence ?? null)),
  ];
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
