import { type ChunkRef, RUNS, SLICE_RUNS, sliceCountOf } from '../../src/engine/log/chunk.ts';
import {
  type SchedulerEvent,
  schedule as scheduleAt,
} from '../../src/engine/scheduler/scheduler.ts';
import {
  type Assignment,
  createSchedulerState,
  type SchedulerState,
} from '../../src/engine/scheduler/state.ts';

let nextSequence = 1;

/** For promises in which time plays no part. */
export function schedule(state: SchedulerState, event: SchedulerEvent): Assignment[] {
  return scheduleAt(state, event, 0);
}

/** An expectation that costs nothing in a loop of millions. */
export function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`broken: ${what}`);
}

export function ref(laneId: number, runCount: number, slot = 0, flow = 0): ChunkRef {
  return {
    slot,
    stream: 1,
    sequence: nextSequence++,
    laneId,
    kind: RUNS,
    runCount,
    sliceCount: sliceCountOf(RUNS, runCount),
    dueMs: undefined,
    flow,
  };
}

const runsIn = (chunk: ChunkRef, slice: number): number =>
  Math.min(SLICE_RUNS, chunk.runCount - slice * SLICE_RUNS);

export const runsOf = (assignment: Assignment): number =>
  assignment.slices.reduce((sum, { ref: chunk, slice }) => sum + runsIn(chunk, slice), 0);

export const LONE_RUNS = 4 * SLICE_RUNS;

export function stateWith(slots: number): SchedulerState {
  const state = createSchedulerState({ assignmentRuns: SLICE_RUNS, loneAssignmentRuns: LONE_RUNS });
  state.slots = slots;
  return state;
}
