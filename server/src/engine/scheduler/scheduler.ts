import { type ChunkRef, SLICE_RUNS } from '../log/chunk.ts';
import { type Lane, LaneHeap, type QueuedSlices } from './lane.ts';

/** One slice of an assignment. */
export type AssignedSlice = {
  readonly ref: ChunkRef;
  readonly slice: number;
  /** Indexes in the chunk that are recorded as failed without being evaluated. */
  readonly skip: readonly number[];
};

/** Work for one executor: slices of one slot, executed in one transaction. */
export type Assignment = {
  readonly id: number;
  readonly slot: number;
  readonly slices: readonly AssignedSlice[];
  /** Announce each run before it is evaluated: something in here killed an executor. */
  readonly careful: boolean;
};

export type SchedulerEvent =
  | {
      readonly type: 'appended';
      readonly refs: readonly ChunkRef[];
      /** Slices that have receipts already, where the log was read again. */
      readonly receipted?: readonly number[];
    }
  /** The receipts of an assignment are committed; `serviceMs` is the time it took. */
  | { readonly type: 'finished'; readonly assignmentId: number; readonly serviceMs: number }
  /** An assignment came back undone; its slices are queued again, ahead of what waits. */
  | {
      readonly type: 'returned';
      readonly assignmentId: number;
      readonly careful: boolean;
      /** Runs that must not be tried again. */
      readonly poisoned?: {
        readonly stream: number;
        readonly sequence: number;
        readonly index: number;
      };
    }
  | { readonly type: 'weighted'; readonly laneId: number; readonly weight: number }
  /** Nothing happened but time. */
  | { readonly type: 'tick' };

export type SchedulerOptions = {
  /** Runs in an assignment, more or less: a slice is never split. */
  readonly assignmentRuns: number;
  /** The same while no other lane waits: larger statements cost less a run. */
  readonly loneAssignmentRuns?: number;
  /**
   * For work that waits for others: a lane gets a slot only while it holds fewer than are free (dynamic
   * threshold, Choudhury and Hahne, 1998). One lane then has at most a half, two a third each, and a lane
   * that comes anew always finds a free one, however long the others wait.
   */
  readonly reserveSlots?: boolean;
};

export type SchedulerState = {
  readonly options: SchedulerOptions;
  /** Assignments under way at the most; follows the executors that live. */
  slots: number;
  readonly lanes: Map<number, Lane>;
  readonly ready: LaneHeap;
  /** Lanes with work that hold as many slots as they may; no more than there are slots. */
  readonly parked: Set<Lane>;
  readonly assigned: Map<number, AssignedWork>;
  /** Slices without a receipt, by slot. */
  readonly openSlices: Map<number, number>;
  /** Service that has been handed out to the lane served least, in milliseconds. */
  virtualTimeMs: number;
  nextAssignmentId: number;
  queuedRuns: number;
};

type AssignedWork = {
  readonly assignment: Assignment;
  readonly shares: readonly {
    readonly lane: Lane;
    readonly runs: number;
    readonly chargedMs: number;
  }[];
};

/** What a lane is charged per run before anything is known of it. */
const FIRST_COST_MS = 0.05;
/** Weight of the newest measurement in a lane's cost per run. */
const COST_SMOOTHING = 0.2;
const MAX_SLICES = 64;
/** Lanes that are passed over in an assignment, because their work lies in another slot. */
const MAX_ASIDE = 64;

export function createSchedulerState(options: SchedulerOptions): SchedulerState {
  return {
    options,
    slots: 0,
    lanes: new Map(),
    ready: new LaneHeap(),
    parked: new Set(),
    assigned: new Map(),
    openSlices: new Map(),
    virtualTimeMs: 0,
    nextAssignmentId: 1,
    queuedRuns: 0,
  };
}

/**
 * Start-time fair queueing (Goyal, Vin and Cheng, 1996) over lanes, in milliseconds of service: the lane
 * with the smallest start tag goes first and its tag grows by the service it got over its weight, so slow
 * work pays for itself. Assignments are decided at dispatch, hence weights act on the existing backlog.
 * Heads of lanes with little to do are gathered into one assignment.
 *
 * Deterministic: the state (changed in place) and the event decide; there is no clock, I/O or randomness.
 */
export function schedule(state: SchedulerState, event: SchedulerEvent): Assignment[] {
  switch (event.type) {
    case 'appended':
      for (const ref of event.refs) enqueue(state, ref, event.receipted ?? []);
      break;
    case 'finished':
      finish(state, event.assignmentId, event.serviceMs);
      break;
    case 'returned':
      giveBack(state, event.assignmentId, event.careful, event.poisoned);
      break;
    case 'weighted':
      laneOf(state, event.laneId).weight = event.weight;
      break;
    case 'tick':
      break;
  }
  const assignments: Assignment[] = [];
  unpark(state);
  while (state.assigned.size < state.slots) {
    const assignment = dispatch(state);
    if (!assignment) break;
    assignments.push(assignment);
  }
  return assignments;
}

function laneOf(state: SchedulerState, laneId: number): Lane {
  let lane = state.lanes.get(laneId);
  if (!lane) {
    lane = {
      id: laneId,
      weight: 1,
      tagMs: 0,
      costMs: FIRST_COST_MS,
      queue: [],
      head: 0,
      ready: false,
      held: 0,
    };
    state.lanes.set(laneId, lane);
  }
  return lane;
}

function enqueue(state: SchedulerState, ref: ChunkRef, receipted: readonly number[]): void {
  const open = ref.sliceCount - receipted.length;
  if (open <= 0) return;
  state.openSlices.set(ref.slot, (state.openSlices.get(ref.slot) ?? 0) + open);
  const lane = laneOf(state, ref.laneId);
  const done = new Set(receipted);
  for (let next = 0; next < ref.sliceCount; next++) {
    if (done.has(next)) continue;
    let end = next + 1;
    while (end < ref.sliceCount && !done.has(end)) end += 1;
    for (let slice = next; slice < end; slice++) state.queuedRuns += runsInSlice(ref, slice);
    lane.queue.push({ ref, next, end, careful: false, skip: [] });
    next = end;
  }
  makeReady(state, lane);
}

function makeReady(state: SchedulerState, lane: Lane): void {
  if (lane.ready) return;
  // A lane that was idle starts now; it has no claim on the service of the past.
  lane.tagMs = Math.max(lane.tagMs, state.virtualTimeMs);
  lane.ready = true;
  state.ready.push(lane);
}

function mayHoldMore(state: SchedulerState, lane: Lane): boolean {
  return !state.options.reserveSlots || lane.held < state.slots - state.assigned.size;
}

function unpark(state: SchedulerState): void {
  for (const lane of state.parked) {
    if (!mayHoldMore(state, lane)) continue;
    state.parked.delete(lane);
    state.ready.push(lane);
  }
}

/** The lane to serve next; those that hold as much as they may step aside. */
function nextLane(state: SchedulerState): Lane | undefined {
  for (;;) {
    const lane = state.ready.peek();
    if (!lane || mayHoldMore(state, lane)) return lane;
    state.ready.pop();
    state.parked.add(lane);
  }
}

function dispatch(state: SchedulerState): Assignment | undefined {
  const slices: AssignedSlice[] = [];
  const shares: { lane: Lane; runs: number; chargedMs: number }[] = [];
  let slot: number | undefined;
  let runs = 0;
  let careful = false;
  const aside: Lane[] = [];
  const { assignmentRuns, loneAssignmentRuns = assignmentRuns } = state.options;
  const wantedRuns = state.ready.size > 1 ? assignmentRuns : loneAssignmentRuns;

  while (runs < wantedRuns && slices.length < MAX_SLICES && !careful) {
    const lane = nextLane(state);
    const head = lane?.queue[lane.head];
    if (!lane || !head) break;
    if (slot !== undefined && (head.ref.slot !== slot || head.careful)) {
      // Its turn comes with the next assignment, ahead of those that are gathered now.
      if (aside.length === MAX_ASIDE) break;
      state.ready.pop();
      aside.push(lane);
      continue;
    }
    slot = head.ref.slot;
    careful = head.careful;
    state.virtualTimeMs = Math.max(state.virtualTimeMs, lane.tagMs);
    const taken = take(state, lane, head, slices, wantedRuns - runs);
    runs += taken;
    const chargedMs = lane.costMs * taken;
    lane.tagMs += chargedMs / lane.weight;
    shares.push({ lane, runs: taken, chargedMs });
    if (lane.head < lane.queue.length) state.ready.sinkTop();
    else retire(state, lane);
  }
  for (const lane of aside) state.ready.push(lane);
  if (slot === undefined) return undefined;
  const assignment = { id: state.nextAssignmentId++, slot, slices, careful };
  state.assigned.set(assignment.id, { assignment, shares });
  for (const lane of new Set(shares.map((share) => share.lane))) lane.held += 1;
  return assignment;
}

/** Moves slices from the lane's first entry, at least one; returns the number of their runs. */
function take(
  state: SchedulerState,
  lane: Lane,
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
  if (entry.next >= entry.end) {
    lane.head += 1;
    if (lane.head > 1_024 && lane.head * 2 > lane.queue.length) {
      lane.queue.splice(0, lane.head);
      lane.head = 0;
    }
  }
  return taken;
}

function retire(state: SchedulerState, lane: Lane): void {
  state.ready.pop();
  lane.ready = false;
  lane.queue = [];
  lane.head = 0;
}

function release(state: SchedulerState, assignmentId: number, work: AssignedWork): void {
  state.assigned.delete(assignmentId);
  for (const lane of new Set(work.shares.map((share) => share.lane))) lane.held -= 1;
}

function finish(state: SchedulerState, assignmentId: number, serviceMs: number): void {
  const work = state.assigned.get(assignmentId);
  if (!work) return;
  release(state, assignmentId, work);
  const { slot, slices } = work.assignment;
  state.openSlices.set(slot, (state.openSlices.get(slot) ?? 0) - slices.length);
  const totalMs = work.shares.reduce((sum, share) => sum + share.chargedMs, 0);
  for (const { lane, runs, chargedMs } of work.shares) {
    const actualMs = totalMs > 0 ? (serviceMs * chargedMs) / totalMs : 0;
    lane.costMs += COST_SMOOTHING * (actualMs / runs - lane.costMs);
    lane.tagMs += (actualMs - chargedMs) / lane.weight;
    if (lane.ready) state.ready.reposition(lane);
  }
}

function giveBack(
  state: SchedulerState,
  assignmentId: number,
  careful: boolean,
  poisoned: { stream: number; sequence: number; index: number } | undefined,
): void {
  const work = state.assigned.get(assignmentId);
  if (!work) return;
  release(state, assignmentId, work);
  for (const { ref, slice, skip } of [...work.assignment.slices].reverse()) {
    const isPoisoned =
      poisoned && ref.stream === poisoned.stream && ref.sequence === poisoned.sequence;
    const lane = laneOf(state, ref.laneId);
    state.queuedRuns += runsInSlice(ref, slice);
    const entry = {
      ref,
      next: slice,
      end: slice + 1,
      careful,
      skip: isPoisoned ? [...skip, poisoned.index] : skip,
    };
    if (lane.head > 0) {
      lane.head -= 1;
      lane.queue[lane.head] = entry;
    } else {
      lane.queue.unshift(entry);
    }
    makeReady(state, lane);
  }
}

/** Runs in a slice: all slices of a chunk are full but the last. */
function runsInSlice(ref: ChunkRef, slice: number): number {
  if (ref.sliceCount === ref.runCount) return 1;
  return Math.min(SLICE_RUNS, ref.runCount - slice * SLICE_RUNS);
}
