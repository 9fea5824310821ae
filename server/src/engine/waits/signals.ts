import { plainArray } from '../../db/array-literal.ts';
import type { Database } from '../../db/database.ts';
import type { Clock } from '../../lib/clock.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import type { JsonObject } from '../../lib/json.ts';
import { ksuidFromUuid } from '../../lib/ksuid.ts';
import type { Logger } from '../../lib/log.ts';
import { isRefusal, mayBeDone } from '../executor/receipts.ts';
import { runsBodyText } from '../log/body.ts';
import {
  type ChunkRef,
  type ChunkRun,
  type ChunkTrigger,
  type NewChunk,
  RUNS,
  type RunState,
  USERS,
  wireReference,
} from '../log/chunk.ts';
import {
  CHUNK_PARAMETERS,
  chunkRefs,
  chunkValues,
  insertChunksSql,
  placeChunks,
} from '../log/insert-chunks.ts';
import { openStream, type Stream } from '../log/stream.ts';

/** Signals of one statement, and statements of one call. */
const PAGE = 500;
const MAX_PAGES = 20;
/** Waits whose timers never came (their work was dropped) are kept so long after their end. */
const STALE = '8 days';
const SWEEP_EVERY_MS = 3_600_000;
const SWEEP_PAGE = 10_000;

export type Signals = {
  /** Wakes the runs that have signals, up to 10,000 of them; one small query when there are none. */
  readonly work: () => Promise<void>;
  readonly close: () => Promise<void>;
};

export type SignalsOptions = {
  readonly db: Database;
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onAppended: (refs: readonly ChunkRef[]) => void;
};

type Row = {
  readonly id: number;
  readonly run_id: string;
  readonly ref: string;
  readonly detail: JsonObject;
  /** Null: the wait is over. */
  readonly lane_id: number | null;
  readonly flow: number;
  readonly collection: string;
  readonly recipient_id: string;
  readonly trigger: Omit<ChunkTrigger, 'data'>;
  readonly state: RunState;
  readonly data: JsonObject;
};

const READ = {
  name: 'signals',
  text: `select s.id, s.run_id, s.ref, s.detail, w.lane_id, w.flow, w.collection, w.recipient_id,
         w.trigger, w.state, r.data
  from event_signal s
  left join event_wait w using (run_id, ref)
  left join workflow_run r on r.id = w.workflow_run_id
  order by s.id
  limit ${PAGE}`,
};

/** Turns signals into work that is due at once: each signal into one wake-up, with its deletion in the same statement. */
export function createSignals(options: SignalsOptions): Signals {
  const { db, clock } = options;
  let stream: Stream | undefined;
  let sweptMs = clock.now();

  async function page(): Promise<boolean> {
    const rows = await db.query<Row>(READ);
    if (rows.length === 0) return false;
    stream ??= await openStream({ ...options, applicationName: 'belfry signals' });
    await wakeOrPassOver(stream, rows);
    return rows.length === PAGE;
  }

  /** A signal that the database refuses, or that we fail on, is found by halves and passed over alone: the wait goes on. */
  async function wakeOrPassOver(to: Stream, rows: readonly Row[]): Promise<void> {
    try {
      await wake(to, rows);
    } catch (error) {
      // A sequence that is taken says nothing of the rows.
      if (!isRefusal(error) || mayBeDone(error)) throw error;
      const [first] = rows;
      if (first && rows.length === 1) {
        const { id, run_id: run, ref: step } = first;
        options.log.error({ err: error, run, step }, 'a signal was refused; the run waits on');
        await db.query('delete from event_signal where id = $1', [id]);
        return;
      }
      const middle = Math.ceil(rows.length / 2);
      await wakeOrPassOver(to, rows.slice(0, middle));
      await wakeOrPassOver(to, rows.slice(middle));
    }
  }

  async function wake(to: Stream, rows: readonly Row[]): Promise<void> {
    const nowMs = clock.now();
    const chunks = placeChunks(wakeUps(rows, nowMs), to.nextSequence, nowMs);
    faultPoint('signals.before-append');
    const appended = await to.session.query(
      {
        name: 'wake_by_signals',
        text: `with taken as (
    delete from event_signal
    where id = any($${CHUNK_PARAMETERS + 1}::bigint[])
    returning id
  )
  ${insertChunksSql(1)}
  where (select count(*) from taken) = cardinality($${CHUNK_PARAMETERS + 1}::bigint[])
  returning 1`,
      },
      [
        ...chunkValues(to.number, new Date(nowMs).toISOString(), chunks),
        plainArray(rows.map(({ id }) => id)),
      ],
    );
    faultPoint('signals.after-append');
    if (appended.length > 0) {
      to.nextSequence += chunks.length;
      options.onAppended(chunkRefs(chunks, to.number));
    }
  }

  async function sweep(): Promise<void> {
    if (clock.now() - sweptMs < SWEEP_EVERY_MS) return;
    sweptMs = clock.now();
    await db.query(
      `delete from event_wait
       where (run_id, ref) in (
         select run_id, ref
         from event_wait
         where expires_at < $1::timestamptz - interval '${STALE}'
         limit ${SWEEP_PAGE}
       )`,
      [new Date(sweptMs).toISOString()],
    );
  }

  const close = async (): Promise<void> => {
    const closing = stream;
    stream = undefined;
    await closing?.session.close().catch(() => undefined);
  };

  return {
    work: async () => {
      try {
        for (let pages = 0; pages < MAX_PAGES && (await page()); pages++);
        await sweep();
      } catch (error) {
        // Whether the statement was committed is unknown, and so is the next sequence: what is left is read anew.
        await close();
        throw error;
      }
    },
    close,
  };
}

/** One chunk for each lane and flow; a signal whose wait is over wakes nobody. */
function wakeUps(rows: readonly Row[], nowMs: number): NewChunk[] {
  type Group = {
    readonly laneId: number;
    readonly flow: number;
    triggers: ChunkTrigger[];
    runs: ChunkRun[];
  };
  const groups = new Map<string, Group>();
  for (const { detail, lane_id: laneId, flow, collection, recipient_id: id, ...row } of rows) {
    if (laneId === null) continue;
    const key = `${laneId} ${flow}`;
    const group = groups.get(key) ?? { laneId, flow, triggers: [], runs: [] };
    groups.set(key, group);
    const number = group.triggers.push({ ...row.trigger, data: row.data ?? {} }) - 1;
    const recipient = wireReference(collection === USERS ? id : { collection, id });
    group.runs.push([number, recipient, { ...row.state, answer: { event: eventOf(detail) } }]);
  }
  return [...groups.values()].map(({ laneId, flow, triggers, runs }) => ({
    laneId,
    flow,
    kind: RUNS,
    runCount: runs.length,
    dueMs: nowMs,
    body: runsBodyText(triggers, runs),
  }));
}

/** As conditions and templates see it: a message by the id that the API has for it. */
function eventOf(detail: JsonObject): JsonObject {
  const { message_uuid: uuid, ...rest } = detail;
  return typeof uuid === 'string' ? { message_id: ksuidFromUuid(uuid), ...rest } : detail;
}
