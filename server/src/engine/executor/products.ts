import { runsBodyText } from '../log/body.ts';
import {
  CALLS,
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
function nextState(state: RunState, id: string, resume: Resumption): RunState {
  const { step, attempt, answer, claim } = resume;
  const data = resume.data ?? state.data;
  const whole = resume.data === undefined ? state.whole : true;
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
    ...(refs === undefined ? {} : { refs }),
    ...(batch === undefined ? {} : { batch }),
    ...(messages === undefined ? {} : { messages }),
    ...(claim === undefined ? {} : { claim }),
  };
}

/** Runs that wait, gathered into one chunk for each lane, flow, due time and whether somebody outside is asked. */
export class PausedRuns {
  readonly #groups = new Map<
    string,
    Place & {
      readonly kind: typeof RUNS | typeof CALLS;
      readonly dueMs: number | undefined;
      readonly triggers: Map<ChunkTrigger, number>;
      readonly runs: ChunkRun[];
    }
  >();

  add(
    { laneId, flow }: Place,
    trigger: ChunkTrigger,
    recipient: ChunkRun[1],
    state: RunState,
    id: string,
    resume: Resumption,
  ): RunState {
    const dueMs = resume.call ? undefined : resume.dueMs;
    const kind = resume.call ? CALLS : RUNS;
    const key = `${laneId} ${flow} ${dueMs} ${kind}`;
    let group = this.#groups.get(key);
    if (!group) {
      group = { laneId, flow, kind, dueMs, triggers: new Map(), runs: [] };
      this.#groups.set(key, group);
    }
    let number = group.triggers.get(trigger);
    if (number === undefined) {
      number = group.triggers.size;
      group.triggers.set(trigger, number);
    }
    const next = nextState(state, id, resume);
    group.runs.push([number, recipient, next]);
    return next;
  }

  chunks(): NewChunk[] {
    return [...this.#groups.values()].map(({ laneId, flow, kind, dueMs, triggers, runs }) => ({
      laneId,
      flow,
      kind,
      runCount: runs.length,
      dueMs,
      body: runsBodyText([...triggers.keys()], runs),
    }));
  }
}
