import type { ChunkRef } from '../log/chunk.ts';
import { charge } from './charge.ts';
import { detectNoisy, judgedMs, restrainAccount } from './detect.ts';
import { dispatch, mayHoldMore } from './dispatch.ts';
import type { Lane } from './lane.ts';
import { runsInSlice } from './runs-in-slice.ts';
import {
  type AssignedWork,
  type Assignment,
  accountOf,
  countHolders,
  isNoisy,
  laneOf,
  makeReady,
  noteActive,
  noteServed,
  type SchedulerState,
  setAccount,
} from './state.ts';
import { noteArrival, noteWaiting } from './waiting.ts';

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
  /** A lane's weight among the lanes of its account; that of the account where it is not known. */
  | { readonly type: 'weighted'; readonly laneId: number; readonly weight: number }
  | { readonly type: 'accountWeighted'; readonly accountId: number; readonly weight: number }
  /** At most so many assignments (one or more) hold work of the lane, or of the account. */
  | { readonly type: 'limited'; readonly laneId: number; readonly maxInFlight: number }
  | { readonly type: 'accountLimited'; readonly accountId: number; readonly maxInFlight: number }
  /**
   * While quiet lanes of others are active, at most so many assignments (one or more) hold work of the
   * account, and its lanes are noisy, whatever their share; infinite: like everybody.
   */
  | { readonly type: 'accountRestrained'; readonly accountId: number; readonly slots: number }
  /** The account's work restrains nobody: what checks the server is no neighbour of a flood. */
  | { readonly type: 'accountOverlooked'; readonly accountId: number }
  /** The lane belongs to this account (a positive number). */
  | { readonly type: 'mapped'; readonly laneId: number; readonly accountId: number }
  /** Nothing happened but time. */
  | { readonly type: 'tick' };

/** Weight of the newest measurement in a lane's cost per run. */
const COST_SMOOTHING = 0.2;
const NONE: ReadonlySet<number> = new Set();

/**
 * Start-time fair queueing (Goyal, Vin and Cheng, 1996) in milliseconds of service, between accounts, then
 * between the lanes of each and then between the tenants in a lane: what has the smallest start tag goes first, and its tag grows by the
 * service it got over its weight, so slow work pays for itself. Assignments are decided at dispatch, hence
 * weights and limits act on the existing backlog. Lanes that take much more than others are noisy:
 * they are served after the quiet ones, little at a time, in a limited number of slots. Heads of lanes with
 * little to do are gathered into one assignment.
 *
 * Deterministic: the state (changed in place), the event and the time decide; there is no clock, I/O or
 * randomness.
 */
export function schedule(
  state: SchedulerState,
  event: SchedulerEvent,
  nowMs: number,
): Assignment[] {
  state.nowMs = Math.max(state.nowMs, nowMs);
  apply(state, event);
  detectNoisy(state);
  const assignments: Assignment[] = [];
  for (const lane of state.parked) {
    if (!mayHoldMore(state, lane)) continue;
    state.parked.delete(lane);
    makeReady(state, lane, false);
  }
  while (state.assigned.size < state.slots) {
    const assignment = dispatch(state);
    if (!assignment) break;
    assignments.push(assignment);
  }
  noteWaiting(state);
  return assignments;
}

function apply(state: SchedulerState, event: SchedulerEvent): void {
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
    case 'accountWeighted':
      accountOf(state, event.accountId).weight = event.weight;
      break;
    case 'limited':
      laneOf(state, event.laneId).maxInFlight = Math.max(1, event.maxInFlight);
      break;
    case 'accountLimited':
      accountOf(state, event.accountId).maxInFlight = Math.max(1, event.maxInFlight);
      break;
    case 'accountRestrained':
      restrainAccount(state, accountOf(state, event.accountId), event.slots);
      break;
    case 'accountOverlooked':
      accountOf(state, event.accountId).isOverlooked = true;
      break;
    case 'mapped':
      setAccount(state, laneOf(state, event.laneId), event.accountId);
      break;
    case 'tick':
      break;
  }
}

function enqueue(state: SchedulerState, ref: ChunkRef, receipted: readonly number[]): void {
  const open = ref.sliceCount - receipted.length;
  if (open <= 0) return;
  countOpen(state, ref, open);
  const lane = laneOf(state, ref.laneId);
  const wasIdle = lane.queue.isEmpty;
  const isFresh = wasIdle && lane.assignments === 0;
  const done = receipted.length === 0 ? NONE : new Set(receipted);
  for (let next = 0; next < ref.sliceCount; next++) {
    if (done.has(next)) continue;
    let end = next + 1;
    while (end < ref.sliceCount && !done.has(end)) end += 1;
    for (let slice = next; slice < end; slice++) count(state, lane, runsInSlice(ref, slice));
    const freshAtMs = isFresh && lane.queue.isEmpty ? state.nowMs : undefined;
    const queuedAtMs = state.nowMs;
    lane.queue.push({ ref, next, end, careful: false, skip: [], freshAtMs, queuedAtMs });
    next = end;
  }
  noteActive(state, lane);
  makeReady(state, lane, wasIdle);
  if (isFresh) noteArrival(state, lane);
}

function countOpen(
  { openSlices, openSlicesOfOrder }: SchedulerState,
  ref: ChunkRef,
  n: number,
): void {
  openSlices.set(ref.slot, (openSlices.get(ref.slot) ?? 0) + n);
  if (ref.orderId === undefined) return;
  const left = (openSlicesOfOrder.get(ref.orderId) ?? 0) + n;
  if (left > 0) openSlicesOfOrder.set(ref.orderId, left);
  else openSlicesOfOrder.delete(ref.orderId);
}

function count(state: SchedulerState, lane: Lane, runs: number): void {
  state.queuedRuns += runs;
  lane.queuedRuns += runs;
}

function release(state: SchedulerState, work: AssignedWork): void {
  state.assigned.delete(work);
  if (isNoisy(work)) state.noisyAssignments -= 1;
  countHolders(work.shares, -1);
  for (const { lane, runs } of work.shares) {
    lane.inFlightRuns -= runs;
    lane.account.inFlightRuns -= runs;
    state.inFlightRuns -= runs;
    noteActive(state, lane);
  }
}

function finish(state: SchedulerState, assignmentId: number, serviceMs: number): void {
  const work = state.assigned.get(assignmentId);
  if (!work) return;
  release(state, work);
  for (const { ref } of work.assignment.slices) countOpen(state, ref, -1);
  if (isNoisy(work))
    state.noisyRestsUntilMs = state.nowMs + state.cap.restMs(serviceMs, state.slots);
  const totalMs = work.shares.reduce((sum, share) => sum + share.chargedMs, 0);
  const judged = judgedMs(state, serviceMs);
  state.recentService.add(judged, state.nowMs);
  for (const { lane, flow, runs, chargedMs, freshAtMs } of work.shares) {
    const part = totalMs > 0 ? chargedMs / totalMs : 0;
    const actualMs = serviceMs * part;
    lane.costMs += COST_SMOOTHING * (actualMs / runs - lane.costMs);
    lane.recentService.add(judged * part, state.nowMs);
    lane.account.recentService.add(judged * part, state.nowMs);
    lane.account.finishedRuns += runs;
    noteServed(state, lane.account);
    lane.queue.charge(flow, actualMs - chargedMs);
    charge(state, lane, actualMs - chargedMs);
    if (freshAtMs !== undefined && lane.level === 'normal') {
      state.cap.measure(state.nowMs - freshAtMs, state.noisy.size === 0, state.nowMs);
    }
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
  release(state, work);
  for (const { ref, slice, skip } of [...work.assignment.slices].reverse()) {
    const isPoisoned =
      poisoned && ref.stream === poisoned.stream && ref.sequence === poisoned.sequence;
    const lane = laneOf(state, ref.laneId);
    const wasIdle = lane.queue.isEmpty;
    count(state, lane, runsInSlice(ref, slice));
    const entry = {
      ref,
      next: slice,
      end: slice + 1,
      careful,
      skip: isPoisoned ? [...skip, poisoned.index] : skip,
      freshAtMs: undefined,
      queuedAtMs: state.nowMs,
    };
    lane.queue.pushFront(entry);
    makeReady(state, lane, wasIdle);
  }
}
