import { charge } from './charge.ts';
import { groupOf, type Lane, type Level } from './lane.ts';
import type { Flow, QueuedSlices } from './lane-queue.ts';
import { runsInSlice } from './runs-in-slice.ts';
import {
  type AssignedSlice,
  type Assignment,
  countHolders,
  makeReady,
  makeUnready,
  noteActive,
  noteServed,
  type SchedulerState,
  type Share,
  tierOf,
} from './state.ts';

const MAX_SLICES = 64;
/** Lanes that are passed over in an assignment, because their work lies in another slot. */
const MAX_ASIDE = 64;

export function mayHoldMore(state: SchedulerState, lane: Lane): boolean {
  if (lane.assignments >= lane.maxInFlight) return false;
  const { account } = lane;
  if (account.assignments >= account.maxInFlight) return false;
  if (account.assignments >= account.restrainedTo && isRestrained(state)) return false;
  return !isHeldBack(state, lane);
}

/**
 * It holds as many slots as are free, or more, and is of those that get none then: lanes of work that waits for others (`reserveSlots`), and
 * quiet lanes beside other quiet ones that have as many runs under way as make a noisy lane. These are judged at the next look, and
 * who comes until then finds a slot.
 */
export function isHeldBack(state: SchedulerState, lane: Lane): boolean {
  if (lane.assignments < state.slots - state.assigned.size) return false;
  const { noisy, reserveSlots } = state.options;
  if (reserveSlots) return true;
  return (
    noisy !== undefined &&
    lane.level === 'normal' &&
    lane.inFlightRuns >= noisy.inFlightRuns &&
    state.nowMs - state.quietActive.otherThanMs(lane) <= noisy.memoryMs
  );
}

/** A quiet lane waits, is being served, or was active in the last second: noisy ones are restrained. */
export function isRestrained(state: SchedulerState): boolean {
  const { noisy } = state.options;
  if (!noisy || state.noisy.size === 0) return false;
  return (
    state.tiers.normal.groups.size > 0 ||
    state.assigned.size > state.noisyAssignments ||
    state.nowMs - state.quietActive.anyMs() <= noisy.memoryMs
  );
}

/** When noisy lanes that wait may have a slot again; undefined when that is no matter of time. */
export function noisyWakesMs(state: SchedulerState): number | undefined {
  const isResting = state.tiers.noisy.groups.size > 0 && state.nowMs < state.noisyRestsUntilMs;
  return isResting ? state.noisyRestsUntilMs : undefined;
}

/** The next assignment: of quiet lanes, or, if there is nothing of them and the cap allows, of noisy ones. */
export function dispatch(state: SchedulerState): Assignment | undefined {
  const { noisy } = state.options;
  const restrained = isRestrained(state);
  const noisyMay =
    !restrained ||
    (state.nowMs >= state.noisyRestsUntilMs &&
      state.noisyAssignments < Math.max(1, state.cap.slots(state.slots)));
  const isOverdue =
    noisy && state.noisyAssignments === 0 && state.nowMs - state.noisyServedMs >= noisy.patienceMs;
  if (isOverdue && noisyMay) {
    const assignment = gather(state, 'noisy', restrained);
    if (assignment) return assignment;
  }
  const assignment = gather(state, 'normal', false);
  if (assignment || !noisyMay) return assignment;
  return gather(state, 'noisy', restrained);
}

function gather(state: SchedulerState, level: Level, restrained: boolean): Assignment | undefined {
  const slices: AssignedSlice[] = [];
  const shares: Share[] = [];
  const aside: Lane[] = [];
  let slot: number | undefined;
  let runs = 0;
  let careful = false;
  let wantedRuns = 1;

  while (runs < wantedRuns && slices.length < MAX_SLICES && !careful) {
    const lane = nextLane(state, level);
    const flow = lane?.queue.flow();
    const head = lane?.queue.peek();
    if (!lane || !flow || !head) break;
    if (slot !== undefined && (head.ref.slot !== slot || head.careful)) {
      // Its turn comes with the next assignment, ahead of those that are gathered now.
      if (aside.length === MAX_ASIDE) break;
      makeUnready(state, lane);
      aside.push(lane);
      continue;
    }
    if (slot === undefined) wantedRuns = runsWanted(state, lane, restrained);
    slot = head.ref.slot;
    careful = head.careful;
    const group = groupOf(lane.account, level);
    const tier = tierOf(state, level);
    tier.virtualTimeMs = Math.max(tier.virtualTimeMs, group.tagMs);
    group.virtualTimeMs = Math.max(group.virtualTimeMs, lane.tagMs);
    const taken = take(state, lane, flow, head, slices, wantedRuns - runs);
    runs += taken;
    const chargedMs = lane.costMs * taken;
    shares.push({ lane, flow, runs: taken, chargedMs, freshAtMs: head.freshAtMs });
    lane.queue.serve(flow, chargedMs);
    charge(state, lane, chargedMs);
    if (lane.queue.isEmpty) makeUnready(state, lane);
  }
  for (const lane of aside) makeReady(state, lane, false);
  if (slot === undefined) return undefined;
  const assignment = { id: state.nextAssignmentId++, level, slot, slices, careful };
  state.assigned.add({ assignment, shares });
  if (level === 'noisy') {
    state.noisyAssignments += 1;
    state.noisyServedMs = state.nowMs;
  }
  for (const { lane } of shares) noteActive(state, lane);
  countHolders(shares, 1);
  return assignment;
}

/** The lane to serve next; those that hold as much as they may step aside. */
function nextLane(state: SchedulerState, level: Level): Lane | undefined {
  for (;;) {
    const lane = tierOf(state, level).groups.peek()?.lanes.peek();
    if (!lane || mayHoldMore(state, lane)) return lane;
    makeUnready(state, lane);
    state.parked.add(lane);
  }
}

function runsWanted(state: SchedulerState, lane: Lane, restrained: boolean): number {
  const { assignmentRuns, loneAssignmentRuns = assignmentRuns, noisy } = state.options;
  if (restrained && noisy) {
    const inQuantum = Math.floor(noisy.quantumMs / Math.max(lane.costMs, 1e-6));
    return Math.max(1, Math.min(assignmentRuns, inQuantum));
  }
  const { normal, noisy: noisyTier } = state.tiers;
  const isAlone =
    normal.groups.size + noisyTier.groups.size === 1 &&
    groupOf(lane.account, lane.level).lanes.size === 1 &&
    lane.queue.flowCount === 1 &&
    state.nowMs - state.active.otherThanMs(lane) > (noisy?.memoryMs ?? -1);
  return isAlone ? loneAssignmentRuns : assignmentRuns;
}

/** Moves slices from the flow's first entry, at least one; returns the number of their runs. */
function take(
  state: SchedulerState,
  lane: Lane,
  flow: Flow,
  entry: QueuedSlices,
  slices: AssignedSlice[],
  wantedRuns: number,
): number {
  let taken = 0;
  do {
    slices.push({ ref: entry.ref, slice: entry.next, skip: entry.skip });
    taken += runsInSlice(entry.ref, entry.next);
    entry.next += 1;
  } while (
    entry.next < entry.end &&
    taken < wantedRuns &&
    slices.length < MAX_SLICES &&
    !entry.careful
  );
  state.queuedRuns -= taken;
  lane.queuedRuns -= taken;
  if (lane.queuedRuns === 0 && lane.level === 'noisy') state.leaving.add(lane);
  lane.inFlightRuns += taken;
  lane.account.inFlightRuns += taken;
  state.inFlightRuns += taken;
  noteServed(state, lane.account);
  if (entry.next >= entry.end) lane.queue.shift(flow);
  return taken;
}
