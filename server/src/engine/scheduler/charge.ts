import { groupOf, type Lane } from './lane.ts';
import { type SchedulerState, tierOf } from './state.ts';

/** Moves the lane and its account forward (or back) by this much service. */
export function charge(state: SchedulerState, lane: Lane, serviceMs: number): void {
  const { account } = lane;
  const group = groupOf(account, lane.level);
  lane.tagMs += serviceMs / (lane.weight * lane.classWeight);
  group.lanes.reposition(lane);
  // The weight of a lane that is alone in its account has nobody else to act on.
  const weight = account.lanes.size === 1 ? account.weight * lane.weight : account.weight;
  group.tagMs += serviceMs / (weight * lane.classWeight);
  tierOf(state, lane.level).groups.reposition(group);
}
