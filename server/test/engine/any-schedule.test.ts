import { describe, expect, it } from 'vitest';
import { NOISY } from '../../src/engine/scheduler/options.ts';
import { type SchedulerEvent, schedule } from '../../src/engine/scheduler/scheduler.ts';
import type { Assignment, SchedulerState } from '../../src/engine/scheduler/state.ts';
import { shareBacklogs, wakeBesideBacklogs } from '../support/backlogs.ts';
import { fifo } from '../support/lane-simulation.ts';
import { forManySeeds, forSeeds } from '../support/random.ts';
import {
  type Decider,
  type SmallScheduleOptions,
  smallSchedule,
} from '../support/small-schedules.ts';

/** `npm run test:long` tries a million. About 50 events each; schedules of the other kinds take longer. */
const SCHEDULES = Number(process.env.BELFRY_SCHEDULES ?? 50_000);
const SHARES = Math.ceil(SCHEDULES / 10);
const WAKES = Math.ceil(SCHEDULES / 50);
const LONG_MS = Math.max(120_000, SCHEDULES * 2);
/** Schedules in which a wrong scheduler has to be found out. */
const TWIN_SCHEDULES = 5_000;

/** A scheduler that does not hear of some events. */
const deafTo =
  (...types: readonly SchedulerEvent['type'][]): Decider =>
  (state, event, nowMs) =>
    schedule(state, types.includes(event.type) ? { type: 'tick' } : event, nowMs);

const idler: Decider = (state, event, nowMs) => {
  const { slots } = state;
  state.slots = Math.max(0, slots - 1);
  const assignments = schedule(state, event, nowMs);
  state.slots = slots;
  return assignments;
};

const greedy: Decider = (state, event, nowMs) => {
  const { slots } = state;
  state.slots = slots + 1;
  const assignments = schedule(state, event, nowMs);
  state.slots = slots;
  return assignments;
};

/** Takes what came back for done. */
const forgetful: Decider = (state, event, nowMs) =>
  schedule(
    state,
    event.type === 'returned'
      ? { type: 'finished', assignmentId: event.assignmentId, serviceMs: 1 }
      : event,
    nowMs,
  );

/** Has the same done in two places. */
const hasty: Decider = (state, event, nowMs) => {
  const assignments = schedule(state, event, nowMs);
  return assignments.flatMap((assignment) => [assignment, { ...assignment, id: -assignment.id }]);
};

/** Moves a slice from one assignment to another, where the two `differ`. */
const careless =
  (differ: (state: SchedulerState, a: Assignment, b: Assignment) => boolean): Decider =>
  (state, event, nowMs) => {
    const [first, second, ...others] = schedule(state, event, nowMs);
    if (!first || !second) return first ? [first] : [];
    const [moved, ...rest] = first.slices;
    if (!moved || rest.length === 0 || second.careful || !differ(state, first, second)) {
      return [first, second, ...others];
    }
    const fuller = { ...second, slices: [...second.slices, moved] };
    return [{ ...first, slices: rest }, fuller, ...others];
  };

/** Takes every lane for the only quiet one. */
const crowding: Decider = (state, event, nowMs) => {
  const { quietActive } = state;
  const { otherThanMs } = quietActive;
  quietActive.otherThanMs = () => Number.NEGATIVE_INFINITY;
  const assignments = schedule(state, event, nowMs);
  quietActive.otherThanMs = otherThanMs;
  return assignments;
};

const levelOf = (state: SchedulerState, { slices }: Assignment) =>
  state.lanes.get(slices[0]?.ref.laneId ?? 0)?.level;

describe('any schedule', () => {
  it(
    'wastes no slot, starts each slice once, keeps cap, limits and patience, and does not flap',
    async () => {
      let events = 0;
      await forManySeeds(SCHEDULES, (random) => {
        events += smallSchedule(random);
      });
      expect(events).toBeGreaterThan(SCHEDULES * 30);
    },
    LONG_MS,
  );

  it.each<[string, SmallScheduleOptions, string]>([
    ['leaves a slot idle', { decide: idler }, 'work conserving: no quiet lane waits'],
    ['uses a slot too many', { decide: greedy }, 'no more than the slots'],
    ['forgets what came back', { decide: forgetful }, 'work conserving'],
    ['does things twice', { decide: hasty }, 'assigned while it waits, once'],
    [
      'mixes slots',
      {
        decide: careless(
          (state, a, b) => a.slot !== b.slot && levelOf(state, a) === levelOf(state, b),
        ),
      },
      'an assignment is of one slot',
    ],
    [
      'mixes noisy and quiet work',
      { decide: careless((state, a, b) => levelOf(state, a) !== levelOf(state, b)) },
      'noisy and quiet work are never mixed',
    ],
    ['knows no limit', { decide: deafTo('limited') }, 'no lane holds more than its limit'],
    [
      'knows no limit of an account',
      { decide: deafTo('accountLimited') },
      'no account holds more than its limit',
    ],
    [
      'restrains no account',
      { decide: deafTo('accountRestrained') },
      'the lanes of a restrained account are noisy',
    ],
    [
      'restrains an account to one slot more',
      {
        decide: (state, event, nowMs) =>
          schedule(
            state,
            event.type === 'accountRestrained' ? { ...event, slots: event.slots + 1 } : event,
            nowMs,
          ),
      },
      'a restrained account holds no more than it may',
    ],
    [
      'has no cap',
      { noisy: { ...NOISY, firstCapShare: 1, lastCapShare: 1, decrease: 1 } },
      'no more slots than the cap',
    ],
    ['lets a lane crowd others out', { decide: crowding }, 'a quiet lane leaves slots to others'],
    ['has no hysteresis', { noisy: { ...NOISY, exitAfterMs: 100 } }, 'does not flap'],
    [
      'has no patience',
      { noisy: { ...NOISY, patienceMs: Number.POSITIVE_INFINITY } },
      'served within the patience',
    ],
  ])('a scheduler that %s is found out (expected to fail)', (_name, options, broken) => {
    expect(() => forSeeds(TWIN_SCHEDULES, (random) => smallSchedule(random, options))).toThrow(
      broken,
    );
  });
});

describe('any backlogs', () => {
  it(
    'share service by weight within the bound, among accounts, lanes and tenants, also when weights change',
    async () => {
      let most = 0;
      await forManySeeds(SHARES, (random) => {
        most = Math.max(most, shareBacklogs(random));
      });
      // A bound that is nowhere near would prove little.
      expect(most).toBeGreaterThan(0.6);
    },
    LONG_MS,
  );

  it.each<[string, Decider]>([
    ['the weights of lanes', deafTo('weighted')],
    ['the weights of accounts', deafTo('accountWeighted')],
    ['which lanes belong together', deafTo('mapped')],
    [
      'how long work takes',
      (state, event, nowMs) =>
        schedule(state, event.type === 'finished' ? { ...event, serviceMs: 5 } : event, nowMs),
    ],
    [
      'whose turn it is among tenants',
      (state, event, nowMs) =>
        schedule(
          state,
          event.type === 'appended'
            ? { ...event, refs: event.refs.map((ref) => ({ ...ref, flow: 0 })) }
            : event,
          nowMs,
        ),
    ],
  ])('do not if nobody knows %s (expected to fail)', (_name, decide) => {
    expect(() => forSeeds(TWIN_SCHEDULES, (random) => shareBacklogs(random, decide))).toThrow(
      'its share',
    );
  });

  it(
    'let a lane that comes anew be served after one assignment of each of its rivals',
    async () => {
      await forManySeeds(WAKES, (random) => {
        wakeBesideBacklogs(random);
      });
    },
    LONG_MS,
  );

  it('do not if the first come is served first (expected to fail)', () => {
    expect(() =>
      forSeeds(50, (random) => {
        let decide: ReturnType<typeof fifo> | undefined;
        wakeBesideBacklogs(random, (state, event, nowMs) => {
          if (state.slots === 0 && event.type !== 'appended') return [];
          decide ??= fifo(1, 1);
          return decide(event, nowMs);
        });
      }),
    ).toThrow('served soon');
  });
});
