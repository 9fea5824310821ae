import { type ChunkRef, RUNS, SLICE_RUNS } from '../../src/engine/log/chunk.ts';
import { schedule } from '../../src/engine/scheduler/scheduler.ts';
import {
  type Assignment,
  createSchedulerState,
  type SchedulerState,
} from '../../src/engine/scheduler/state.ts';
import { integer } from './random.ts';
import { must } from './schedules.ts';
import type { Decider } from './small-schedules.ts';

/** Something that gets service: an account, a lane, or a flow of a lane. */
type Party = {
  weight: number;
  /** Before its weight changed; undefined while it has not. */
  formerWeight: number | undefined;
  readonly longestMs: number;
  servedMs: number;
  sinceMs: number;
};

type BackloggedLane = {
  readonly id: number;
  readonly account: number;
  weight: number;
  readonly costMs: number;
  readonly flows: readonly Party[];
  readonly party: Party;
};

const LANES_EACH = 3;
const CHUNK_SLICES = 3;
/** What an assignment is charged before anything is known of its lane. */
const FIRST_GUESS_MS = 5;
/** Completed assignments in a schedule. */
const STEPS = 60;
/** Costs are known, to a thousandth, after so many assignments of a lane. */
const LEARNING_STEPS = 400;

/**
 * Accounts, lanes and flows that never run out of work, with weights and costs at random; the weights change
 * once on the way. After every assignment each pair (of accounts, of lanes of an account, of flows of a lane) is
 * held against the bound of start-time fair queueing with D slots (Jin, Chase and Kaur, 2004, SFQ(D)):
 * |Wi/wi - Wj/wj| <= (D + 1) (maxi/wi + maxj/wj), in milliseconds, max being one assignment.
 * Returns the largest part of the bound that was used.
 */
export function shareBacklogs(random: () => number, decide: Decider = schedule): number {
  const slots = integer(random, 1, 4);
  const world = createBacklogs(random, decide, slots);
  const changeAt = integer(random, 0, STEPS);
  let used = 0;
  const compare = (parties: readonly Party[]): void => {
    for (const [i, a] of parties.entries()) {
      for (const b of parties.slice(i + 1)) {
        const apart = Math.abs(
          (a.servedMs - a.sinceMs) / a.weight - (b.servedMs - b.sinceMs) / b.weight,
        );
        const bound = (slots + 1) * (longest(a) + longest(b));
        must(apart <= bound, 'who has a backlog gets its share');
        used = Math.max(used, apart / bound);
      }
    }
  };
  for (let step = 0; step < STEPS; step++) {
    world.finishNext();
    if (step === changeAt) world.reweigh();
    compare(world.accounts);
    for (const account of world.accounts.keys()) {
      compare(world.lanes.filter((lane) => lane.account === account).map((lane) => lane.party));
    }
    for (const lane of world.lanes) compare(lane.flows);
  }
  return used;
}

/**
 * A lane comes anew, with one slice, beside backlogs that nobody can finish. In an account of its own it waits
 * for one assignment of each account at the most; in one that is there, while that account is served, for one
 * of each of its lanes. Returns how many it waited for.
 */
export function wakeBesideBacklogs(random: () => number, decide: Decider = schedule): number {
  const world = createBacklogs(random, decide, integer(random, 1, 4));
  for (let step = 0; step < LEARNING_STEPS; step++) world.finishNext();
  const account = integer(random, 0, world.accounts.length);
  const mates = world.lanes.filter((lane) => lane.account === account).map((lane) => lane.id);
  const most = mates.length || world.accounts.length;
  const laneId = 400;
  world.send({ type: 'mapped', laneId, accountId: account + 1 });
  let waited = 0;
  let isServed = world.append(laneId, 0, 1);
  for (let step = 0; !isServed; step++) {
    const started = world.finishNext();
    isServed = started.includes(laneId);
    if (!isServed && (mates.length === 0 || started.some((id) => mates.includes(id)))) waited += 1;
    must(waited <= most && step < 10_000, 'who comes anew is served soon');
  }
  return waited;
}

/** One assignment by its weight, and once more by the weight that the others' lead dates from. */
function longest({ longestMs, weight, formerWeight }: Party): number {
  return longestMs / weight + (formerWeight === undefined ? 0 : longestMs / formerWeight);
}

function createBacklogs(random: () => number, decide: Decider, slots: number) {
  const state: SchedulerState = createSchedulerState({ assignmentRuns: SLICE_RUNS });
  state.slots = slots;
  const someWeight = (): number => 0.2 * 25 ** random();
  const lanes: BackloggedLane[] = [];
  const accounts: Party[] = [];
  const underWay: { readonly assignment: Assignment; readonly endsMs: number; ms: number }[] = [];
  let nowMs = 0;
  let sequence = 0;

  const partyOf = (weight: number, longestMs: number): Party => ({
    ...{ weight, formerWeight: undefined, longestMs },
    ...{ servedMs: 0, sinceMs: 0 },
  });

  function send(event: Parameters<Decider>[1]): number[] {
    const started: number[] = [];
    for (const assignment of decide(state, event, nowMs)) {
      let ms = 0;
      for (const { ref } of assignment.slices) {
        const lane = lanes.find((it) => it.id === ref.laneId);
        ms += SLICE_RUNS * (lane?.costMs ?? 0.1);
        started.push(ref.laneId);
      }
      underWay.push({ assignment, ms, endsMs: nowMs + ms });
    }
    return started;
  }

  /** Whole slices, so that an assignment is one of one lane and one flow. */
  function append(laneId: number, flow: number, sliceCount: number): boolean {
    sequence += 1;
    const ref: ChunkRef = {
      ...{ slot: 0, stream: 1, sequence, laneId, kind: RUNS, flow, dueMs: undefined },
      ...{ runCount: sliceCount * SLICE_RUNS, sliceCount },
    };
    return send({ type: 'appended', refs: [ref] }).includes(laneId);
  }

  /** The lanes of what starts in the place of what ends. */
  function finishNext(): readonly number[] {
    let next = 0;
    underWay.forEach((work, i) => {
      if (work.endsMs < (underWay[next]?.endsMs ?? 0)) next = i;
    });
    const [work] = underWay.splice(next, 1);
    if (!work) throw new Error('nothing is under way');
    nowMs = work.endsMs;
    for (const { ref, slice } of work.assignment.slices) {
      const lane = lanes.find((it) => it.id === ref.laneId);
      if (!lane) continue;
      const ms = SLICE_RUNS * lane.costMs;
      for (const party of [accounts[lane.account], lane.party, lane.flows[ref.flow]]) {
        if (party) party.servedMs += ms;
      }
      // Each flow always has work.
      if (slice === ref.sliceCount - 1) append(lane.id, ref.flow, CHUNK_SLICES);
    }
    return send({ type: 'finished', assignmentId: work.assignment.id, serviceMs: work.ms });
  }

  /** The weight of a lane that is alone in its account is one among accounts. */
  function weigh(isFirst: boolean): void {
    for (const [account, party] of accounts.entries()) {
      const weight = someWeight();
      const former = party.weight;
      send({ type: 'accountWeighted', accountId: account + 1, weight });
      const own = lanes.filter((lane) => lane.account === account);
      for (const lane of own) {
        lane.weight = someWeight();
        lane.party.formerWeight = isFirst ? undefined : lane.party.weight;
        lane.party.weight = lane.weight;
        send({ type: 'weighted', laneId: lane.id, weight: lane.weight });
      }
      party.formerWeight = isFirst ? undefined : former;
      party.weight = own.length === 1 ? weight * (own[0]?.weight ?? 1) : weight;
    }
    for (const party of [...accounts, ...lanes.flatMap((lane) => [lane.party, ...lane.flows])]) {
      party.sinceMs = party.servedMs;
    }
  }

  const accountCount = integer(random, 2, 3);
  for (let account = 0; account < accountCount; account++) {
    const costs = Array.from(
      { length: integer(random, 1, LANES_EACH) },
      () => 0.02 * 50 ** random(),
    );
    const longestMs = Math.max(FIRST_GUESS_MS, SLICE_RUNS * Math.max(...costs));
    accounts.push(partyOf(1, longestMs));
    for (const costMs of costs) {
      const id = 4 * (lanes.length + 1);
      const guessedMs = Math.max(FIRST_GUESS_MS, SLICE_RUNS * costMs);
      const flows = Array.from({ length: integer(random, 1, 2) }, () => partyOf(1, guessedMs));
      lanes.push({ id, account, weight: 1, costMs, flows, party: partyOf(1, guessedMs) });
    }
  }
  state.slots = 0;
  for (const { id, account, flows } of lanes) {
    send({ type: 'mapped', laneId: id, accountId: account + 1 });
    // More chunks than slots, so that none of them is ever without work.
    for (const flow of flows.keys())
      for (let i = 0; i <= slots; i++) append(id, flow, CHUNK_SLICES);
  }
  weigh(true);
  state.slots = slots;
  send({ type: 'tick' });
  return { accounts, lanes, send, append, finishNext, reweigh: () => weigh(false) };
}
