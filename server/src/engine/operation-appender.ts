import { sqlState } from '../db/database.ts';
import { BelfryError } from '../lib/errors.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Logger } from '../lib/log.ts';
import {
  type NewOperation,
  OPEN_OPERATIONS,
  storeSql,
  storeValues,
} from '../operations/new-operation.ts';
import type { BulkStream } from './bulk-stream.ts';
import { operationChunk } from './executor/operate.ts';
import { BULK, laneOf, NORMAL } from './log/chunk.ts';

/** Requests that wait for the session, at the most. */
const MAX_WAITING = 200;

export type OperationAppender = {
  /** Resolves after the commit that makes the operation durable. */
  readonly append: (operation: NewOperation) => Promise<void>;
  readonly close: () => Promise<void>;
};

/** Stores operations with their first chunks, one after the other; the session is opened with the first. */
export function createOperationAppender(options: {
  readonly openStream: () => Promise<BulkStream>;
  readonly log: Logger;
}): OperationAppender {
  let stream: BulkStream | undefined;
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();

  async function append(asked: NewOperation): Promise<void> {
    try {
      stream ??= await open();
      const { id, environment_id: environmentId } = asked.operation;
      const lane = laneOf(environmentId, asked.items.length > 0 ? BULK : NORMAL);
      faultPoint('operation.before-append');
      const places = await stream.appendChunks([operationChunk(id, lane)], {
        name: 'append_operation',
        sql: storeSql,
        values: () => storeValues(asked),
        appended: () => faultPoint('operation.after-append'),
      });
      if (!places) throw tooManyOpen();
    } catch (error) {
      if (error instanceof BelfryError) throw error;
      const broken = stream;
      stream = undefined;
      await broken?.close().catch(() => undefined);
      options.log.warn({ err: error }, 'a bulk operation could not be stored');
      throw sqlState(error)?.startsWith('22') ? error : notStored();
    }
  }

  async function open(): Promise<BulkStream> {
    const opened = await options.openStream();
    void opened.ended.then(() => {
      if (stream === opened) stream = undefined;
    });
    return opened;
  }

  return {
    append: (asked) => {
      if (waiting >= MAX_WAITING) return Promise.reject(tooManyWaiting());
      waiting += 1;
      const done = last
        .then(() => append(asked))
        .finally(() => {
          waiting -= 1;
        });
      last = done.catch(() => undefined);
      return done;
    },
    close: async () => {
      await last;
      await stream?.close();
    },
  };
}

function tooManyOpen(): BelfryError {
  return new BelfryError(
    'rate_limited',
    `${OPEN_OPERATIONS} bulk operations of this environment are not over yet; retry when one of them is`,
    { retryAfterMs: 1_000, budget: 'log' },
  );
}

function tooManyWaiting(): BelfryError {
  return new BelfryError(
    'overloaded',
    `${MAX_WAITING} bulk operations wait for the database already; retry in a second`,
    { retryAfterMs: 1_000, budget: 'log' },
  );
}

function notStored(): BelfryError {
  return new BelfryError('overloaded', 'The database cannot be reached; retry in a second', {
    retryAfterMs: 1_000,
  });
}
