import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { CLASS_WEIGHTS, NOISY } from '../../src/engine/scheduler/options.ts';
import { schedule } from '../../src/engine/scheduler/scheduler.ts';
import { type Assignment, createSchedulerState } from '../../src/engine/scheduler/state.ts';

const SLOTS = 6;
const SLICE_RUNS = 100;
const SERVICE_MS = 4;
/** Slices in a chunk, so that lanes have something to do for a while. */
const CHUNK_SLICES = 5;

/**
 * Microseconds of a scheduler decision with so many busy lanes, each an account of its own: what a finished
 * assignment costs until the next one is chosen, and the chunk that keeps its lane busy.
 */
export function decisionMicroseconds(lanes: number, decisions: number): number {
  const state = createSchedulerState({
    assignmentRuns: SLICE_RUNS,
    loneAssignmentRuns: 4 * SLICE_RUNS,
    noisy: NOISY,
    classWeights: CLASS_WEIGHTS,
  });
  state.slots = SLOTS;
  let sequence = 0;
  const chunk = (lane: number): ChunkRef => ({
    slot: 0,
    stream: 1,
    sequence: ++sequence,
    laneId: lane * 4 + 1,
    kind: 0,
    runCount: CHUNK_SLICES * SLICE_RUNS,
    sliceCount: CHUNK_SLICES,
    dueMs: undefined,
    flow: 0,
  });
  let nowMs = 0;
  let done = 0;
  const underWay: Assignment[] = [];
  for (let lane = 1; lane <= lanes; lane++) {
    underWay.push(...schedule(state, { type: 'appended', refs: [chunk(lane)] }, nowMs));
  }
  const step = (): void => {
    const assignment = underWay.shift();
    if (!assignment) throw new Error('the scheduler has work and assigns none');
    nowMs += SERVICE_MS / SLOTS;
    const used = new Map<number, number>();
    for (const { ref } of assignment.slices) used.set(ref.laneId, (used.get(ref.laneId) ?? 0) + 1);
    underWay.push(
      ...schedule(
        state,
        { type: 'finished', assignmentId: assignment.id, serviceMs: SERVICE_MS },
        nowMs,
      ),
    );
    // One chunk for every five slices done keeps the depth.
    if (sequence * CHUNK_SLICES < lanes * CHUNK_SLICES + done) {
      const [laneId = 0] = used.keys();
      const refs = [chunk((laneId - 1) / 4)];
      underWay.push(...schedule(state, { type: 'appended', refs }, nowMs));
    }
    done += assignment.slices.length;
  };
  for (let i = 0; i < decisions / 10; i++) step();
  const startedMs = performance.now();
  for (let i = 0; i < decisions; i++) step();
  return ((performance.now() - startedMs) * 1_000) / decisions;
}
