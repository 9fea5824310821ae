import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { noisyWakesMs } from '../../src/engine/scheduler/dispatch.ts';
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
 * assignment costs until the next one is chosen, and the chunk that keeps its lane busy. Every lane has been
 * served before it is measured.
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
  const chunk = (lane: number): ChunkRef => chunkOf(lane, ++sequence);
  let nowMs = 0;
  let done = 0;
  const underWay: Assignment[] = [];
  for (let lane = 1; lane <= lanes; lane++) {
    underWay.push(...schedule(state, { type: 'appended', refs: [chunk(lane)] }, nowMs));
  }
  const step = (): void => {
    if (underWay.length === 0) {
      nowMs = noisyWakesMs(state) ?? nowMs;
      underWay.push(...schedule(state, { type: 'tick' }, nowMs));
    }
    const assignment = underWay.shift();
    if (!assignment) throw new Error('the scheduler has work and assigns none');
    nowMs += SERVICE_MS / SLOTS;
    underWay.push(
      ...schedule(
        state,
        { type: 'finished', assignmentId: assignment.id, serviceMs: SERVICE_MS },
        nowMs,
      ),
    );
    // One chunk for every five slices done keeps the depth.
    if (sequence * CHUNK_SLICES < lanes * CHUNK_SLICES + done) {
      const laneId = assignment.slices[0]?.ref.laneId ?? 0;
      const refs = [chunk((laneId - 1) / 4)];
      underWay.push(...schedule(state, { type: 'appended', refs }, nowMs));
    }
    done += assignment.slices.length;
  };
  for (let i = 0; i < Math.max(decisions / 10, lanes); i++) step();
  const startedMs = performance.now();
  for (let i = 0; i < decisions; i++) step();
  return ((performance.now() - startedMs) * 1_000) / decisions;
}

/**
 * Nanoseconds to read one number of a lane that chance picks among so many, with their queues and accounts
 * around them: what a decision has to pay for each object that is not in the processor's cache.
 */
export function touchNanoseconds(lanes: number, touches: number): number {
  const state = createSchedulerState({ assignmentRuns: SLICE_RUNS });
  for (let lane = 1; lane <= lanes; lane++) {
    schedule(state, { type: 'appended', refs: [chunkOf(lane, lane)] }, 0);
  }
  const all = [...state.lanes.values()];
  let picked = 1;
  const touch = (): void => {
    // Which is next depends on what was read, so that the processor cannot fetch ahead.
    picked = (picked * 48_271 + (all[picked % lanes]?.queuedRuns ?? 0)) % 2_147_483_647;
  };
  for (let i = 0; i < touches / 10; i++) touch();
  const startedMs = performance.now();
  for (let i = 0; i < touches; i++) touch();
  return ((performance.now() - startedMs) * 1e6) / touches;
}

function chunkOf(lane: number, sequence: number): ChunkRef {
  return {
    slot: 0,
    stream: 1,
    sequence,
    laneId: lane * 4 + 1,
    kind: 0,
    runCount: CHUNK_SLICES * SLICE_RUNS,
    sliceCount: CHUNK_SLICES,
    dueMs: undefined,
    flow: 0,
  };
}
