import { type ChunkRef, SLICE_RUNS } from '../log/chunk.ts';

/** Runs in a slice: all slices of a chunk are full but the last. */
export function runsInSlice(ref: ChunkRef, slice: number): number {
  if (ref.sliceCount === ref.runCount) return 1;
  return Math.min(SLICE_RUNS, ref.runCount - slice * SLICE_RUNS);
}
