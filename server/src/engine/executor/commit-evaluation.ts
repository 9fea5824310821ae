import { isDeadlock, type Queryable, sqlState } from '../../db/database.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { FeedChange } from '../engine.ts';
import type { ChunkRef } from '../log/chunk.ts';
import { chunkRefs, placeChunks } from '../log/insert-chunks.ts';
import type { Stream } from '../log/stream.ts';
import { answerQuestions, writeEffects } from './dialogue.ts';
import { evaluate, type PreparedSlice } from './evaluate.ts';
import type { Surroundings } from './evaluate-run.ts';
import { writeResults } from './results.ts';

export type WorkReport = {
  readonly runs: number;
  readonly messages: number;
  readonly appended: readonly ChunkRef[];
  readonly feeds: readonly FeedChange[];
};

const SERIALIZATION_FAILURE = '40001';
/** Of what stands in each other's way, one goes on: the next attempt finds the way clear. */
const MAX_ATTEMPTS = 5;

/**
 * Evaluates slices and writes all that came of it, once or not at all. Where no run asks anything or changes anything
 * elsewhere, that is one statement; otherwise a transaction around it.
 */
export async function commitEvaluation(
  ...work: Parameters<typeof commitOnce>
): Promise<WorkReport> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await commitOnce(...work);
    } catch (error) {
      const isConflict = isDeadlock(error) || sqlState(error) === SERIALIZATION_FAILURE;
      if (!isConflict || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

async function commitOnce(
  stream: Stream,
  slot: number,
  slices: readonly PreparedSlice[],
  around: Surroundings,
): Promise<WorkReport> {
  const { session } = stream;
  let begun = false;
  const inTransaction = async (): Promise<Queryable> => {
    if (!begun) await session.query('begin');
    begun = true;
    return session;
  };
  try {
    const written = await writeEvaluation(stream, slot, slices, around, inTransaction);
    if (begun) {
      faultPoint('executor.before-commit');
      await session.query('commit');
    }
    faultPoint('executor.after-write');
    stream.nextSequence += written.appended.length;
    return written;
  } catch (error) {
    // Rejects only when the session is lost, and the transaction with it.
    if (begun) await session.query('rollback');
    throw error;
  }
}

/** Evaluates and writes within whatever transaction there is; the stream's next sequence is the caller's to move. */
export async function writeEvaluation(
  stream: Stream,
  slot: number,
  slices: readonly PreparedSlice[],
  around: Surroundings,
  inTransaction: () => Promise<Queryable>,
): Promise<WorkReport> {
  const { nowMs } = around;
  const evaluation = await evaluate(slices, around, async (questions) =>
    answerQuestions(await inTransaction(), nowMs, questions),
  );
  around.announce?.(0, 0, -1);
  const { results, effects, feeds } = evaluation;
  const products = [...evaluation.chunks];
  if (effects.length > 0) {
    const sequence = stream.nextSequence + products.length;
    const place = { stream: stream.number, sequence, nowMs };
    products.push(...(await writeEffects(await inTransaction(), effects, place)));
  }
  const chunks = placeChunks(products, stream.nextSequence, nowMs);
  faultPoint('executor.before-write');
  await stream.session.query(
    writeResults(slot, results),
    results.values(nowMs, { stream: stream.number, chunks }, around.ordersVersion),
  );
  return {
    runs: results.runCount,
    messages: results.messageCount,
    appended: chunkRefs(chunks, stream.number),
    feeds,
  };
}
