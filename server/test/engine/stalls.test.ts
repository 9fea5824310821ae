import { expect, test } from 'vitest';
import { CLASS_WEIGHTS, NOISY } from '../../src/engine/scheduler/options.ts';
import { schedule } from '../../src/engine/scheduler/scheduler.ts';
import { type Assignment, createSchedulerState } from '../../src/engine/scheduler/state.ts';
import { ref } from '../support/schedules.ts';

const SLOTS = 6;
const LANES = 100;
const SLOW_LANE = 1_000;
const USUAL_MS = 5;
const BETWEEN_MS = 7;
const STALL_AT_MS = 10_000;

/**
 * A hundred quiet lanes take turns with a run every 7 ms, each done after 5 ms, and another one has some whose runs are slow. In the tenth
 * second everything stands still for `stallMs`. Returns which lanes became noisy.
 */
function noisyLanes(input: { stallMs: number; slowRuns: number; slowMs: number }): number[] {
  const state = createSchedulerState({
    assignmentRuns: 100,
    noisy: NOISY,
    classWeights: CLASS_WEIGHTS,
  });
  state.slots = SLOTS;
  const underWay = new Map<number, { startedMs: number; doneMs: number }>();
  const start = (assignments: readonly Assignment[], nowMs: number): void => {
    for (const { id, slices } of assignments) {
      const isSlow = slices.some(({ ref: { laneId } }) => laneId === SLOW_LANE);
      underWay.set(id, { startedMs: nowMs, doneMs: nowMs + (isSlow ? input.slowMs : USUAL_MS) });
    }
  };
  const refs = (laneId: number) => ({ type: 'appended', refs: [ref(laneId, 1)] }) as const;
  for (let nowMs = 0; nowMs < 20_000; nowMs++) {
    const isStill = nowMs >= STALL_AT_MS && nowMs < STALL_AT_MS + input.stallMs;
    for (const [assignmentId, { startedMs, doneMs }] of isStill ? [] : [...underWay]) {
      if (doneMs > nowMs) continue;
      underWay.delete(assignmentId);
      const serviceMs = nowMs - startedMs;
      start(schedule(state, { type: 'finished', assignmentId, serviceMs }, nowMs), nowMs);
    }
    if (nowMs % BETWEEN_MS === 0) {
      start(schedule(state, refs(1 + ((nowMs / BETWEEN_MS) % LANES)), nowMs), nowMs);
    }
    if (nowMs >= STALL_AT_MS && nowMs < STALL_AT_MS + input.slowRuns) {
      start(schedule(state, refs(SLOW_LANE), nowMs), nowMs);
    }
  }
  return state.transitions.filter(({ to }) => to === 'noisy').map(({ laneId }) => laneId);
}

test('nobody is noisy because everything stood still while he had something under way', () => {
  for (const stallMs of [300, 800, 2_000, 5_000]) {
    expect(noisyLanes({ stallMs, slowRuns: 0, slowMs: 0 })).toEqual([]);
  }
});

test('a lane whose runs are few and slow is', () => {
  expect(noisyLanes({ stallMs: 0, slowRuns: 30, slowMs: 500 })).toEqual([SLOW_LANE]);
});
