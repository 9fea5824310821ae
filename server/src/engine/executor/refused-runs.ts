import { type ChunkRun, SLICE_RUNS } from '../log/chunk.ts';
import type { Stream } from '../log/stream.ts';
import { writeEvaluation } from './commit-evaluation.ts';
import type { PreparedSlice } from './evaluate.ts';
import type { Surroundings } from './evaluate-run.ts';
import { isGuarded, isRefusal } from './receipts.ts';

/** Tries each run alone, in transactions that are rolled back; those that cannot be done are skipped. */
export async function skipRefused(
  stream: Stream,
  slot: number,
  slices: readonly PreparedSlice[],
  around: Surroundings,
): Promise<PreparedSlice[]> {
  const found: PreparedSlice[] = [];
  for (const slice of slices) {
    const from = slice.slice * SLICE_RUNS;
    const to = Math.min(from + SLICE_RUNS, slice.chunk.body.runs.length);
    const indexes = Array.from({ length: to - from }, (_, i) => from + i);
    const skip = [...slice.skip];
    for (const index of indexes) {
      const others = indexes.filter((other) => other !== index);
      const alone = withoutRefusedTriggers({ ...slice, skip: others });
      if (await isRefused(stream, slot, alone, around)) skip.push(index);
    }
    found.push({ ...slice, skip });
  }
  return found;
}

/** Takes away what the recipients of a trigger share, where none of its runs in the slice is left. */
export function withoutRefusedTriggers(slice: PreparedSlice): PreparedSlice {
  const { body } = slice.chunk;
  const from = slice.slice * SLICE_RUNS;
  const skipped = new Set(slice.skip);
  const kept = new Set(
    body.runs
      .slice(from, from + SLICE_RUNS)
      .flatMap(([trigger], i) => (skipped.has(from + i) ? [] : [trigger])),
  );
  const triggers = body.triggers.map((trigger, number) =>
    kept.has(number) ? trigger : { ...trigger, actor: null, tenant: null, data: {}, cancel: null },
  );
  const runs = body.runs.map((run): ChunkRun => (kept.has(run[0]) ? run : withoutFanOut(run)));
  return { ...slice, chunk: { ...slice.chunk, body: { triggers, runs } } };
}

/** Whoever subscribes would get what is no more. */
function withoutFanOut([trigger, recipient, state]: ChunkRun): ChunkRun {
  if (!state?.fan) return state ? [trigger, recipient, state] : [trigger, recipient];
  const { fan: _, ...rest } = state;
  return [trigger, recipient, rest];
}

async function isRefused(
  stream: Stream,
  slot: number,
  slice: PreparedSlice,
  around: Surroundings,
): Promise<boolean> {
  await stream.session.query('begin');
  try {
    await writeEvaluation(stream, slot, [slice], around, () => Promise.resolve(stream.session));
    return false;
  } catch (error) {
    // That says nothing of the run.
    if (!isRefusal(error) || isGuarded(error)) throw error;
    return true;
  } finally {
    await stream.session.query('rollback');
  }
}
