import type { EnvironmentContext } from '../../src/context.ts';
import { openBulkStream } from '../../src/engine/bulk-stream.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { createChunkCache } from '../../src/engine/executor/chunk-cache.ts';
import { executeOperations } from '../../src/engine/executor/operate.ts';
import { parseRunsBody } from '../../src/engine/log/body.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { openStream, type Stream } from '../../src/engine/log/stream.ts';
import {
  createOperationAppender,
  type OperationAppender,
} from '../../src/engine/operation-appender.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { getOperation } from '../../src/operations/get-operation.ts';
import { messageOperation } from '../../src/operations/message-operation.ts';
import { operationAnswer } from '../../src/operations/operation.ts';
import { silentLog } from './log.ts';

/** The parts of the engine that bulk operations need; nothing runs by itself. */
export type Operations = {
  readonly operate: OperationAppender['append'];
  /** Turns that wait, in the order in which they came. */
  readonly waiting: ChunkRef[];
  /** One turn of this chunk, on this stream. */
  readonly turn: (
    ref: ChunkRef,
    options?: { readonly stream?: Stream; readonly skip?: readonly number[] },
  ) => Promise<void>;
  /** Turns until nothing waits. */
  readonly settle: () => Promise<void>;
  readonly openStream: () => Promise<Stream>;
  readonly close: () => Promise<void>;
};

const MAX_TURNS = 1_000;

export async function createOperations(
  url: string,
  clock: Clock = systemClock,
): Promise<Operations> {
  const waiting: ChunkRef[] = [];
  const appender = createOperationAppender({
    log: silentLog,
    openStream: () =>
      openBulkStream({
        ...{ url, clock, log: silentLog },
        isCrowded: () => false,
        onAppended: (refs) => waiting.push(...refs),
      }),
  });
  const streams: Stream[] = [];
  const open = async (): Promise<Stream> => {
    const stream = await openStream({ url, applicationName: 'test operations', log: silentLog });
    streams.push(stream);
    return stream;
  };
  const own = await open();
  const turn: Operations['turn'] = async (ref, { stream = own, skip = [] } = {}) => {
    const { slot, stream: number, sequence } = ref;
    const [chunk] = await createChunkCache(parseRunsBody).get(stream.session, slot, [ref]);
    if (!chunk) throw new Error('the chunk is gone');
    const slice = { stream: number, sequence, slice: 0, chunk, skip, governed: new Map() };
    const { appended } = await executeOperations({ clock, log: silentLog }, stream, slot, [slice]);
    waiting.push(...appended);
  };
  return {
    operate: appender.append,
    waiting,
    turn,
    settle: async () => {
      for (let turns = 0; waiting.length > 0; turns++) {
        if (turns > MAX_TURNS) throw new Error('it does not end');
        const ref = waiting.shift();
        if (ref) await turn(ref);
      }
    },
    openStream: open,
    close: async () => {
      await appender.close();
      for (const stream of streams) await stream.session.close().catch(() => undefined);
    },
  };
}

const HOUR_MS = 3_600_000;

/** Changes messages in bulk, and answers when it is done. Those of the next hour are reached too. */
export async function changeMessages(
  ctx: EnvironmentContext,
  operations: Operations,
  input: Parameters<typeof messageOperation>[1],
) {
  const asked = await messageOperation(ctx, input);
  const inserted_at = new Date(Date.now() + HOUR_MS);
  await operations.operate({ ...asked, operation: { ...asked.operation, inserted_at } });
  await operations.settle();
  const { operation } = await getOperation(ctx, { id: asked.operation.id });
  return operationAnswer(operation);
}

/** An engine that does bulk operations before it answers, and nothing else. */
export async function operatingEngine(
  url: string,
): Promise<Engine & { readonly close: () => Promise<void> }> {
  const operations = await createOperations(url);
  let last: Promise<void> = Promise.resolve();
  const noEngine = async (): Promise<never> => {
    throw new Error('this server has no engine');
  };
  return {
    trigger: noEngine,
    cancel: noEngine,
    operate: (operation) => {
      last = last
        .catch(() => undefined)
        .then(() => operations.operate(operation))
        .then(operations.settle);
      return last;
    },
    close: operations.close,
  };
}
