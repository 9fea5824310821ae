import { environmentOfLane } from '../log/chunk.ts';
import { sharesOf } from './detect.ts';
import type { Lane, Level } from './lane.ts';
import { isAccountKnown, type SchedulerState, type Transition } from './state.ts';

export type LaneReport = {
  readonly laneId: number;
  readonly accountId: number | undefined;
  readonly level: Level;
  readonly sinceMs: number;
  readonly queuedRuns: number;
  readonly inFlightRuns: number;
  readonly inFlightShare: number;
  readonly serviceShare: number;
};

export type SchedulerReport = {
  readonly lanes: readonly LaneReport[];
  /** Slots that noisy lanes may hold while quiet ones are active, and those they hold. */
  readonly noisyCap: number;
  readonly noisyAssignments: number;
  readonly quietBaselineMs: number | undefined;
  readonly transitions: readonly Transition[];
};

/** What an operator wants to know: the lanes with the most, noisy ones first. Visits every lane. */
export function reportScheduler(state: SchedulerState, limit: number): SchedulerReport {
  const lanes = [...state.lanes.values()]
    .filter((lane) => lane.level === 'noisy' || lane.queuedRuns > 0 || lane.inFlightRuns > 0)
    .sort(
      (a, b) =>
        Number(b.level === 'noisy') - Number(a.level === 'noisy') ||
        b.queuedRuns + b.inFlightRuns - a.queuedRuns - a.inFlightRuns ||
        a.id - b.id,
    )
    .slice(0, limit)
    .map((lane) => ({
      laneId: lane.id,
      accountId: isAccountKnown(lane) ? lane.account.id : undefined,
      level: lane.level,
      sinceMs: lane.sinceMs,
      queuedRuns: lane.queuedRuns,
      inFlightRuns: lane.inFlightRuns,
      ...sharesOf(state, lane),
    }));
  return {
    lanes,
    noisyCap: state.cap.slots(state.slots),
    noisyAssignments: state.noisyAssignments,
    quietBaselineMs: state.cap.baselineMs,
    transitions: [...state.transitions],
  };
}

/** What waits and runs of an account. */
export type AccountQueue = {
  readonly queuedRuns: number;
  readonly inFlightRuns: number;
  /** How long the oldest has been waiting, 0 when nothing waits. */
  readonly oldestAgeMs: number;
  /** Since the start of the process. */
  readonly finishedRuns: number;
  /** Whether one of its lanes is noisy. */
  readonly noisy: boolean;
  /** Of its lane with the most work. */
  readonly environmentId: number | undefined;
};

/** The queue of one account; undefined when it never had work. Visits its lanes and their tenants. */
export function reportAccount(state: SchedulerState, accountId: number): AccountQueue | undefined {
  const account = state.accounts.get(accountId);
  if (!account) return undefined;
  let largest: Lane | undefined;
  let queuedRuns = 0;
  let oldestMs = state.nowMs;
  for (const lane of account.lanes) {
    if (!largest || sizeOf(lane) > sizeOf(largest)) largest = lane;
    queuedRuns += lane.queuedRuns;
    oldestMs = Math.min(oldestMs, lane.queue.oldestMs() ?? state.nowMs);
  }
  return {
    queuedRuns,
    inFlightRuns: account.inFlightRuns,
    oldestAgeMs: state.nowMs - oldestMs,
    finishedRuns: account.finishedRuns,
    noisy: [...account.lanes].some((lane) => lane.level === 'noisy'),
    environmentId: largest && environmentOfLane(largest.id),
  };
}

/** The accounts that have noisy lanes. */
export function noisyAccounts(state: SchedulerState): number[] {
  const known = [...state.noisy].filter(isAccountKnown);
  return [...new Set(known.map((lane) => lane.account.id))];
}

const sizeOf = (lane: Lane): number => lane.queuedRuns + lane.inFlightRuns;
