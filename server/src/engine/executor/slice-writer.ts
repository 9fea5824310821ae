import { plainArray } from '../../db/array-literal.ts';
import type { Statement } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { ChunkRef, NewChunk } from '../log/chunk.ts';
import { chunkRefs, chunkValues, placeChunks } from '../log/insert-chunks.ts';
import { openStream, type Stream, type StreamOptions } from '../log/stream.ts';
import { isRefusal, openSlices, type SliceKey } from './receipts.ts';

/** What became of a slice. */
export type SliceRecord = SliceKey & { readonly slot: number };

/** What records leave: chunks, receipts, and the further values of the statement. */
export type SliceWrites = {
  readonly chunks: readonly NewChunk[];
  /** Of each record. */
  readonly done: readonly number[];
  readonly failed: readonly number[];
  readonly rest: readonly unknown[];
};

export type SliceWriter<Kept> = {
  /**
   * Resolves after the commit. False: nothing was written of what an order sets aside, because the orders in
   * force are others by now.
   */
  readonly write: (record: Kept) => Promise<boolean>;
  readonly close: () => Promise<void>;
};

export type SliceWriterOptions = StreamOptions & {
  readonly clock: Clock;
  readonly log: Logger;
  readonly onAppended: (refs: readonly ChunkRef[]) => void;
};

export type SliceWriting<Kept extends SliceRecord> = {
  /** Its parameters: those of chunks, of receipts, `rest`, the number of the orders. */
  readonly statement: (slot: number) => Statement;
  readonly writes: (records: readonly Kept[], nowMs: number) => SliceWrites;
  /** The number of the orders that set the record aside; null where none did. */
  readonly ordersOf: (record: Kept) => number | null;
  /** What can be written of a record whose data the database refuses. */
  readonly bare: (record: Kept) => Kept;
  /** Called after each commit, before anybody hears of it. */
  readonly committed: () => void;
};

const MAX_BATCH = 500;
const RECONNECT_MS = 200;
/** A batch may be refused because its slices are done; more often than this, its data is at fault. */
const MAX_REFUSALS = 3;

/**
 * Group commit of slices that end one by one: what arrives while a commit is under way shares the next, one statement a
 * slot. The session is opened with the first record.
 */
export function createSliceWriter<Kept extends SliceRecord>(
  options: SliceWriterOptions,
  { statement, writes, ordersOf, bare, committed }: SliceWriting<Kept>,
): SliceWriter<Kept> {
  type Pending = { readonly record: Kept; readonly resolve: (written: boolean) => void };
  const { clock, log } = options;
  let stream: Stream | undefined;
  let pending: Pending[] = [];
  let closing = false;
  let wake: (() => void) | undefined;
  const running = run();

  async function run(): Promise<void> {
    while (pending.length > 0 || !closing) {
      const first = pending[0]?.record;
      if (!first) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
        continue;
      }
      const batch = pending
        .filter(({ record }) => record.slot === first.slot && ordersOf(record) === ordersOf(first))
        .slice(0, MAX_BATCH);
      const taken = new Set(batch);
      pending = pending.filter((item) => !taken.has(item));
      await commit(first.slot, ordersOf(first), batch);
    }
  }

  async function commit(
    slot: number,
    orders: number | null,
    batch: readonly Pending[],
  ): Promise<void> {
    let records = batch.map((item) => item.record);
    let refusals = 0;
    while (records.length > 0) {
      try {
        stream ??= await openStream(options);
        await insert(stream, slot, orders, records);
        break;
      } catch (error) {
        if (isRefusal(error)) {
          refusals += 1;
          if (orders !== null) {
            for (const item of batch) item.resolve(false);
            return;
          }
        } else {
          log.warn({ err: error }, 'recording outcomes failed; trying again');
          await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
          await stream?.session.close().catch(() => undefined);
          stream = undefined;
        }
        if (refusals > MAX_REFUSALS) {
          log.error({ err: error }, 'the database refuses outcomes; only the least is kept');
          records = records.map(bare);
        }
        records = await stillOpen(slot, records);
      }
    }
    for (const item of batch) item.resolve(true);
  }

  /** What was recorded before is not to be recorded again; when it is not known, the receipts decide. */
  async function stillOpen(slot: number, records: Kept[]): Promise<Kept[]> {
    try {
      stream ??= await openStream(options);
      const positions = await openSlices(stream.session, slot, records);
      return positions.flatMap((position) => records[position] ?? []);
    } catch {
      return records;
    }
  }

  async function insert(
    to: Stream,
    slot: number,
    orders: number | null,
    records: readonly Kept[],
  ): Promise<void> {
    const nowMs = clock.now();
    const { chunks: products, done, failed, rest } = writes(records, nowMs);
    const chunks = placeChunks(products, to.nextSequence, nowMs);
    const sources = new Set(records.map((record) => `${record.stream} ${record.sequence}`));
    await to.session.query(statement(slot), [
      ...chunkValues(to.number, new Date(nowMs).toISOString(), chunks),
      sources.size,
      plainArray(records.map((record) => record.stream)),
      plainArray(records.map((record) => record.sequence)),
      plainArray(records.map((record) => record.slice)),
      plainArray(done),
      plainArray(failed),
      ...rest,
      orders,
    ]);
    committed();
    to.nextSequence += chunks.length;
    options.onAppended(chunkRefs(chunks, to.number));
  }

  return {
    write: (record) =>
      new Promise((resolve) => {
        pending.push({ record, resolve });
        wake?.();
      }),
    close: async () => {
      closing = true;
      wake?.();
      await running;
      await stream?.session.close();
    },
  };
}
