import { isHeldBack } from './dispatch.ts';
import type { Lane } from './lane.ts';
import type { SchedulerState } from './state.ts';

/** Remembers who has to wait: lanes that are ready and got no slot, and those that are held back. */
export function noteWaiting(state: SchedulerState): void {
  const { normal, noisy } = state.tiers;
  const group = normal.groups.peek() ?? noisy.groups.peek();
  let lane = group?.lanes.peek();
  let isSeveral = normal.groups.size + noisy.groups.size > 1 || (group?.lanes.size ?? 0) > 1;
  for (const parked of state.parked) {
    if (isSeveral) break;
    if (!isHeldBack(state, parked)) continue;
    isSeveral = lane !== undefined;
    lane ??= parked;
  }
  if (isSeveral) state.waited.noteSeveral(state.nowMs);
  else if (lane) state.waited.note(lane, state.nowMs);
}

/**
 * Remembers a lane that comes and finds a slot only because others are held back: it counts as one that waits, so that they are
 * judged as if they had all slots.
 */
export function noteArrival(state: SchedulerState, lane: Lane): void {
  if (lane.account.isOverlooked) return;
  let heldBackRuns = 0;
  for (const parked of state.parked) {
    if (isHeldBack(state, parked)) heldBackRuns += parked.queuedRuns;
  }
  const freeSlots = state.slots - state.assigned.size;
  const wouldHaveAll = heldBackRuns >= Math.max(1, freeSlots * state.options.assignmentRuns);
  if (wouldHaveAll) state.waited.note(lane, state.nowMs);
}
