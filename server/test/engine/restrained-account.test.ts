import { describe, expect, it } from 'vitest';
import { NOISY } from '../../src/engine/scheduler/options.ts';
import { reportAccount } from '../../src/engine/scheduler/report.ts';
import { schedule } from '../../src/engine/scheduler/scheduler.ts';
import { createSchedulerState } from '../../src/engine/scheduler/state.ts';
import { poisson, simulate, unchecked } from '../support/lane-simulation.ts';
import { seededRandom } from '../support/random.ts';
import { ref } from '../support/schedules.ts';

const SLOTS = 12;
const QUIET = 1;
const ACCOUNT = 7;
const CANARY = 8;
const FLOOD = [101, 102, 103];

/** An account with three lanes full of work, restrained to one slot; and a quiet lane for the first 20 s. */
function replay({ restrained = false, overlooked = false }) {
  const noisy = { ...NOISY, firstCapShare: 0.5 };
  const decide = unchecked(SLOTS, { assignmentRuns: 100, noisy });
  for (const laneId of FLOOD) decide({ type: 'mapped', laneId, accountId: ACCOUNT }, 0);
  if (restrained) decide({ type: 'accountRestrained', accountId: ACCOUNT, slots: 1 }, 0);
  if (overlooked) {
    decide({ type: 'mapped', laneId: QUIET, accountId: CANARY }, 0);
    decide({ type: 'accountOverlooked', accountId: CANARY }, 0);
  }
  const served = { restrained: 0, alone: 0 };
  const random = seededRandom(5);
  simulate({
    decide,
    sources: [
      { ...poisson(random, QUIET, 50), nextMs: (ms) => (ms < 20_000 ? ms + 20 : 1e9) },
      ...FLOOD.map((laneId) => ({ laneId, runs: 500, nextMs: (ms: number) => ms + 50 })),
    ],
    fromMs: 0,
    untilMs: 40_000,
    serviceMs: (runs) => 1 + runs / 10,
    onServed: ({ laneId, endedMs }) => {
      if (laneId === QUIET) return;
      if (endedMs > 5_000 && endedMs < 20_000) served.restrained += 1;
      if (endedMs > 25_000) served.alone += 1;
    },
  });
  return served;
}

describe('a restrained account', () => {
  it('has its slots and no more while others are active, and all of them while it is alone', () => {
    const restrained = replay({ restrained: true });
    const free = replay({});
    expect(restrained.restrained).toBeGreaterThan(0);
    expect(restrained.restrained, 'without').toBeLessThan(free.restrained / 2);
    expect(restrained.alone).toBeGreaterThan(0.95 * free.alone);
  });

  it('is not restrained for an account that is overlooked', () => {
    const watched = replay({ restrained: true, overlooked: true });
    const restrained = replay({ restrained: true });
    expect(watched.restrained).toBeGreaterThan(3 * restrained.restrained);
  });

  it('is noisy with every lane, also with those that come later, until it is so no longer', () => {
    const state = createSchedulerState({ assignmentRuns: 100, noisy: NOISY });
    state.slots = 4;
    const at = (seconds: number, event: Parameters<typeof schedule>[1]) =>
      schedule(state, event, seconds * 1_000);
    at(0, { type: 'mapped', laneId: 101, accountId: ACCOUNT });
    at(0, { type: 'accountRestrained', accountId: ACCOUNT, slots: 1 });
    at(1, { type: 'mapped', laneId: 102, accountId: ACCOUNT });
    at(60, { type: 'tick' });
    expect([...state.noisy].map(({ id }) => id)).toEqual([101, 102]);
    at(61, { type: 'accountRestrained', accountId: ACCOUNT, slots: Number.POSITIVE_INFINITY });
    at(62, { type: 'tick' });
    expect(reportAccount(state, ACCOUNT)?.noisy).toBe(true);
    for (let second = 63; second < 75; second++) at(second, { type: 'tick' });
    expect(reportAccount(state, ACCOUNT)?.noisy).toBe(false);
  });

  it('is told how much of it waits, for how long, and how much was done', () => {
    const state = createSchedulerState({ assignmentRuns: 100 });
    state.slots = 1;
    schedule(state, { type: 'mapped', laneId: 404, accountId: ACCOUNT }, 0);
    const [first] = schedule(state, { type: 'appended', refs: [ref(404, 500)] }, 1_000);
    schedule(state, { type: 'appended', refs: [ref(404, 500)] }, 2_000);
    expect(reportAccount(state, ACCOUNT)).toEqual({
      queuedRuns: 900,
      inFlightRuns: 100,
      oldestAgeMs: 1_000,
      finishedRuns: 0,
      noisy: false,
      environmentId: 101,
    });
    schedule(state, { type: 'finished', assignmentId: first?.id ?? 0, serviceMs: 5 }, 2_500);
    expect(reportAccount(state, ACCOUNT)).toMatchObject({ queuedRuns: 800, finishedRuns: 100 });
    expect(reportAccount(state, 8)).toBeUndefined();
  });
});
