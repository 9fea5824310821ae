import { DecayingSum } from './decaying-sum.ts';
import { TagHeap } from './heap.ts';
import type { LaneQueue } from './lane-queue.ts';

export type Level = 'normal' | 'noisy';

export type Lane = {
  readonly id: number;
  account: Account;
  weight: number;
  /** Multiplies the weight; from the lane's class. */
  readonly classWeight: number;
  /** Assignments that may hold work of the lane at once. */
  maxInFlight: number;
  level: Level;
  sinceMs: number;
  /** When its share fell below the limit to become normal again; undefined while it is above. */
  belowSinceMs: number | undefined;
  /** Start tag of the lane's next work among those of its account, in milliseconds of weighted service. */
  tagMs: number;
  heapSeat: number;
  /** Service time of one run, smoothed. */
  costMs: number;
  readonly queue: LaneQueue;
  queuedRuns: number;
  /** Assignments and runs under way that hold work of the lane. */
  assignments: number;
  inFlightRuns: number;
  /** Milliseconds of service in about the last second, as far as they count when it is judged who is noisy. */
  readonly recentService: DecayingSum;
};

/** Lanes of an account that are at the same level and have work; the account's place in a tier. */
export type Group = {
  readonly id: number;
  readonly account: Account;
  tagMs: number;
  heapSeat: number;
  /** Service that its lane served least has been given. */
  virtualTimeMs: number;
  readonly lanes: TagHeap<Lane>;
};

export type Account = {
  /** Of a lane whose account is unknown: minus one less its id. */
  readonly id: number;
  weight: number;
  readonly lanes: Set<Lane>;
  readonly groups: Readonly<Record<Level, Group>>;
  readonly recentService: DecayingSum;
  /** Assignments that hold work of its lanes, and how many may. */
  assignments: number;
  maxInFlight: number;
  inFlightRuns: number;
  /** How many assignments may while quiet lanes of others are active; its lanes are noisy unless it is infinite. */
  restrainedTo: number;
  /** Nobody's neighbour: its work restrains no noisy lane. */
  isOverlooked: boolean;
  /** Got service since the last look for noisy lanes. */
  isServed: boolean;
  /** Since the start of the process. */
  finishedRuns: number;
};

/** Groups with work at one level. */
export type Tier = { readonly groups: TagHeap<Group>; virtualTimeMs: number };

export function createTier(): Tier {
  return { groups: new TagHeap(), virtualTimeMs: 0 };
}

export function createAccount(id: number): Account {
  const groups = {} as Record<Level, Group>;
  const account = {
    id,
    weight: 1,
    lanes: new Set<Lane>(),
    groups,
    recentService: new DecayingSum(),
    assignments: 0,
    maxInFlight: Number.POSITIVE_INFINITY,
    inFlightRuns: 0,
    restrainedTo: Number.POSITIVE_INFINITY,
    isOverlooked: false,
    isServed: false,
    finishedRuns: 0,
  };
  for (const level of ['normal', 'noisy'] as const) {
    groups[level] = {
      id,
      account,
      tagMs: 0,
      heapSeat: -1,
      virtualTimeMs: 0,
      lanes: new TagHeap(),
    };
  }
  return account;
}

/** Not `groups[level]`: a property whose name varies is slow, and this is on the way of every decision. */
export function groupOf({ groups }: Account, level: Level): Group {
  return level === 'noisy' ? groups.noisy : groups.normal;
}

export function isKeptNoisy(account: Account): boolean {
  return account.restrainedTo !== Number.POSITIVE_INFINITY;
}
