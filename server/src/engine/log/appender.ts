import { isDiskFull, sqlState } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { BelfryError } from '../../lib/errors.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { Logger } from '../../lib/log.ts';
import type { TriggerAnswer, TriggerRequest } from '../engine.ts';
import { type ChunkRef, laneOf, NORMAL } from './chunk.ts';
import {
  INSERT_CHUNKS_WITH_KEYS,
  keyValues,
  rememberedAnswers,
  separateRepeats,
} from './idempotency.ts';
import {
  chunkRefs,
  chunkValues,
  INSERT_CHUNKS,
  type PlacedChunk,
  placeChunks,
} from './insert-chunks.ts';
import { type IsCrowded, layOutTriggers } from './layout.ts';
import { createPendingTriggers, type Refused } from './pending.ts';
import { FIRST_ASIDE_SLOT } from './slots.ts';
import { endStream, openStream, type Stream } from './stream.ts';

/** A busy appender gathers this long before it commits. */
const LINGER_MS = 2;
const BUSY_TRIGGERS = 4;
/** And one that has triggers of patient lanes only waits this long for somebody else's. */
const PATIENCE_MS = 20;
const RECONNECT_MS = 100;
/** Half a minute: a crashed database has replayed its log by then, and callers wait a minute. */
const MAX_RECONNECTS = 300;
const LOG_EVERY = 50;
const TROUBLE_MS = 10_000;

type Pending = {
  readonly request: TriggerRequest;
  readonly dataText: string;
  readonly isPatient: boolean;
  readonly resolve: (answer: TriggerAnswer) => void;
  readonly reject: (error: Error) => void;
};

/** An insert that was sent and whose outcome is not known yet. */
type InDoubt = {
  readonly batch: readonly Pending[];
  readonly chunks: readonly PlacedChunk[];
  readonly runIds: readonly string[];
  readonly stream: number;
  readonly backendPid: number;
  readonly acceptedAt: string;
};

export type Appender = {
  readonly append: (request: TriggerRequest) => Promise<TriggerAnswer>;
  readonly stats: () => AppenderStats;
  /** Answers what is pending, then closes the stream. */
  readonly close: () => Promise<void>;
};

export type AppenderStats = {
  readonly pending: number;
  readonly commits: number;
  readonly triggers: number;
  readonly runs: number;
  /** Why the last attempt to append failed, for a while; undefined after one that did not. */
  readonly trouble: string | undefined;
};

export type AppenderOptions = {
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly isCrowded: IsCrowded;
  /** Whether nobody hurries for a lane: its triggers wait a little, to share the commit of somebody else's. */
  readonly isPatient?: (laneId: number) => boolean;
  readonly patienceMs?: number;
  /** Called after the commit, before the callers are answered. */
  readonly onAppended: (refs: readonly ChunkRef[]) => void;
};

/**
 * Group commit of triggers: everything that arrives while a commit is under way goes into the next one,
 * as one insert that carries the chunks of all lanes. An idle appender commits at once, unless it has triggers of patient lanes only.
 */
export async function openAppender(options: AppenderOptions): Promise<Appender> {
  const { clock, log, isPatient: isPatientLane = () => false, patienceMs = PATIENCE_MS } = options;
  let stream: Stream = await openStream({ ...options, applicationName: 'belfry appender' });
  const pending = createPendingTriggers<Pending>();
  let inDoubt: InDoubt | undefined;
  /** False from a failure until what is in doubt is settled; nothing is inserted in between. */
  let connected = true;
  let trouble: { readonly reason: string; readonly atMs: number } | undefined;
  let closing = false;
  let wake: (() => void) | undefined;
  /** Of those pending, the ones that are not patient. */
  let hurried = 0;
  let commits = 0;
  let triggers = 0;
  let runs = 0;

  const running = run();

  async function run(): Promise<void> {
    let lastBatch = 0;
    while (pending.count() > 0 || !closing) {
      if (pending.count() === 0) {
        lastBatch = 0;
        await somethingNew();
        // What arrives in the same turn of the event loop shares the commit.
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      if (hurried === 0 && !closing && !pending.fillsBatch()) await somethingNew(patienceMs);
      if (lastBatch >= BUSY_TRIGGERS && !pending.fillsBatch()) await sleep(LINGER_MS);
      const batch = pending.takeBatch(clock.now());
      // Patient ones make nobody wait longer.
      lastBatch = batch.filter((item) => !item.isPatient).length;
      hurried -= lastBatch;
      await commit(batch);
    }
  }

  /** Until a trigger arrives that is not patient, or is the first of all; after `withinMs` at the latest. */
  async function somethingNew(withinMs?: number): Promise<void> {
    let impatience: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (withinMs !== undefined) impatience = setTimeout(resolve, withinMs);
    });
    clearTimeout(impatience);
    wake = undefined;
  }

  /** Never throws: every item of the batch gets its answer. */
  async function commit(batch: readonly Pending[]): Promise<void> {
    let open = batch;
    let reconnects = 0;
    while (open.length > 0) {
      try {
        if (!connected) {
          const committed = await reconnect();
          connected = true;
          if (committed) open = open.filter((item) => !committed.batch.includes(item));
          continue;
        }
        const { first, repeats } = separateRepeats(open);
        // Repeats of a key within one batch are answered like those that come later.
        if (await insert(first)) open = repeats;
        else open = await answerRemembered(open);
      } catch (error) {
        if (isRefusal(error)) {
          inDoubt = undefined;
          await isolateRefused(open, asError(error));
          return;
        }
        const reason = asError(error).message;
        trouble = { reason, atMs: clock.now() };
        if (connected && isShortage(error)) {
          // Nothing was written, and waiting with it makes no room.
          inDoubt = undefined;
          log.error({ reason }, 'the database has no room for triggers');
          for (const item of open) item.reject(noRoom(error, reason));
          return;
        }
        connected = false;
        reconnects += 1;
        if (reconnects % LOG_EVERY === 1) {
          log.warn({ err: error, reconnects }, 'appending triggers failed; connecting again');
        }
        if (reconnects > MAX_RECONNECTS) {
          for (const item of open) item.reject(databaseAway());
          return;
        }
      }
    }
  }

  /** Halves a refused batch until the trigger that is to blame is alone; the others are accepted. */
  async function isolateRefused(batch: readonly Pending[], error: Error): Promise<void> {
    const [first, ...others] = batch;
    if (first && others.length === 0) {
      log.error({ err: error }, 'the database refused a trigger');
      first.reject(error);
      return;
    }
    const middle = Math.ceil(batch.length / 2);
    await commit(batch.slice(0, middle));
    await commit(batch.slice(middle));
  }

  /** One statement. False: an idempotency key was known, and nothing was written. */
  async function insert(batch: readonly Pending[]): Promise<boolean> {
    const nowMs = clock.now();
    const layout = layOutTriggers(
      batch,
      stream.number,
      stream.nextSequence,
      nowMs,
      options.isCrowded,
    );
    const chunks = placeChunks(layout.chunks, stream.nextSequence, nowMs);
    const acceptedAt = new Date(nowMs).toISOString();
    const { number, backendPid } = stream;
    const attempt = {
      batch,
      chunks,
      runIds: layout.runIds,
      stream: number,
      backendPid,
      acceptedAt,
    };
    const values = chunkValues(stream.number, acceptedAt, chunks);
    const keyed = batch.flatMap(({ request }, i) => {
      const { environmentId, idempotency: key } = request;
      return key ? [{ environmentId, key, runId: layout.runIds[i] ?? '' }] : [];
    });
    inDoubt = attempt;
    faultPoint('appender.before-insert');
    if (keyed.length === 0) {
      await stream.session.query(INSERT_CHUNKS, values);
    } else {
      try {
        const [row] = await stream.session.query<{ inserted: number }>(INSERT_CHUNKS_WITH_KEYS, [
          ...values,
          ...keyValues(nowMs, keyed),
        ]);
        if (row?.inserted !== chunks.length) {
          inDoubt = undefined;
          return false;
        }
      } catch (error) {
        if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
        inDoubt = undefined;
        return false;
      }
    }
    faultPoint('appender.after-insert');
    stream.nextSequence += chunks.length;
    finish(attempt);
    return true;
  }

  function finish(done: InDoubt): void {
    inDoubt = undefined;
    trouble = undefined;
    commits += 1;
    triggers += done.batch.length;
    for (const chunk of done.chunks) runs += chunk.runCount;
    options.onAppended(chunkRefs(done.chunks, done.stream));
    faultPoint('appender.before-answer');
    done.batch.forEach((item, i) => {
      item.resolve({ kind: 'accepted', workflowRunId: done.runIds[i] ?? '' });
    });
  }

  /** Answers those whose key is known; returns the rest. */
  async function answerRemembered(batch: readonly Pending[]): Promise<readonly Pending[]> {
    const requests = batch.map((item) => item.request);
    const answers = await rememberedAnswers(stream.session, clock.now(), requests);
    return batch.filter((item, i) => {
      const answer = answers[i];
      if (answer) item.resolve(answer);
      return !answer;
    });
  }

  /**
   * A lost connection leaves the last insert in doubt: it was one statement, so its first chunk (or what an
   * executor has made of it already: a run, or a chunk that was set aside) tells whether all of it is there. Returns what proved
   * to be committed, undefined when nothing was. Throws while the database is away: what is in doubt
   * stays so, and nothing may be inserted before it is settled.
   */
  async function reconnect(): Promise<InDoubt | undefined> {
    await stream.session.close().catch(() => undefined);
    await sleep(RECONNECT_MS);
    stream = await openStream({ ...options, applicationName: 'belfry appender' });
    const doubt = inDoubt;
    const first = doubt?.chunks[0];
    if (!doubt || !first) return undefined;
    // The database may not have noticed that we are gone and could still commit it.
    await endStream(stream.session, doubt.stream, doubt.backendPid);
    const [row] = await stream.session.query<{ committed: boolean }>(
      `select exists (
         select from chunk
         where slot = $1 and stream = $2 and sequence = $3 and accepted_at = $4
       ) or exists (
         select from chunk
         where slot >= ${FIRST_ASIDE_SLOT} and source_stream = $2 and source_sequence = $3 and accepted_at = $4
       ) or exists (
         select from workflow_run where id = $5
       ) as committed`,
      [first.slot, doubt.stream, first.sequence, doubt.acceptedAt, doubt.runIds[0]],
    );
    inDoubt = undefined;
    if (!row?.committed) return undefined;
    finish(doubt);
    return doubt;
  }

  return {
    append: (request) => {
      if (closing) return Promise.reject(databaseAway());
      const dataText = JSON.stringify(request.data);
      const isPatient = isPatientLane(laneOf(request.environmentId, NORMAL));
      return new Promise((resolve, reject) => {
        const item = { request, dataText, isPatient, resolve, reject };
        const refused = pending.add(item, clock.now());
        if (refused) {
          reject(noPlace(refused, pending.count()));
          return;
        }
        if (!isPatient) hurried += 1;
        if (!isPatient || pending.count() === 1 || pending.fillsBatch()) wake?.();
      });
    },
    stats: () => {
      // Not for ever: a server that is sent no triggers because it is not ready could never get ready.
      const recent =
        trouble && clock.now() - trouble.atMs < TROUBLE_MS ? trouble.reason : undefined;
      return { pending: pending.count(), commits, triggers, runs, trouble: recent };
    },
    close: async () => {
      closing = true;
      wake?.();
      await running;
      await stream.session.close();
    },
  };
}

const UNIQUE_VIOLATION = '23505';

/** Whether trying again cannot help: the data itself is refused (SQLSTATE classes 22 and 23). */
function isRefusal(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && (state.startsWith('22') || state.startsWith('23'));
}

/** Whether the database lacks disk, memory or connections (SQLSTATE class 53). */
function isShortage(error: unknown): boolean {
  return sqlState(error)?.startsWith('53') ?? false;
}

function noRoom(error: unknown, reason: string): BelfryError {
  return new BelfryError(
    isDiskFull(error) ? 'storage_full' : 'overloaded',
    `The database cannot store triggers now (${reason}); make room for it, then retry`,
    { retryAfterMs: 5_000 },
  );
}

function noPlace(refused: Refused, pending: number): BelfryError {
  return refused === 'environment'
    ? new BelfryError(
        'rate_limited',
        'So many triggers of this environment wait for the database already that no more may; retry in a second',
        { retryAfterMs: 1_000, budget: 'log' },
      )
    : new BelfryError(
        'overloaded',
        `${pending} triggers wait for the database already; retry in a second`,
        { retryAfterMs: 1_000, budget: 'log' },
      );
}

function databaseAway(): BelfryError {
  return new BelfryError('overloaded', 'The database cannot be reached; retry in a second', {
    retryAfterMs: 1_000,
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
