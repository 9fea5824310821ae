import { readShares } from '../accounts/shares.ts';
import type { Queryable } from '../db/database.ts';
import { environmentOfLane } from './log/chunk.ts';
import type { SchedulerEvent } from './scheduler/scheduler.ts';
import type { SchedulerState } from './scheduler/state.ts';

type Target = {
  readonly states: readonly SchedulerState[];
  readonly send: (state: SchedulerState, event: SchedulerEvent) => void;
};

/**
 * Whose lanes are whose, and what share each account and environment has. Shares are decided at dispatch, so
 * a change acts on what is queued already. An environment that was made since the last load is an account of
 * its own until the next one.
 */
export type Shares = {
  readonly load: (db: Queryable) => Promise<void>;
  /** To be called when a lane gets work: what is not known of it yet is said to the scheduler. */
  readonly introduce: (state: SchedulerState, laneId: number) => void;
};

type Known = Awaited<ReturnType<typeof readShares>>[number];

export function createShares({ states, send }: Target): Shares {
  let known = new Map<number, Known>();

  function introduce(state: SchedulerState, laneId: number): void {
    const share = known.get(environmentOfLane(laneId));
    if (!share) return;
    const lane = state.lanes.get(laneId);
    const { accountId, account } = share;
    if (lane?.account.id !== accountId) send(state, { type: 'mapped', laneId, accountId });
    if (lane?.weight !== share.weight)
      send(state, { type: 'weighted', laneId, weight: share.weight });
    const laneSlots = share.slots ?? Number.POSITIVE_INFINITY;
    if (lane?.maxInFlight !== laneSlots)
      send(state, { type: 'limited', laneId, maxInFlight: laneSlots });
    const of = state.accounts.get(accountId);
    if (of?.weight !== account.weight)
      send(state, { type: 'accountWeighted', accountId, weight: account.weight });
    const accountSlots = account.slots ?? Number.POSITIVE_INFINITY;
    if (of?.maxInFlight !== accountSlots)
      send(state, { type: 'accountLimited', accountId, maxInFlight: accountSlots });
  }

  return {
    introduce,
    load: async (db) => {
      const shares = await readShares(db);
      known = new Map(shares.map((share) => [share.environmentId, share]));
      for (const state of states) {
        for (const laneId of state.lanes.keys()) introduce(state, laneId);
      }
    },
  };
}
