import { deepMerge, type JsonObject } from '../../lib/json.ts';
import type { BatchOfRun, Question } from '../../workflows/step.ts';
import type { RecipientReference } from '../engine.ts';

export const CHUNK_RUNS = 500;
/** A chunk gets no further runs once it has so much data. */
export const CHUNK_BYTES = 256 * 1024;
export const SLICE_RUNS = 100;

export const RUNS = 0;
export const DELIVERIES = 1;
/** Runs that wait for somebody outside; bodies as of runs. */
export const CALLS = 2;
/** What a chunk holds. */
export type ChunkKind = typeof RUNS | typeof DELIVERIES | typeof CALLS;
export const CHUNK_KINDS: readonly ChunkKind[] = [RUNS, DELIVERIES, CALLS];

/** What all recipients of one trigger share. */
export type ChunkTrigger = {
  /** The workflow run's id. */
  readonly id: string;
  readonly key: string;
  readonly version: number;
  readonly actor: WireReference | null;
  readonly tenant: string | null;
  readonly data: JsonObject;
  readonly cancel: string | null;
  readonly settings: { readonly sandbox_mode?: boolean; readonly skip_delay?: boolean };
  /** Accepted at, milliseconds since 1970. */
  readonly at: number;
  /** Number of the API key that it came with; absent when nobody's did. */
  readonly by?: number;
};

/** A user id, or [collection, id]. */
export type WireReference = string | readonly [collection: string, id: string];

/** Where a run stands that does not start from the beginning. */
export type RunState = {
  /** The recipient's own trigger data, merged into the trigger's; all of the run's data where `whole` says so. */
  readonly data?: JsonObject;
  readonly whole?: true;
  /** The recipient run's id, when this is not the chunk that it came with. */
  readonly id?: string;
  /** How many executions went before. */
  readonly segment?: number;
  /** Index of the step to go on with. */
  readonly step?: number;
  /** How often this step failed already. */
  readonly attempt?: number;
  /** What the step to go on with waited for. */
  readonly answer?: JsonObject;
  /** Who else may have woken the run: asked before it is recorded that it was stopped or failed. */
  readonly claim?: { readonly ref: string; readonly question: Question };
  /** What earlier steps left under their refs. */
  readonly refs?: JsonObject;
  /** The batch that the run came out of. */
  readonly batch?: BatchOfRun;
  /** Ids of the messages that steps made, by the steps' refs; of workflows that ask for their statuses. */
  readonly messages?: { readonly [ref: string]: readonly string[] };
};

/** Whether the run was executed before; one that was only set aside was not. */
export function isResumed(state: RunState | undefined): boolean {
  return (state?.segment ?? 0) > 0;
}

/** The run's data: shared with all recipients of the trigger unless it has some of its own. */
export function dataOfRun(trigger: ChunkTrigger, { data, whole }: RunState): JsonObject {
  if (data === undefined) return trigger.data;
  return whole ? data : deepMerge(trigger.data, data);
}

export type ChunkRun = readonly [trigger: number, recipient: WireReference, state?: RunState];

export type RunsBody = {
  readonly triggers: readonly ChunkTrigger[];
  readonly runs: readonly ChunkRun[];
};

export type DeliveriesBody = {
  readonly deliveries: readonly (readonly [messageId: string, attempt: number])[];
};

/** A chunk before it has a place in a stream. */
export type NewChunk = {
  readonly laneId: number;
  readonly kind: ChunkKind;
  readonly runCount: number;
  /** Undefined: at once. */
  readonly dueMs: number | undefined;
  /** Whose turn it is among the work of its lane; 0 when absent. */
  readonly flow?: number;
  /** Set aside by an order: with the chunk and the time that its runs came with. */
  readonly aside?: {
    readonly orderId: number;
    readonly stream: number;
    readonly sequence: number;
    readonly acceptedMs: number;
  };
  readonly body: string;
};

/** What the scheduler knows of a chunk. */
export type ChunkRef = {
  readonly slot: number;
  readonly stream: number;
  readonly sequence: number;
  readonly laneId: number;
  readonly kind: ChunkKind;
  readonly flow: number;
  readonly runCount: number;
  readonly sliceCount: number;
  readonly dueMs: number | undefined;
  /** The order that set it aside; absent when none did. */
  readonly orderId?: number;
};

export const USERS = '$users';

export function wireReference(reference: RecipientReference): WireReference {
  return typeof reference === 'string' ? reference : [reference.collection, reference.id];
}

export function referenceOf(reference: WireReference): RecipientReference {
  return typeof reference === 'string' ? reference : { id: reference[1], collection: reference[0] };
}

/** Of runs 100 are a slice; what waits for others is a slice each. */
export function sliceCountOf(kind: ChunkKind, runCount: number): number {
  return kind === RUNS ? Math.ceil(runCount / SLICE_RUNS) : runCount;
}

export const INTERACTIVE = 0;
export const NORMAL = 1;
export const BULK = 2;
export type LaneClass = typeof INTERACTIVE | typeof NORMAL | typeof BULK;

const CLASSES = 4;

/** Lane = environment x class. */
export function laneOf(environmentId: number, laneClass: LaneClass): number {
  return environmentId * CLASSES + laneClass;
}

export function environmentOfLane(laneId: number): number {
  return Math.floor(laneId / CLASSES);
}
