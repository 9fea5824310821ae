import type { Statement } from '../../db/database.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { JsonObject } from '../../lib/json.ts';
import { CALLS, type ChunkRun, type ChunkTrigger, RUNS, type RunsBody } from '../log/chunk.ts';
import { CHUNK_PARAMETERS, insertChunksSql } from '../log/insert-chunks.ts';
import type { Rule } from '../orders/rules.ts';
import type { DecodedChunk } from './chunk-cache.ts';
import { GatheredRuns } from './products.ts';
import { receiptsSql } from './receipts.ts';
import { RunsAside } from './set-aside.ts';
import {
  createSliceWriter,
  type SliceRecord,
  type SliceWriter,
  type SliceWriterOptions,
  type SliceWrites,
} from './slice-writer.ts';

/** What became of a call. */
export type CallOutcome =
  /** The run goes on with this answer; without one where nobody was to be asked any more. */
  | { readonly kind: 'answered'; readonly answer?: JsonObject }
  /** It failed so often, and is tried again. */
  | { readonly kind: 'again'; readonly failed: number }
  | { readonly kind: 'aside'; readonly rule: Rule; readonly ordersVersion: number };

export type CallRecord = SliceRecord & {
  readonly chunk: DecodedChunk<RunsBody>;
  readonly trigger: ChunkTrigger;
  readonly run: ChunkRun;
  readonly outcome: CallOutcome;
};

export type CallWriter = SliceWriter<CallRecord>;

const FIRST_RETRY_MS = 30_000;
/** Retries fall due on whole seconds, so that those of one lane share a chunk. */
const RETRY_GRAIN_MS = 1_000;

/** Group commit of answers: receipts, and the runs that go on, in one statement a slot. */
export function createCallWriter(options: SliceWriterOptions): CallWriter {
  return createSliceWriter<CallRecord>(options, {
    statement: recordCalls,
    ordersOf: ({ outcome }) => (outcome.kind === 'aside' ? outcome.ordersVersion : null),
    bare: (record) => ({ ...record, outcome: UNSTORABLE }),
    committed: () => faultPoint('call.after-record'),
    writes: writesOf,
  });
}

const UNSTORABLE: CallOutcome = {
  kind: 'answered',
  answer: { attempts: 1, error: 'the database refuses what was answered' },
};

function writesOf(records: readonly CallRecord[], nowMs: number): SliceWrites {
  const runs = new GatheredRuns();
  const aside = new RunsAside(CALLS);
  for (const { stream, sequence, chunk, trigger, run, outcome } of records) {
    const [, recipient, state = {}] = run;
    switch (outcome.kind) {
      case 'answered': {
        const { attempt: _, ...rest } = state;
        const next = outcome.answer === undefined ? rest : { ...rest, answer: outcome.answer };
        // With a due time, although that is now: the ledger counted the run before.
        runs.add(RUNS, chunk, nowMs, trigger, recipient, next);
        break;
      }
      case 'again': {
        const dueMs = nowMs + FIRST_RETRY_MS * 2 ** (outcome.failed - 1);
        const grainedMs = Math.ceil(dueMs / RETRY_GRAIN_MS) * RETRY_GRAIN_MS;
        const next = { ...state, attempt: outcome.failed };
        runs.add(CALLS, chunk, grainedMs, trigger, recipient, next);
        break;
      }
      case 'aside':
        aside.add(
          outcome.rule,
          { stream, sequence },
          chunk,
          trigger,
          recipient,
          state,
          state.id ?? '',
        );
        break;
    }
  }
  return {
    chunks: [...runs.chunks(), ...aside.chunks()],
    done: records.map(({ outcome }) => (outcome.kind === 'aside' ? 0 : 1)),
    failed: records.map(() => 0),
    rest: [],
  };
}

const FIRST = CHUNK_PARAMETERS + 1;

const TEXT = `with ${receiptsSql(FIRST, FIRST + 6)}, chunks as (
  ${insertChunksSql(1)}
)
select 1`;

function recordCalls(slot: number): Statement {
  return { name: `record_calls_${slot}`, text: TEXT.replaceAll('SLOT', String(slot)) };
}
