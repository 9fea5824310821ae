import { deepMerge, type JsonObject } from '../../lib/json.ts';
import { scheduleOf } from '../../lib/schedule-source.ts';
import type { BatchOfRun, Question, TriggerSettings } from '../../workflows/step.ts';
import type { RecipientReference } from '../engine.ts';

export const CHUNK_RUNS = 500;
/** A chunk gets no further runs once it has so much data. */
export const CHUNK_BYTES = 256 * 1024;
export const SLICE_RUNS = 100;

export const RUNS = 0;
export const DELIVERIES = 1;
/** Runs that wait for somebody outside; bodies as of runs. */
export const CALLS = 2;
/** Triggers for objects whose subscribers get runs, page by page; bodies as of runs. */
export const FAN_OUT = 3;
/** The next turn of a bulk operation; see operations/README.md. */
export const OPERATION = 4;
/** What a chunk holds. */
export type ChunkKind =
  | typeof RUNS
  | typeof DELIVERIES
  | typeof CALLS
  | typeof FAN_OUT
  | typeof OPERATION;
/** What an order can set aside. */
export const GOVERNED_KINDS = [RUNS, DELIVERIES, CALLS, FAN_OUT] as const;
export type GovernedKind = (typeof GOVERNED_KINDS)[number];

/** Kinds that have a schedule of their own. */
export type QueueKind = Exclude<ChunkKind, typeof FAN_OUT | typeof OPERATION>;
export const QUEUES: readonly QueueKind[] = [RUNS, DELIVERIES, CALLS];

/** In whose schedule work of a kind has its turn: fan-outs and operations among the runs of their lane. */
export function queueOf(kind: ChunkKind): QueueKind {
  return kind === FAN_OUT || kind === OPERATION ? RUNS : kind;
}

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
  readonly settings: TriggerSettings;
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
  /** Characters of it that steps put there. */
  readonly merged?: number;
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
  /** The subscription that the recipient gets it for: to which object, with which properties. */
  readonly sub?: readonly [object: ObjectReference, properties: JsonObject | null];
  /** Of a first execution: whoever subscribes to the trigger's objects gets runs too. Of a fan-out: where it stands. */
  readonly fan?: FanOut;
};

export type ObjectReference = readonly [collection: string, id: string];

/** A trigger on its way to those who subscribe to its objects; see "Fan-out" in engine/README.md. */
export type FanOut = {
  /** All recipients that the trigger names. */
  readonly direct: readonly WireReference[];
  /** Objects with subscribers that are still to be read; absent: not begun. */
  readonly legs?: readonly Leg[];
  /** Whether those who got runs are remembered; absent: the first page decides. */
  readonly seen?: boolean;
  /** All legs were read, and subscribing objects are legs since: the last that became one. */
  readonly child?: ObjectReference;
};

/** An object, and the last of its subscribers that was read. */
export type Leg =
  | ObjectReference
  | readonly [collection: string, id: string, afterCollection: string, afterId: string];

/** Subscribers that a page reads at the most. */
export const FAN_OUT_PAGE = 2_000;

/** Whether the run was executed before; one that was only set aside was not. */
export function isResumed(state: RunState | undefined): boolean {
  return (state?.segment ?? 0) > 0;
}

/** The run's data: shared with all recipients of the trigger unless it has some of its own. */
export function dataOfRun(trigger: ChunkTrigger, { data, whole }: RunState): JsonObject {
  if (data === undefined) return trigger.data;
  return whole ? data : deepMerge(trigger.data, data);
}

/** Whether it is asked if a run was cancelled: one of a schedule that was deleted must not even begin. */
export function mayBeStopped(trigger: ChunkTrigger, state: RunState | undefined): boolean {
  return isResumed(state) || scheduleOf(trigger.cancel) !== undefined;
}

export type ChunkRun = readonly [trigger: number, recipient: WireReference, state?: RunState];

export type RunsBody = {
  readonly triggers: readonly ChunkTrigger[];
  readonly runs: readonly ChunkRun[];
  /** The id of the operation whose turn it is; there are no runs then. */
  readonly operation?: string;
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

/** Of runs 100 are a slice; what waits for others is a slice each. Fan-outs of a chunk share a page, an operation has a turn. */
export function sliceCountOf(kind: ChunkKind, runCount: number): number {
  if (kind === FAN_OUT || kind === OPERATION) return 1;
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
