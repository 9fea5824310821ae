import { expect, test } from 'vitest';
import { NOISY } from '../../src/engine/scheduler/options.ts';
import { schedule } from '../../src/engine/scheduler/scheduler.ts';
import {
  type Assignment,
  createSchedulerState,
  type SchedulerState,
} from '../../src/engine/scheduler/state.ts';
import { ref } from '../support/schedules.ts';

const SLOTS = 6;
const FLOOD = 1_000;
const NEIGHBOUR = 1;

function stateOfSixSlots(): SchedulerState {
  const state = createSchedulerState({
    assignmentRuns: 100,
    loneAssignmentRuns: 400,
    noisy: NOISY,
  });
  state.slots = SLOTS;
  return state;
}

const append = (state: SchedulerState, laneId: number, runs: number, nowMs: number): Assignment[] =>
  schedule(state, { type: 'appended', refs: [ref(laneId, runs)] }, nowMs);

/** A neighbour is done with one run, just now. */
function withNeighbour(): SchedulerState {
  const state = stateOfSixSlots();
  const [done] = append(state, NEIGHBOUR, 1, 0);
  schedule(state, { type: 'finished', assignmentId: done?.id ?? 0, serviceMs: 2 }, 2);
  return state;
}

test('a lane that comes with much beside others leaves half of the slots free', () => {
  const state = withNeighbour();
  expect(append(state, FLOOD, 1_000, 10)).toHaveLength(SLOTS / 2);
});

test('who comes then has a slot at once, and the lane that was held back is noisy', () => {
  const state = withNeighbour();
  append(state, FLOOD, 1_000, 10);
  const [own, ...others] = append(state, NEIGHBOUR, 1, 31);
  expect(own?.slices.map((slice) => slice.ref.laneId)).toEqual([NEIGHBOUR]);
  expect(others).toEqual([]);
  expect(state.transitions).toMatchObject([{ laneId: FLOOD, to: 'noisy', because: 'in flight' }]);
});

test('a lane that would not have had all slots is no noisy one because somebody came', () => {
  const state = withNeighbour();
  expect(append(state, FLOOD, 400, 10)).toHaveLength(SLOTS / 2);
  append(state, NEIGHBOUR, 1, 31);
  schedule(state, { type: 'tick' }, 60);
  expect(state.transitions).toEqual([]);
});

test('two lanes that hold each other back are judged, and when nobody else comes they have all slots', () => {
  const state = stateOfSixSlots();
  const refs = [ref(FLOOD, 1_000), ref(NEIGHBOUR, 1_000)];
  expect(schedule(state, { type: 'appended', refs }, 0)).toHaveLength(4);
  schedule(state, { type: 'tick' }, 30);
  expect(state.transitions.map(({ laneId }) => laneId).toSorted()).toEqual([NEIGHBOUR, FLOOD]);
  schedule(state, { type: 'tick' }, 30 + NOISY.memoryMs + 1);
  expect(state.assigned.size).toBe(SLOTS);
});

test('nobody comes: it goes on, a slot for each that ends, and is not noisy', () => {
  const state = withNeighbour();
  const underWay = append(state, FLOOD, 1_000, 10);
  for (let nowMs = 30; nowMs < 100; nowMs += 20) {
    const assignmentId = underWay.shift()?.id ?? 0;
    const next = schedule(state, { type: 'finished', assignmentId, serviceMs: 20 }, nowMs);
    expect(next).toHaveLength(1);
    underWay.push(...next);
  }
  expect(state.transitions).toEqual([]);
});

test('a lane that is alone, or beside others that were active a while ago, has all slots', () => {
  expect(append(stateOfSixSlots(), FLOOD, 10_000, 10)).toHaveLength(SLOTS);
  expect(append(withNeighbour(), FLOOD, 10_000, 2 + NOISY.memoryMs + 1)).toHaveLength(SLOTS);
});

test('many small lanes beside each other have all slots', () => {
  const state = withNeighbour();
  const started = Array.from({ length: 8 }, (_, i) => append(state, 2 + i, 25, 10)).flat();
  expect(started).toHaveLength(SLOTS);
});
