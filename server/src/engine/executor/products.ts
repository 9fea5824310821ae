import { runsBodyText } from '../log/body.ts';
import {
  CALLS,
  CHUNK_BYTES,
  CHUNK_RUNS,
  type ChunkRun,
  type ChunkTrigger,
  DELIVERIES,
  type NewChunk,
  RUNS,
  type RunState,
} from '../log/chunk.ts';
import type { Resumption } from './advance-run.ts';

const CHUNK_DELIVERIES = 500;

/** Whose work it is: what comes of a chunk belongs where the chunk does. */
type Place = { readonly laneId: number; readonly flow: number };

/** Messages for providers, gathered into chunks of one lane, flow and time each. */
export class QueuedDeliveries {
  readonly #groups = new Map<
    string,
    Place & { readonly ids: string[]; readonly dueMs: number | undefined }
  >();

  add({ laneId, flow }: Place, messageId: string, dueMs: number | undefined): void {
    const key = `${laneId} ${flow} ${dueMs}`;
    const group = this.#groups.get(key);
    if (group) group.ids.push(messageId);
    else this.#groups.set(key, { laneId, flow, dueMs, ids: [messageId] });
  }

  chunks(): NewChunk[] {
    const chunks: NewChunk[] = [];
    for (const { laneId, flow, dueMs, ids } of this.#groups.values()) {
      for (let from = 0; from < ids.length; from += CHUNK_DELIVERIES) {
        const part = ids.slice(from, from + CHUNK_DELIVERIES);
        chunks.push({
          laneId,
          flow,
          kind: DELIVERIES,
          runCount: part.length,
          dueMs,
          body: JSON.stringify({ deliveries: part.map((id) => [id, 1]) }),
        });
      }
    }
    return chunks;
  }
}

/** Where a run stands that goes on after `resume`, for what it was before. */
export function nextState(state: RunState, id: string, resume: Resumption): RunState {
  const { step, attempt, answer, claim } = resume;
  const data = resume.data ?? state.data;
  const whole = resume.data === undefined ? state.whole : true;
  const merged = resume.merged ?? state.merged;
  const refs = resume.refs ?? state.refs;
  const batch = resume.batch ?? state.batch;
  const { messages } = resume;
  return {
    id,
    segment: (state.segment ?? 0) + 1,
    step,
    ...(attempt > 0 ? { attempt } : {}),
    ...(answer === undefined ? {} : { answer }),
    ...(data === undefined ? {} : { data }),
    ...(whole ? { whole } : {}),
    ...(merged === undefined ? {} : { merged }),
    ...(refs === undefined ? {} : { refs }),
    ...(batch === undefined ? {} : { batch }),
    ...(messages === undefined ? {} : { messages }),
    ...(claim === undefined ? {} : { claim }),
    ...(state.sub === undefined ? {} : { sub: state.sub }),
  };
}

type RunsKind = typeof RUNS | typeof CALLS;

type RunsGroup = Place & {
  readonly kind: RunsKind;
  readonly dueMs: number | undefined;
  readonly triggers: Map<ChunkTrigger, number>;
  readonly runs: ChunkRun[];
  bytes: number;
};

/** Runs that stand somewhere, gathered into chunks of one lane, flow, kind and due time each. */
export class GatheredRuns {
  readonly #open = new Map<string, RunsGroup>();
  readonly #groups: RunsGroup[] = [];

  /** Undefined as due time: at once. */
  add(
    kind: RunsKind,
    { laneId, flow }: Place,
    dueMs: number | undefined,
    trigger: ChunkTrigger,
    recipient: ChunkRun[1],
    state: RunState,
  ): void {
    const key = `${laneId} ${flow} ${dueMs} ${kind}`;
    let group = this.#open.get(key);
    if (!group || group.runs.length >= CHUNK_RUNS || group.bytes >= CHUNK_BYTES) {
      group = { laneId, flow, kind, dueMs, triggers: new Map(), runs: [], bytes: 0 };
      this.#open.set(key, group);
      this.#groups.push(group);
    }
    let number = group.triggers.get(trigger);
    if (number === undefined) {
      number = group.triggers.size;
      group.triggers.set(trigger, number);
    }
    group.bytes += sizeOf(state);
    group.runs.push([number, recipient, state]);
  }

  chunks(): NewChunk[] {
    return this.#groups.map(({ laneId, flow, kind, dueMs, triggers, runs }) => ({
      laneId,
      flow,
      kind,
      runCount: runs.length,
      dueMs,
      body: runsBodyText([...triggers.keys()], runs),
    }));
  }
}

/** Bytes that a run brings of its own, about: what it got from elsewhere may be large. */
function sizeOf({ data, answer }: RunState): number {
  if (data === undefined && answer === undefined) return 0;
  return JSON.stringify([data, answer]).length;
}

/** Runs that wait: for a time, or for somebody outside. */
export class PausedRuns {
  readonly #runs = new GatheredRuns();

  add(
    place: Place,
    trigger: ChunkTrigger,
    recipient: ChunkRun[1],
    state: RunState,
    id: string,
    resume: Resumption,
  ): RunState {
    const next = nextState(state, id, resume);
    if (resume.call) this.#runs.add(CALLS, place, undefined, trigger, recipient, next);
    else this.#runs.add(RUNS, place, resume.dueMs, trigger, recipient, next);
    return next;
  }

  chunks(): NewChunk[] {
    return this.#runs.chunks();
  }
}
