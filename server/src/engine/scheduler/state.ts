import type { ChunkRef } from '../log/chunk.ts';
import { AssignedWorks } from './assigned-works.ts';
import { DecayingSum } from './decaying-sum.ts';
import {
  type Account,
  createAccount,
  createTier,
  groupOf,
  isKeptNoisy,
  type Lane,
  type Level,
  type Tier,
} from './lane.ts';
import { type Flow, LaneQueue } from './lane-queue.ts';
import { NoisyCap } from './noisy-cap.ts';
import { NOISY, type SchedulerOptions } from './options.ts';
import { Recency } from './recency.ts';

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
  /** Noisy and normal lanes are never in one assignment. */
  readonly level: Level;
  readonly slot: number;
  readonly slices: readonly AssignedSlice[];
  /** Announce each run before it is evaluated: something in here killed an executor. */
  readonly careful: boolean;
};

export type Share = {
  readonly lane: Lane;
  readonly flow: Flow;
  readonly runs: number;
  readonly chargedMs: number;
  readonly freshAtMs: number | undefined;
};

export type AssignedWork = { readonly assignment: Assignment; readonly shares: readonly Share[] };

/** A lane became noisy, or normal again: with what was seen. */
export type Transition = {
  readonly atMs: number;
  readonly laneId: number;
  readonly accountId: number | undefined;
  readonly from: Level;
  readonly to: Level;
  readonly because: 'in flight' | 'service time' | 'restrained account' | 'quiet again';
  readonly inFlightRuns: number;
  readonly inFlightShare: number;
  readonly serviceShare: number;
  readonly queuedRuns: number;
};

export type SchedulerState = {
  readonly options: SchedulerOptions;
  /** Assignments under way at the most; follows the executors that live. */
  slots: number;
  readonly lanes: Map<number, Lane>;
  readonly accounts: Map<number, Account>;
  readonly tiers: Readonly<Record<Level, Tier>>;
  /** Lanes with work that hold as many slots as they may now: a few a slot, and those of restrained accounts. */
  readonly parked: Set<Lane>;
  readonly noisy: Set<Lane>;
  /** Noisy lanes of which nothing waits, or waited when they were last looked at. */
  readonly leaving: Set<Lane>;
  /** Accounts that were served since the last look for noisy lanes. */
  readonly served: Account[];
  readonly assigned: AssignedWorks;
  /** Slices without a receipt, by slot. */
  readonly openSlices: Map<number, number>;
  /** The same by the order that set them aside; without those that have none. */
  readonly openSlicesOfOrder: Map<number, number>;
  readonly cap: NoisyCap;
  readonly recentService: DecayingSum;
  /** The latest transitions, the newest last. */
  readonly transitions: Transition[];
  /** Assignments under way that hold work of noisy lanes. */
  noisyAssignments: number;
  noisyServedMs: number;
  /** While quiet lanes are active, noisy ones get no slot before. */
  noisyRestsUntilMs: number;
  /** Lanes that had something to do: normal ones, and all. */
  readonly quietActive: Recency<Lane>;
  readonly active: Recency<Lane>;
  /** Lanes that had to wait. */
  readonly waited: Recency<Lane>;
  evaluatedMs: number;
  inFlightRuns: number;
  nowMs: number;
  nextAssignmentId: number;
  queuedRuns: number;
};

/** What a lane is charged per run before anything is known of it. */
const FIRST_COST_MS = 0.05;
const LONG_AGO = Number.NEGATIVE_INFINITY;

export function createSchedulerState(options: SchedulerOptions): SchedulerState {
  return {
    options,
    slots: 0,
    lanes: new Map(),
    accounts: new Map(),
    tiers: { normal: createTier(), noisy: createTier() },
    parked: new Set(),
    noisy: new Set(),
    leaving: new Set(),
    served: [],
    assigned: new AssignedWorks(),
    openSlices: new Map(),
    openSlicesOfOrder: new Map(),
    cap: new NoisyCap(options.noisy ?? NOISY),
    recentService: new DecayingSum(),
    transitions: [],
    noisyAssignments: 0,
    noisyServedMs: LONG_AGO,
    noisyRestsUntilMs: LONG_AGO,
    quietActive: new Recency(),
    active: new Recency(),
    waited: new Recency(),
    evaluatedMs: LONG_AGO,
    inFlightRuns: 0,
    nowMs: 0,
    nextAssignmentId: 1,
    queuedRuns: 0,
  };
}

export function tierOf({ tiers }: SchedulerState, level: Level): Tier {
  return level === 'noisy' ? tiers.noisy : tiers.normal;
}

export function accountOf(state: SchedulerState, id: number): Account {
  let account = state.accounts.get(id);
  if (!account) {
    account = createAccount(id);
    state.accounts.set(id, account);
  }
  return account;
}

/** A lane that nothing was said of is an account of its own. */
const ownAccountId = (laneId: number): number => -1 - laneId;

export function isAccountKnown(lane: Lane): boolean {
  return lane.account.id !== ownAccountId(lane.id);
}

export function laneOf(state: SchedulerState, laneId: number): Lane {
  const known = state.lanes.get(laneId);
  if (known) return known;
  const account = accountOf(state, ownAccountId(laneId));
  const lane: Lane = {
    id: laneId,
    account,
    weight: 1,
    classWeight: state.options.classWeights?.[laneId % 4] ?? 1,
    maxInFlight: Number.POSITIVE_INFINITY,
    level: 'normal',
    sinceMs: state.nowMs,
    belowSinceMs: undefined,
    tagMs: 0,
    heapSeat: -1,
    costMs: FIRST_COST_MS,
    queue: new LaneQueue(),
    queuedRuns: 0,
    assignments: 0,
    inFlightRuns: 0,
    recentService: new DecayingSum(),
  };
  account.lanes.add(lane);
  state.lanes.set(laneId, lane);
  return lane;
}

/**
 * The lane may be served. One that `wakes` (it had no work, or comes from elsewhere) starts now: it has no
 * claim on the service of the past.
 */
export function makeReady(state: SchedulerState, lane: Lane, wakes: boolean): void {
  if (lane.queue.isEmpty) return;
  const group = groupOf(lane.account, lane.level);
  const tier = tierOf(state, lane.level);
  if (group.lanes.has(lane) || state.parked.has(lane)) return;
  if (wakes) lane.tagMs = Math.max(lane.tagMs, group.virtualTimeMs);
  group.lanes.push(lane);
  if (tier.groups.has(group)) return;
  if (wakes) group.tagMs = Math.max(group.tagMs, tier.virtualTimeMs);
  tier.groups.push(group);
}

/** The lane is not served until it is made ready again. */
export function makeUnready(state: SchedulerState, lane: Lane): void {
  state.parked.delete(lane);
  const group = groupOf(lane.account, lane.level);
  if (!group.lanes.has(lane)) return;
  group.lanes.remove(lane);
  if (group.lanes.size === 0) tierOf(state, lane.level).groups.remove(group);
}

export function setLevel(state: SchedulerState, lane: Lane, level: Level): void {
  makeUnready(state, lane);
  lane.level = level;
  lane.sinceMs = state.nowMs;
  lane.belowSinceMs = undefined;
  lane.tagMs = 0;
  if (level === 'noisy') {
    state.noisy.add(lane);
    if (lane.queuedRuns === 0) state.leaving.add(lane);
    // What it did itself restrains it no longer.
    state.quietActive.forget(lane);
  } else {
    state.noisy.delete(lane);
    state.leaving.delete(lane);
  }
  makeReady(state, lane, true);
  state.noisyAssignments = 0;
  for (const work of state.assigned.values()) if (isNoisy(work)) state.noisyAssignments += 1;
}

export function setAccount(state: SchedulerState, lane: Lane, accountId: number): void {
  if (lane.account.id === accountId) return;
  makeUnready(state, lane);
  const former = lane.account;
  former.lanes.delete(lane);
  former.inFlightRuns -= lane.inFlightRuns;
  // What was said of an account is kept for the lanes that come to it.
  if (former.lanes.size === 0 && former.id < 0) state.accounts.delete(former.id);
  lane.account = accountOf(state, accountId);
  lane.account.lanes.add(lane);
  lane.account.inFlightRuns += lane.inFlightRuns;
  for (const account of [former, lane.account]) account.assignments = 0;
  for (const work of state.assigned.values()) {
    for (const account of [former, lane.account]) {
      if (work.shares.some((share) => share.lane.account === account)) account.assignments += 1;
    }
  }
  lane.tagMs = 0;
  const isNew = lane.level === 'normal' && state.options.noisy && isKeptNoisy(lane.account);
  if (isNew) setLevel(state, lane, 'noisy');
  else makeReady(state, lane, true);
}

/** Remembers for the next look for noisy lanes that the account got service. */
export function noteServed(state: SchedulerState, account: Account): void {
  if (account.isServed) return;
  account.isServed = true;
  state.served.push(account);
}

/** An assignment begins (`change` 1) or ends (-1) to hold work of these lanes and their accounts. */
export function countHolders(shares: readonly Share[], change: 1 | -1): void {
  // Few shares, many calls: to look back costs less than a set.
  for (let i = 0; i < shares.length; i++) {
    const lane = shares[i]?.lane;
    if (!lane) continue;
    let before = 0;
    while (before < i && shares[before]?.lane !== lane) before += 1;
    if (before < i) continue;
    lane.assignments += change;
    before = 0;
    while (before < i && shares[before]?.lane.account !== lane.account) before += 1;
    if (before === i) lane.account.assignments += change;
  }
}

export function isNoisy(work: AssignedWork): boolean {
  return work.shares.some(({ lane }) => lane.level === 'noisy');
}

/** Remembers that the lane had something to do. */
export function noteActive(state: SchedulerState, lane: Lane): void {
  if (lane.account.isOverlooked) return;
  state.active.note(lane, state.nowMs);
  if (lane.level === 'normal') state.quietActive.note(lane, state.nowMs);
}
