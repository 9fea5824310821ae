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

export const sliceKey = (chunk: ChunkRef, slice: number): string =>
  `${chunk.stream} ${chunk.sequence} ${slice}`;

export const runsIn = (chunk: ChunkRef, slice: number): number =>
  Math.min(SLICE_RUNS, chunk.runCount - slice * SLICE_RUNS);

export const runsOf = (assignment: Assignment): number =>
  assignment.slices.reduce((sum, { ref: chunk, slice }) => sum + runsIn(chunk, slice), 0);

export const LONE_RUNS = 4 * SLICE_RUNS;

export function stateWith(slots: number): SchedulerState {
  const state = createSchedulerState({ assignmentRuns: SLICE_RUNS, loneAssignmentRuns: LONE_RUNS });
  state.slots = slots;
  return state;
}

/** A scheduler that checks its promises after every event. */
export function checkedScheduler(slots: number) {
  const state = stateWith(slots);
  const waiting = new Set<string>();
  const finished = new Set<string>();
  const underWay = new Map<number, Assignment>();

  return {
    state,
    waiting,
    underWay,
    finished,
    send: (event: SchedulerEvent): Assignment[] => {
      if (event.type === 'appended') {
        for (const chunk of event.refs) {
          for (let slice = 0; slice < chunk.sliceCount; slice++) {
            if (!event.receipted?.includes(slice)) waiting.add(sliceKey(chunk, slice));
          }
        }
      }
      const ended =
        event.type === 'finished' || event.type === 'returned'
          ? underWay.get(event.assignmentId)
          : undefined;
      for (const { ref: chunk, slice } of ended?.slices ?? []) {
        (event.type === 'finished' ? finished : waiting).add(sliceKey(chunk, slice));
      }
      if (ended) underWay.delete(ended.id);
      const assignments = schedule(state, event);
      for (const assignment of assignments) {
        must(!underWay.has(assignment.id), 'a new id for each assignment');
        must(assignment.slices.length > 0, 'an assignment has work');
        must(!assignment.careful || assignment.slices.length === 1, 'careful work is one slice');
        must(runsOf(assignment) < LONE_RUNS + SLICE_RUNS, 'an assignment has its limit');
        underWay.set(assignment.id, assignment);
        for (const { ref: chunk, slice } of assignment.slices) {
          must(waiting.delete(sliceKey(chunk, slice)), 'a slice is assigned while it waits, once');
          must(chunk.slot === assignment.slot, 'an assignment is of one slot');
        }
      }
      must(assignments.length === 0 || underWay.size <= state.slots, 'no more than the slots');
      must(
        underWay.size >= state.slots || waiting.size === 0,
        'a free slot and waiting work never coexist',
      );
      return assignments;
    },
  };
}
