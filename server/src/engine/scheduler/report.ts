import { sharesOf } from './detect.ts';
import type { Level } from './lane.ts';
import { isAccountKnown, type SchedulerState, type Transition } from './state.ts';

export type LaneReport = {
  readonly laneId: number;
  readonly accountId: number | undefined;
  readonly level: Level;
  readonly sinceMs: number;
  readonly held: boolean;
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
      held: lane.held,
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
