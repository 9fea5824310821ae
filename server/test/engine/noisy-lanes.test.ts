import { describe, expect, it } from 'vitest';
import { NOISY, type NoisyOptions } from '../../src/engine/scheduler/options.ts';
import { reportScheduler } from '../../src/engine/scheduler/report.ts';
import {
  checked,
  type Decide,
  fifo,
  poisson,
  type Served,
  simulate,
  unchecked,
} from '../support/lane-simulation.ts';
import { forSeeds, integer, seededRandom } from '../support/random.ts';
import { must } from '../support/schedules.ts';

const FLOOD = 1_001;
const SLOTS = 16;
const QUIET_LANES = 200;
/** A batch of n runs takes 2 + n ms, so that quiet work alone could be this much. */
const CAPACITY_PER_S = (SLOTS * 1_000) / 3;
const batchMs = (runs: number): number => 2 + runs;
const options = (noisy: NoisyOptions | undefined) => ({
  assignmentRuns: 100,
  ...(noisy ? { noisy } : {}),
});

const UNCAPPED: NoisyOptions = { ...NOISY, firstCapShare: 1, lastCapShare: 1, decrease: 1 };

const p99 = (values: number[]): number =>
  values.sort((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? Number.NaN;

/** Quiet lanes alone, then beside one with 25,000 runs a second. */
function replay(decide: Decide, load: number, calmMs = 20_000, floodMs = 40_000) {
  const random = seededRandom(7);
  const quiet = Array.from({ length: QUIET_LANES }, (_, i) =>
    poisson(random, i + 1, (load * CAPACITY_PER_S) / QUIET_LANES),
  );
  const flood = {
    laneId: FLOOD,
    runs: 500,
    nextMs: (afterMs: number) => Math.max(calmMs, afterMs) + 20,
  };
  const calm: number[] = [];
  const under: number[] = [];
  let flooded = 0;
  simulate({
    decide,
    sources: [...quiet, flood],
    fromMs: 0,
    untilMs: calmMs + floodMs,
    serviceMs: batchMs,
    onServed: ({ laneId, arrivedMs, endedMs }: Served) => {
      if (laneId === FLOOD) flooded += 1;
      else (arrivedMs < calmMs ? calm : under).push(endedMs - arrivedMs);
    },
  });
  return { ratio: p99(under) / p99(calm), floodPerS: (flooded / floodMs) * 1_000 };
}

describe('a lane at 75 times everyone', () => {
  it.each([[0.38], [0.75]])(
    'leaves the p99 of 200 quiet lanes within 1.2 of calm at load %d',
    (load) => {
      const { state, decide } = checked(SLOTS, options(NOISY));
      const { ratio, floodPerS } = replay(decide, load);
      expect(ratio).toBeLessThanOrEqual(1.2);
      expect(floodPerS).toBeGreaterThan(200);
      const report = reportScheduler(state, 10);
      expect(report.lanes[0]).toMatchObject({ laneId: FLOOD, level: 'noisy' });
      expect(report.transitions.map(({ laneId, to }) => [laneId, to])).toEqual([[FLOOD, 'noisy']]);
    },
  );

  it.each([
    ['first in, first out', () => fifo(SLOTS, 100), 100],
    ['fair order alone', () => unchecked(SLOTS, options(undefined)), 2],
    ['no cap', () => unchecked(SLOTS, options(UNCAPPED)), 1.2],
    ['long quanta', () => unchecked(SLOTS, options({ ...UNCAPPED, quantumMs: 100 })), 2],
  ] as const)('would delay them with %s (expected to fail)', (_name, create, least) => {
    expect(replay(create(), 0.75).ratio).toBeGreaterThan(least);
  });
});

/** Lanes, slots, costs and limits at random, a flood that comes and goes. */
function anySchedule(random: () => number, noisy: NoisyOptions): void {
  const slots = integer(random, 1, 12);
  const lanes = integer(random, 1, 30);
  const { state, decide } = checked(slots, options(noisy));
  const onMs = 100 + random() * 2_000;
  const sources = Array.from({ length: lanes }, (_, i) =>
    poisson(random, i + 1, 0.5 + random() * 30, integer(random, 1, 3)),
  );
  const flood = {
    laneId: FLOOD,
    runs: integer(random, 20, 500),
    nextMs: (afterMs: number) => (afterMs % (2 * onMs) > onMs ? afterMs + onMs : afterMs + 20),
  };
  const perRunMs = 0.1 + random() * 2;
  let steps = 0;
  simulate({
    decide: (event, nowMs) => {
      steps += 1;
      const assignments = decide(event, nowMs);
      if (steps % 97 !== 0) return assignments;
      const laneId = integer(random, 1, lanes);
      const odd: Parameters<Decide>[0][] = [
        { type: 'limited', laneId, maxInFlight: integer(random, 1, 6) },
        { type: 'weighted', laneId, weight: 0.1 + random() * 5 },
        { type: 'mapped', laneId, accountId: integer(random, 1, 5) },
        {
          type: 'accountRestrained',
          accountId: integer(random, 1, 5),
          slots: random() < 0.5 ? integer(random, 1, 3) : Number.POSITIVE_INFINITY,
        },
      ];
      const change = odd[integer(random, 0, odd.length - 1)];
      return change ? [...assignments, ...decide(change, nowMs)] : assignments;
    },
    sources: [...sources, flood],
    fromMs: 0,
    untilMs: 1_500 + random() * 2_000,
    serviceMs: (runs) => 0.5 + runs * perRunMs,
    onServed: () => undefined,
  });
  const since = new Map<number, number>();
  for (const { laneId, to, atMs } of state.transitions) {
    if (to === 'noisy') since.set(laneId, atMs);
    else must(atMs - (since.get(laneId) ?? 0) >= NOISY.exitAfterMs, 'a noisy lane does not flap');
  }
}

// Each is thousands of events; many small ones are in any-schedule.test.ts.
const SCHEDULES = 400;

describe('any schedule of quiet and noisy lanes', () => {
  it(
    'wastes no slot, keeps the cap, and does not flap',
    () => forSeeds(SCHEDULES, (random) => anySchedule(random, NOISY)),
    SCHEDULES * 1_000,
  );

  it('breaks the cap if noisy lanes may hold every slot (expected to fail)', () => {
    expect(() => forSeeds(150, (random) => anySchedule(random, UNCAPPED))).toThrow('the cap');
  });

  it('flaps without hysteresis (expected to fail)', () => {
    const hasty = { ...NOISY, exitAfterMs: 100 };
    expect(() => forSeeds(150, (random) => anySchedule(random, hasty))).toThrow('flap');
  });
});

describe('beside a flood', () => {
  it('a quiet run waits for no more than the quantum that is being served', () => {
    forSeeds(20, (random) => {
      const slots = integer(random, 1, 8);
      const { decide } = checked(slots, options(NOISY));
      simulate({
        decide,
        sources: [
          poisson(random, 1, 20),
          { laneId: FLOOD, runs: 500, nextMs: (afterMs) => afterMs + 20 },
        ],
        fromMs: 0,
        untilMs: 8_000,
        serviceMs: (runs, laneId) => (laneId === 1 ? 1 : runs),
        onServed: ({ laneId, arrivedMs, startedMs, endedMs }) => {
          if (laneId !== 1 || arrivedMs < 2_000) return;
          // Its own predecessors take 1 ms each; a handful at 20 a second.
          must(startedMs - arrivedMs <= NOISY.quantumMs + 5, `waited ${startedMs - arrivedMs} ms`);
          must(endedMs - startedMs <= 1, 'service is its own');
        },
      });
    });
  });

  /** The longest time without service for a noisy lane, with quiet lanes that want 1.5 times of all. */
  function longestPauseMs(noisy: NoisyOptions): number {
    const random = seededRandom(3);
    let lastMs = 5_000;
    let longestMs = 0;
    simulate({
      decide: unchecked(4, options(noisy)),
      sources: [
        ...Array.from({ length: 40 }, (_, i) => ({
          ...poisson(random, i + 1, (1.5 * 4_000) / 3 / 40),
          nextMs: (afterMs: number) =>
            afterMs < 3_000
              ? 3_000 + random() * 100
              : poisson(random, i + 1, (1.5 * 4_000) / 3 / 40).nextMs(afterMs),
        })),
        { laneId: FLOOD, runs: 500, nextMs: (afterMs) => afterMs + 20 },
      ],
      fromMs: 0,
      untilMs: 20_000,
      serviceMs: (runs, laneId) => (laneId === FLOOD ? runs : 3 * runs),
      onServed: ({ laneId, endedMs }) => {
        if (laneId !== FLOOD || endedMs < 5_000) return;
        longestMs = Math.max(longestMs, endedMs - lastMs);
        lastMs = endedMs;
      },
    });
    return Math.max(longestMs, 20_000 - lastMs);
  }

  it('the noisy lane does not starve, however much the quiet ones want', () => {
    expect(longestPauseMs(NOISY)).toBeLessThan(2 * NOISY.patienceMs);
    const impatient = { ...NOISY, patienceMs: Number.POSITIVE_INFINITY };
    expect(longestPauseMs(impatient), 'expected to fail').toBeGreaterThan(2_000);
  });

  it('has every slot and long assignments again when the quiet ones are silent', () => {
    const { state, decide } = checked(8, { ...options(NOISY), loneAssignmentRuns: 200 });
    let most = 0;
    simulate({
      decide: (event, nowMs) => {
        const assignments = decide(event, nowMs);
        if (nowMs > 6_000) most = Math.max(most, state.noisyAssignments);
        return assignments;
      },
      sources: [
        {
          laneId: 1,
          runs: 1,
          nextMs: (afterMs) => (afterMs > 4_000 ? Number.POSITIVE_INFINITY : afterMs + 50),
        },
        { laneId: FLOOD, runs: 500, nextMs: (afterMs) => afterMs + 20 },
      ],
      fromMs: 0,
      untilMs: 8_000,
      serviceMs: batchMs,
      onServed: () => undefined,
    });
    expect(state.lanes.get(FLOOD)?.level).toBe('noisy');
    expect(most).toBe(8);
  });
});

describe('a lane that is alone', () => {
  it('is never noisy and never restrained, however much it has to do', () => {
    const { state, decide } = checked(8, { ...options(NOISY), loneAssignmentRuns: 400 });
    let least = 8;
    simulate({
      decide: (event, nowMs) => {
        const assignments = decide(event, nowMs);
        if (state.queuedRuns > 0) least = Math.min(least, state.assigned.size);
        return assignments;
      },
      sources: [{ laneId: FLOOD, runs: 500, nextMs: (afterMs) => afterMs + 5 }],
      fromMs: 0,
      untilMs: 20_000,
      serviceMs: batchMs,
      onServed: () => undefined,
    });
    expect(state.transitions).toEqual([]);
    expect(least).toBe(8);
  });
});

/** Service of lanes that never run out of work. */
function sharesOf(
  prepare: (decide: Decide) => void,
  lanes: readonly number[],
  perClass?: number[],
) {
  const served = new Map<number, number>();
  const { decide } = checked(4, {
    ...options(NOISY),
    ...(perClass ? { classWeights: perClass } : {}),
  });
  prepare(decide);
  simulate({
    decide,
    sources: lanes.map((laneId) => ({ laneId, runs: 500, nextMs: (afterMs) => afterMs + 50 })),
    fromMs: 0,
    untilMs: 10_000,
    serviceMs: (runs) => runs,
    onServed: ({ laneId }) => served.set(laneId, (served.get(laneId) ?? 0) + 1),
  });
  return (laneId: number): number => served.get(laneId) ?? 0;
}

describe('accounts', () => {
  const many = [1, 2, 3, 4, 5, 6, 7, 8];

  it('one with eight busy lanes gets no more than one with a single lane', () => {
    const served = sharesOf(
      (decide) => {
        for (const laneId of many) decide({ type: 'mapped', laneId, accountId: 1 }, 0);
        decide({ type: 'mapped', laneId: 9, accountId: 2 }, 0);
      },
      [...many, 9],
    );
    const first = many.reduce((sum, laneId) => sum + served(laneId), 0);
    expect(first / served(9)).toBeGreaterThan(0.85);
    expect(first / served(9)).toBeLessThan(1.15);
  });

  it('would get eight times as much if nobody knew that they belong together (expected to fail)', () => {
    const served = sharesOf(() => undefined, [...many, 9]);
    expect(many.reduce((sum, laneId) => sum + served(laneId), 0) / served(9)).toBeGreaterThan(6);
  });

  it('classes are shares: interactive work goes faster and bulk work does not stand still', () => {
    const served = sharesOf(() => undefined, [4, 5, 6], [4, 1, 0.25]);
    expect(served(4)).toBeGreaterThan(3 * served(5));
    expect(served(5)).toBeGreaterThan(3 * served(6));
    expect(served(6)).toBeGreaterThan(500);
  });
});

describe('an operator', () => {
  it('limits a lane to some assignments, and lets it go again, with the backlog that there is', () => {
    const limited = unchecked(6, options(undefined));
    limited({ type: 'limited', laneId: 1, maxInFlight: 2 }, 0);
    const chunk = { slot: 0, stream: 1, sequence: 1, laneId: 1, kind: 1 as const };
    const ref = { ...chunk, runCount: 500, sliceCount: 500, dueMs: undefined, flow: 0 };
    expect(limited({ type: 'appended', refs: [ref, ref] }, 0)).toHaveLength(2);
    expect(limited({ type: 'tick' }, 1)).toHaveLength(0);
    expect(limited({ type: 'limited', laneId: 1, maxInFlight: 5 }, 2)).toHaveLength(3);
  });
});
