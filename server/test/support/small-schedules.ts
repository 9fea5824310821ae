import { type ChunkRef, RUNS, SLICE_RUNS, sliceCountOf } from '../../src/engine/log/chunk.ts';
import { isRestrained, noisyWakesMs } from '../../src/engine/scheduler/dispatch.ts';
import {
  CLASS_WEIGHTS,
  NOISY,
  type NoisyOptions,
  type SchedulerOptions,
} from '../../src/engine/scheduler/options.ts';
import { runsInSlice } from '../../src/engine/scheduler/runs-in-slice.ts';
import { type SchedulerEvent, schedule } from '../../src/engine/scheduler/scheduler.ts';
import {
  type Assignment,
  createSchedulerState,
  type SchedulerState,
} from '../../src/engine/scheduler/state.ts';
import { integer } from './random.ts';
import { must } from './schedules.ts';

/** What decides, so that a wrong one can take its place. */
export type Decider = (state: SchedulerState, event: SchedulerEvent, nowMs: number) => Assignment[];

export type SmallScheduleOptions = {
  readonly noisy?: NoisyOptions;
  readonly decide?: Decider;
};

const MAX_LANES = 6;
const CROWD = 24;
const ACCOUNTS = 3;
const MAX_SLICES = 8;
/** A slice waits, is under way, is finished. */
const WAITS = 1;
const ASSIGNED = 2;
const FINISHED = 3;

const { memoryMs: MEMORY_MS } = NOISY;
const NONE: readonly number[] = [];
const SLICES: readonly number[] = [0, 1, 2, 3, 4];
const isOdd = (slice: number): boolean => slice % 2 === 1;

type UnderWay = {
  readonly assignment: Assignment;
  readonly laneIds: readonly number[];
  readonly startedMs: number;
  readonly endsMs: number;
};

/**
 * A few lanes, slots and events at random in virtual time: floods, limits, weights, accounts, lost
 * executors. All that is promised is checked after every event against books of its own; then everything is
 * let go and must end. Returns the number of events.
 */
export function smallSchedule(random: () => number, options: SmallScheduleOptions = {}): number {
  // A cap that lets a restrained account have more than it may, and the one that we use.
  const cap = random() < 0.5 ? NOISY : { ...NOISY, firstCapShare: 1 / 2 };
  const { noisy = cap, decide = schedule } = options;
  const schedulerOptions: SchedulerOptions = {
    assignmentRuns: SLICE_RUNS,
    loneAssignmentRuns: 4 * SLICE_RUNS,
    classWeights: CLASS_WEIGHTS,
    noisy,
  };
  const state = createSchedulerState(schedulerOptions);
  // Many small lanes that want more than there is, and a large one: the quiet ones are none of them noisy.
  const isOverloaded = random() < 0.1;
  const laneCount = isOverloaded ? CROWD : integer(random, 2, MAX_LANES);
  const flood = integer(random, 1, laneCount);
  const costs = Array.from({ length: laneCount + 1 }, () =>
    isOverloaded ? 1 : 0.02 * 100 ** random(),
  );
  const status: number[] = [];
  const waiting = new Array<number>(laneCount + 1).fill(0);
  const holds = new Array<number>(laneCount + 1).fill(0);
  const limits = new Array<number>(laneCount + 1).fill(Number.POSITIVE_INFINITY);
  // A lane that was given to no account is one of its own.
  const accountIds = Array.from({ length: laneCount + 1 }, (_, laneId) => -laneId);
  const accountLimits = new Array<number>(ACCOUNTS + 1).fill(Number.POSITIVE_INFINITY);
  const restrained = new Array<number>(ACCOUNTS + 1).fill(Number.POSITIVE_INFINITY);
  const underWay = new Map<number, UnderWay>();
  let nowMs = 0;
  let steps = 0;
  let sequence = 0;
  let open = 0;
  let longestMs = 0;
  let seen = 0;
  let noisyIdleSinceMs: number | undefined;
  const noisySinceMs = new Map<number, number>();
  /** When each lane had something to do last while it was quiet. */
  const quietMs = new Array<number>(laneCount + 1).fill(Number.NEGATIVE_INFINITY);

  function send(event: SchedulerEvent): void {
    steps += 1;
    if (event.type === 'appended') {
      for (const ref of event.refs) expect(ref, event.receipted ?? NONE);
    }
    if (event.type === 'finished' || event.type === 'returned') {
      end(event.assignmentId, event.type === 'finished' ? FINISHED : WAITS);
    }
    const assignments = decide(state, event, nowMs);
    for (const assignment of assignments) begin(assignment);
    if (assignments.length > 0) must(underWay.size <= state.slots, 'no more than the slots');
    checkWaste();
    checkPatience();
    checkTransitions();
  }

  function expect(ref: ChunkRef, receipted: readonly number[]): void {
    for (let slice = 0; slice < ref.sliceCount; slice++) {
      if (!receipted.includes(slice)) status[ref.sequence * MAX_SLICES + slice] = WAITS;
    }
    waiting[ref.laneId] = (waiting[ref.laneId] ?? 0) + ref.sliceCount - receipted.length;
    if (ref.sliceCount > receipted.length) noteQuiet(ref.laneId);
    open += ref.sliceCount - receipted.length;
  }

  function noteQuiet(laneId: number): void {
    if (!isNoisyNow(laneId)) quietMs[laneId] = nowMs;
  }

  function end(assignmentId: number, becomes: number): void {
    const work = underWay.get(assignmentId);
    if (!work) return;
    underWay.delete(assignmentId);
    for (const laneId of work.laneIds) {
      holds[laneId] = (holds[laneId] ?? 0) - 1;
      noteQuiet(laneId);
    }
    for (const { ref, slice } of work.assignment.slices) {
      status[ref.sequence * MAX_SLICES + slice] = becomes;
      if (becomes === WAITS) waiting[ref.laneId] = (waiting[ref.laneId] ?? 0) + 1;
      else open -= 1;
    }
  }

  function begin(assignment: Assignment): void {
    const { slices, slot, careful } = assignment;
    must(!underWay.has(assignment.id), 'a new id for each assignment');
    must(slices.length > 0, 'an assignment has work');
    must(!careful || slices.length === 1, 'careful work is one slice');
    const laneIds: number[] = [];
    let serviceMs = 0.1;
    let isNoisy: boolean | undefined;
    for (const { ref, slice } of slices) {
      const key = ref.sequence * MAX_SLICES + slice;
      must(status[key] === WAITS, 'a slice is assigned while it waits, once');
      status[key] = ASSIGNED;
      const laneIsNoisy = state.lanes.get(ref.laneId)?.level === 'noisy';
      must((isNoisy ?? laneIsNoisy) === laneIsNoisy, 'noisy and quiet work are never mixed');
      isNoisy = laneIsNoisy;
      must(ref.slot === slot, 'an assignment is of one slot');
      waiting[ref.laneId] = (waiting[ref.laneId] ?? 0) - 1;
      serviceMs += (costs[ref.laneId] ?? 0) * runsInSlice(ref, slice);
      if (laneIds.includes(ref.laneId)) continue;
      laneIds.push(ref.laneId);
      must(
        laneIsNoisy || !holdsMuch(ref.laneId) || !isBesideQuietOnes(ref.laneId),
        'a quiet lane leaves slots to others',
      );
      const holding = (holds[ref.laneId] ?? 0) + 1;
      holds[ref.laneId] = holding;
      must(holding <= (limits[ref.laneId] ?? 0), 'no lane holds more than its limit');
    }
    must(assignment.level === (isNoisy ? 'noisy' : 'normal'), 'an assignment tells its level');
    longestMs = Math.max(longestMs, serviceMs);
    underWay.set(assignment.id, {
      assignment,
      laneIds,
      startedMs: nowMs,
      endsMs: nowMs + serviceMs,
    });
    for (const laneId of laneIds) {
      checkAccount(accountIds[laneId] ?? 0);
      noteQuiet(laneId);
    }
    if (isNoisy && isRestrained(state)) {
      const cap = Math.max(1, Math.floor(state.slots * NOISY.lastCapShare));
      must(state.noisyAssignments <= cap, 'noisy lanes hold no more slots than the cap');
    }
  }

  function checkAccount(accountId: number): void {
    if (accountId < 0) return;
    const limit = accountLimits[accountId] ?? 0;
    const most = restrained[accountId] ?? 0;
    if (limit === Number.POSITIVE_INFINITY && most === Number.POSITIVE_INFINITY) return;
    const held = holding(accountId);
    must(held <= limit, 'no account holds more than its limit');
    must(held <= most || !isRestrained(state), 'a restrained account holds no more than it may');
  }

  /** Assignments that hold work of an account. */
  function holding(accountId: number): number {
    let count = 0;
    for (const { laneIds } of underWay.values()) {
      if (laneIds.some((laneId) => accountIds[laneId] === accountId)) count += 1;
    }
    return count;
  }

  function accountMayStart(accountId: number): boolean {
    if (accountId < 0) return true;
    const most = Math.min(
      accountLimits[accountId] ?? 0,
      isRestrained(state) ? (restrained[accountId] ?? 0) : Number.POSITIVE_INFINITY,
    );
    return most === Number.POSITIVE_INFINITY || holding(accountId) < most;
  }

  /** It holds as many slots as are free, or more, and has runs enough under way for a noisy lane. */
  function holdsMuch(laneId: number): boolean {
    const held = holds[laneId] ?? 0;
    if (held < state.slots - underWay.size) return false;
    let runs = 0;
    for (const { assignment } of underWay.values()) {
      for (const { ref, slice } of assignment.slices) {
        if (ref.laneId === laneId) runs += runsInSlice(ref, slice);
      }
    }
    return runs >= NOISY.inFlightRuns;
  }

  /** Other quiet lanes were active within a second. */
  function isBesideQuietOnes(laneId: number): boolean {
    return quietMs.some(
      (atMs, id) => id !== laneId && !isNoisyNow(id) && nowMs - atMs <= MEMORY_MS,
    );
  }

  /** The scheduler may take a lane for quiet that became noisy within the second. */
  function mayBeBesideQuietOnes(laneId: number): boolean {
    const lane = state.lanes.get(laneId);
    return lane !== undefined && nowMs - state.quietActive.otherThanMs(lane) <= MEMORY_MS;
  }

  function isNoisyNow(laneId: number): boolean {
    return state.lanes.get(laneId)?.level === 'noisy';
  }

  function mayStart(laneId: number, level: 'normal' | 'noisy'): boolean {
    return (
      (waiting[laneId] ?? 0) > 0 &&
      (holds[laneId] ?? 0) < (limits[laneId] ?? 0) &&
      state.lanes.get(laneId)?.level === level &&
      (level === 'noisy' || !holdsMuch(laneId) || !mayBeBesideQuietOnes(laneId)) &&
      accountMayStart(accountIds[laneId] ?? 0)
    );
  }

  function anyMayStart(level: 'normal' | 'noisy'): boolean {
    for (let laneId = 1; laneId <= laneCount; laneId++) if (mayStart(laneId, level)) return true;
    return false;
  }

  function checkWaste(): void {
    if (underWay.size >= state.slots) return;
    must(!anyMayStart('normal'), 'work conserving: no quiet lane waits beside a free slot');
    if (state.noisy.size === 0) return;
    must(
      !anyMayStart('noisy') ||
        (isRestrained(state) &&
          (state.noisyAssignments >= Math.max(1, state.cap.slots(state.slots)) ||
            noisyWakesMs(state) !== undefined)),
      'work conserving: a noisy lane waits beside a free slot only because of the cap',
    );
  }

  function checkPatience(): void {
    const isIdle =
      state.noisy.size > 0 &&
      state.noisyAssignments === 0 &&
      state.slots > 0 &&
      anyMayStart('noisy');
    if (!isIdle) {
      noisyIdleSinceMs = undefined;
      return;
    }
    noisyIdleSinceMs ??= nowMs;
    must(
      nowMs - noisyIdleSinceMs <= NOISY.patienceMs + longestMs,
      'noisy work that waits is served within the patience',
    );
  }

  function checkTransitions(): void {
    for (; seen < state.transitions.length; seen++) {
      const transition = state.transitions[seen];
      if (!transition) return;
      const { laneId, to, atMs } = transition;
      if (to === 'noisy') noisySinceMs.set(laneId, atMs);
      else {
        const sinceMs = noisySinceMs.get(laneId) ?? Number.NEGATIVE_INFINITY;
        must(atMs - sinceMs >= NOISY.exitAfterMs, 'a noisy lane does not flap');
      }
    }
    for (let laneId = 1; laneId <= laneCount; laneId++) {
      if (restrained[accountIds[laneId] ?? 0] === Number.POSITIVE_INFINITY) continue;
      if ((accountIds[laneId] ?? 0) < 0) continue;
      const level = state.lanes.get(laneId)?.level ?? 'noisy';
      must(level === 'noisy', 'the lanes of a restrained account are noisy');
    }
  }

  /** What ends until then, in its order; then it is that time. */
  function passTo(toMs: number): void {
    for (;;) {
      let first: UnderWay | undefined;
      for (const work of underWay.values())
        if (work.endsMs <= (first?.endsMs ?? toMs)) first = work;
      if (!first) break;
      nowMs = Math.max(nowMs, first.endsMs);
      const serviceMs = nowMs - first.startedMs;
      send({ type: 'finished', assignmentId: first.assignment.id, serviceMs });
    }
    nowMs = Math.max(nowMs, toMs);
  }

  function chunk(laneId: number, runCount: number): ChunkRef {
    sequence += 1;
    return {
      ...{ slot: integer(random, 0, 2), stream: 1, sequence, laneId, kind: RUNS },
      ...{ flow: integer(random, 0, 2), runCount, dueMs: undefined },
      sliceCount: sliceCountOf(RUNS, runCount),
    };
  }

  function append(): void {
    if (isOverloaded) {
      const refs = Array.from({ length: laneCount }, (_, i) =>
        chunk(i + 1, i + 1 === flood ? 500 : integer(random, 2, 6)),
      );
      send({ type: 'appended', refs });
      return;
    }
    const isFlood = random() < 0.4;
    const laneId = isFlood ? flood : integer(random, 1, laneCount);
    const ref = chunk(laneId, integer(random, 1, isFlood ? 500 : 30));
    // As when the log is read again.
    const receipted = random() < 0.1 ? SLICES.slice(0, ref.sliceCount).filter(isOdd) : NONE;
    send({ type: 'appended', refs: [ref], receipted });
  }

  function giveBack(): void {
    const [work] = underWay.values();
    if (!work) return;
    const { ref, slice } = work.assignment.slices[0] ?? {};
    const poisoned =
      ref && random() < 0.3
        ? { poisoned: { stream: 1, sequence: ref.sequence, index: (slice ?? 0) * SLICE_RUNS } }
        : {};
    const assignmentId = work.assignment.id;
    send({ type: 'returned', assignmentId, careful: random() < 0.5, ...poisoned });
  }

  function limit(laneId: number, maxInFlight: number): void {
    limits[laneId] = maxInFlight;
    send({ type: 'limited', laneId, maxInFlight });
  }

  function limitAccount(accountId: number, maxInFlight: number): void {
    accountLimits[accountId] = maxInFlight;
    send({ type: 'accountLimited', accountId, maxInFlight });
  }

  function restrain(accountId: number, slots: number): void {
    restrained[accountId] = slots;
    send({ type: 'accountRestrained', accountId, slots });
  }

  function give(laneId: number, accountId: number): void {
    accountIds[laneId] = accountId;
    send({ type: 'mapped', laneId, accountId });
  }

  function resize(slots: number): void {
    state.slots = slots;
    noisyIdleSinceMs = undefined;
    send({ type: 'tick' });
  }

  function something(): void {
    const laneId = integer(random, 1, laneCount);
    const accountId = integer(random, 1, ACCOUNTS);
    const slots = random() < 0.5 ? integer(random, 1, 2) : Number.POSITIVE_INFINITY;
    const kind = isOverloaded ? 0.65 * random() : random();
    if (kind < 0.6) append();
    else if (kind < 0.68) giveBack();
    else if (kind < 0.78) limit(laneId, slots);
    else if (kind < 0.81) limitAccount(accountId, slots);
    else if (kind < 0.84) restrain(accountId, slots);
    else if (kind < 0.87) send({ type: 'weighted', laneId, weight: 0.1 + random() * 5 });
    else if (kind < 0.89) send({ type: 'accountWeighted', accountId, weight: 0.1 + random() * 5 });
    else if (kind < 0.93) give(laneId, accountId);
    else if (kind < 0.96) resize(integer(random, 0, 5));
    else send({ type: 'tick' });
  }

  // With many of them the cap is more than one.
  state.slots = integer(random, 1, isOverloaded ? 2 : random() < 0.2 ? 48 : 5);
  if (!isOverloaded && random() < 0.5) {
    for (let laneId = 1; laneId <= laneCount; laneId++) give(laneId, integer(random, 1, ACCOUNTS));
    if (random() < 0.3) restrain(integer(random, 1, ACCOUNTS), integer(random, 1, 2));
  }
  const events = integer(random, 5, 25);
  for (let event = 0; event < events; event++) {
    const pause = random();
    passTo(nowMs + random() * (pause < 0.6 ? 5 : pause < 0.95 ? 150 : 12_000));
    something();
  }
  for (let laneId = 1; laneId <= laneCount; laneId++) {
    limit(laneId, Number.POSITIVE_INFINITY);
  }
  for (let accountId = 1; accountId <= ACCOUNTS; accountId++) {
    limitAccount(accountId, Number.POSITIVE_INFINITY);
    restrain(accountId, Number.POSITIVE_INFINITY);
  }
  resize(Math.max(1, state.slots));
  while (open > 0) {
    passTo(Number.MAX_VALUE);
    const wakesMs = noisyWakesMs(state);
    must(open === 0 || wakesMs !== undefined, 'everything is finished in the end');
    must(steps < 10_000, 'everything is finished in the end');
    if (wakesMs === undefined) break;
    nowMs = wakesMs;
    send({ type: 'tick' });
  }
  must(open === 0, 'everything is finished in the end');
  must(state.queuedRuns === 0 && state.inFlightRuns === 0, 'the books are even in the end');
  return steps;
}
