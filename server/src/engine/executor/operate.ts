import { plainArray } from '../../db/array-literal.ts';
import type { Statement } from '../../db/database.ts';
import { nestedTransactions } from '../../db/nested-transactions.ts';
import type { Clock } from '../../lib/clock.ts';
import { BelfryError } from '../../lib/errors.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { Logger } from '../../lib/log.ts';
import { failOperation, isOvertaken, turnOperation } from '../../operations/turn.ts';
import { type ChunkRef, type NewChunk, OPERATION } from '../log/chunk.ts';
import {
  CHUNK_PARAMETERS,
  chunkRefs,
  chunkValues,
  insertChunksSql,
  placeChunks,
} from '../log/insert-chunks.ts';
import type { Stream } from '../log/stream.ts';
import type { WorkReport } from './commit-evaluation.ts';
import type { PreparedSlice } from './evaluate.ts';
import { isDatabaseTrouble, isRefusal, mayBeDone, receiptsSql } from './receipts.ts';

/** What turns of operations need; `announce` says which is next, where one of them killed an executor. */
export type OperationServices = {
  readonly clock: Clock;
  readonly log: Logger;
  readonly announce?: (stream: number, sequence: number, index: number) => void;
};

/**
 * A turn of each operation, then its receipt with the chunk of the next turn; see operations/README.md. Throws when the
 * database is away.
 */
export async function executeOperations(
  services: OperationServices,
  stream: Stream,
  slot: number,
  slices: readonly PreparedSlice[],
): Promise<WorkReport> {
  const appended: ChunkRef[] = [];
  for (const slice of slices) {
    services.announce?.(slice.stream, slice.sequence, 0);
    const next = await turn(services, stream, slice);
    services.announce?.(0, 0, -1);
    appended.push(...(await writeReceipt(services.clock, stream, slot, slice, next)));
  }
  return { runs: 0, messages: 0, appended, feeds: [] };
}

/** The chunk of the next turn, if there is one. */
async function turn(
  { clock, log }: OperationServices,
  stream: Stream,
  { chunk, skip }: PreparedSlice,
): Promise<readonly NewChunk[]> {
  const id = chunk.body.operation;
  if (id === undefined) return [];
  const ctx = { db: nestedTransactions(stream.session), clock, log, isRefusal: isRefused };
  if (skip.length > 0) {
    log.error({ operation: id }, 'a bulk operation killed its executor; it is recorded as failed');
    await failOperation(ctx, id);
    return [];
  }
  try {
    return (await turnOperation(ctx, id)) ? [operationChunk(id, chunk.laneId)] : [];
  } catch (error) {
    if (!isOvertaken(error)) throw error;
    // Should it be over meanwhile, the next turn finds that.
    return [operationChunk(id, chunk.laneId)];
  }
}

/** A turn of an operation as a chunk; its size is what the turn may do, which is not known before. */
export function operationChunk(id: string, laneId: number): NewChunk {
  return {
    laneId,
    kind: OPERATION,
    runCount: TURN_RUNS,
    dueMs: undefined,
    body: JSON.stringify({ triggers: [], runs: [], operation: id }),
  };
}

/** So that an assignment has one turn. */
const TURN_RUNS = 100;

/** Appends what comes next, unless the slice has its receipt already. */
async function writeReceipt(
  clock: Clock,
  stream: Stream,
  slot: number,
  slice: PreparedSlice,
  next: readonly NewChunk[],
): Promise<ChunkRef[]> {
  const nowMs = clock.now();
  const chunks = placeChunks(next, stream.nextSequence, nowMs);
  try {
    await stream.session.query(statement(slot), [
      ...chunkValues(stream.number, new Date(nowMs).toISOString(), chunks),
      1,
      plainArray([slice.stream]),
      plainArray([slice.sequence]),
      plainArray([slice.slice]),
      plainArray([0]),
      plainArray([0]),
      null,
    ]);
  } catch (error) {
    if (!mayBeDone(error)) throw error;
    return [];
  }
  faultPoint('operation.after-receipt');
  stream.nextSequence += chunks.length;
  return chunkRefs(chunks, stream.number);
}

const FIRST = CHUNK_PARAMETERS + 1;
const TEXT = `with ${receiptsSql(FIRST, FIRST + 6)}, chunks as (
  ${insertChunksSql(1)}
)
select 1`;

function statement(slot: number): Statement {
  return { name: `write_operation_${slot}`, text: TEXT.replaceAll('SLOT', String(slot)) };
}

function isRefused(error: unknown): boolean {
  return error instanceof BelfryError || isRefusal(error) || !isDatabaseTrouble(error);
}
