import { describe, expect, it } from 'vitest';
import { SLICE_RUNS } from '../../src/engine/log/chunk.ts';
import type { SchedulerEvent } from '../../src/engine/scheduler/scheduler.ts';
import { type Assignment, createSchedulerState } from '../../src/engine/scheduler/state.ts';
import { forSeeds, integer } from '../support/random.ts';
import { LONE_RUNS, must, ref, runsOf, schedule, stateWith } from '../support/schedules.ts';

describe('any schedule', () => {
  it('is decided by its events alone', () => {
    forSeeds(200, (random) => {
      const events: SchedulerEvent[] = [];
      const run = (decide: (ids: readonly number[]) => SchedulerEvent | undefined): string => {
        const state = stateWith(3);
        const open = new Set<number>();
        const all: unknown[] = [];
        for (let event = decide([]); event; event = decide([...open])) {
          if (event.type === 'finished' || event.type === 'returned')
            open.delete(event.assignmentId);
          for (const assignment of schedule(state, event)) {
            open.add(assignment.id);
            all.push(assignment);
          }
        }
        return JSON.stringify(all);
      };
      const first = run((ids) => {
        if (events.length >= 80) return undefined;
        const assignmentId = ids[integer(random, 0, Math.max(0, ids.length - 1))];
        const event: SchedulerEvent =
          assignmentId === undefined || random() < 0.4
            ? { type: 'appended', refs: [ref(integer(random, 1, 9), integer(random, 1, 500))] }
            : random() < 0.8
              ? { type: 'finished', assignmentId, serviceMs: random() * 20 }
              : { type: 'returned', assignmentId, careful: random() < 0.5 };
        events.push(event);
        return event;
      });
      let position = 0;
      expect(run(() => events[position++])).toBe(first);
    });
  });
});

describe('returned work', () => {
  it('is assigned again, ahead of what waits in its lane', () => {
    const state = stateWith(1);
    const [lost] = schedule(state, { type: 'appended', refs: [ref(1, 500), ref(1, 500)] });
    const [again] = schedule(state, {
      type: 'returned',
      assignmentId: lost?.id ?? 0,
      careful: false,
    });
    expect(again?.slices).toEqual(lost?.slices);
    expect(again?.id).not.toBe(lost?.id);
  });

  it('keeps its order when an assignment of many slices comes back', () => {
    const state = stateWith(1);
    const refs = Array.from({ length: 40 }, () => ref(1, 1));
    const [lost] = schedule(state, { type: 'appended', refs });
    const [again] = schedule(state, {
      type: 'returned',
      assignmentId: lost?.id ?? 0,
      careful: false,
    });
    expect(again?.slices.map((entry) => entry.ref.sequence)).toEqual(
      refs.map((chunk) => chunk.sequence),
    );
  });

  it('skips a poisoned run from then on, and keeps skipping it', () => {
    const state = stateWith(1);
    const chunk = ref(1, 300);
    let [current] = schedule(state, { type: 'appended', refs: [chunk] });
    const poison = (index: number): void => {
      [current] = schedule(state, {
        type: 'returned',
        assignmentId: current?.id ?? 0,
        careful: true,
        poisoned: { stream: chunk.stream, sequence: chunk.sequence, index },
      });
    };
    poison(7);
    expect(current?.slices[0]?.skip).toEqual([7]);
    poison(9);
    expect(current?.slices[0]?.skip).toEqual([7, 9]);
    expect(current?.careful).toBe(true);
  });

  it('that was reported twice, or never existed, changes nothing', () => {
    const state = stateWith(1);
    const [lost] = schedule(state, { type: 'appended', refs: [ref(1, 100)] });
    schedule(state, { type: 'returned', assignmentId: lost?.id ?? 0, careful: false });
    const before = state.queuedRuns;
    expect(
      schedule(state, { type: 'returned', assignmentId: lost?.id ?? 0, careful: false }),
    ).toEqual([]);
    expect(schedule(state, { type: 'finished', assignmentId: 999, serviceMs: 1 })).toEqual([]);
    expect(state.queuedRuns).toBe(before);
    expect(state.assigned.size).toBe(1);
  });
});

/** Lanes that never run out of work, on `slots` executors that take `costMs(lane)` a run. */
function backlogged(options: {
  readonly slots: number;
  readonly weights: ReadonlyMap<number, number>;
  readonly costMs: (laneId: number) => number;
  readonly chunksEach: number;
}) {
  const state = stateWith(0);
  for (const [laneId, weight] of options.weights) {
    schedule(state, { type: 'weighted', laneId, weight });
  }
  for (const laneId of options.weights.keys()) {
    const refs = Array.from({ length: options.chunksEach }, () => ref(laneId, 500));
    schedule(state, { type: 'appended', refs });
  }
  state.slots = options.slots;
  const busy: { endsMs: number; serviceMs: number; assignment: Assignment }[] = [];
  const service = new Map<number, number>();
  let nowMs = 0;
  const start = (assignments: readonly Assignment[]): void => {
    for (const assignment of assignments) {
      const laneId = assignment.slices[0]?.ref.laneId ?? 0;
      const serviceMs = runsOf(assignment) * options.costMs(laneId);
      busy.push({ endsMs: nowMs + serviceMs, serviceMs, assignment });
    }
  };
  start(schedule(state, { type: 'tick' }));
  return {
    state,
    service,
    nowMs: () => nowMs,
    start,
    /** Finishes the next assignment; returns it. */
    step: (): Assignment => {
      busy.sort((a, b) => a.endsMs - b.endsMs || a.assignment.id - b.assignment.id);
      const next = busy.shift();
      if (!next) throw new Error('nothing is under way');
      nowMs = next.endsMs;
      const laneId = next.assignment.slices[0]?.ref.laneId ?? 0;
      service.set(laneId, (service.get(laneId) ?? 0) + next.serviceMs);
      start(
        schedule(state, {
          type: 'finished',
          assignmentId: next.assignment.id,
          serviceMs: next.serviceMs,
        }),
      );
      return next.assignment;
    },
  };
}

describe('fairness', () => {
  it.each([
    ['equal weights, equal costs', 1, 1, 1, 1],
    ['equal weights, one lane 20 times as slow', 1, 1, 0.05, 1],
    ['weights 3 to 1', 3, 1, 0.1, 0.1],
    ['weights 1 to 5, the light one 20 times as slow', 1, 5, 2, 0.1],
  ])('two backlogged lanes share service by weight: %s', (_name, w1, w2, cost1, cost2) => {
    const slots = 2;
    const costs = new Map([
      [1, cost1],
      [2, cost2],
    ]);
    const run = backlogged({
      slots,
      weights: new Map([
        [1, w1],
        [2, w2],
      ]),
      costMs: (laneId) => costs.get(laneId) ?? 0,
      chunksEach: 4_000,
    });
    // Start-time fair queueing: one assignment of each lane for each slot, and the one being finished.
    const bound = (slots + 1) * ((SLICE_RUNS * cost1) / w1 + (SLICE_RUNS * cost2) / w2);
    // What a run costs is learnt from the first assignments.
    for (let i = 0; i < 60; i++) run.step();
    const from = [run.service.get(1) ?? 0, run.service.get(2) ?? 0] as const;
    for (let i = 0; i < 2_000; i++) {
      run.step();
      const served1 = ((run.service.get(1) ?? 0) - from[0]) / w1;
      const served2 = ((run.service.get(2) ?? 0) - from[1]) / w2;
      expect(Math.abs(served1 - served2), `after ${i} assignments`).toBeLessThanOrEqual(bound);
    }
  });

  it('an idle lane has no credit for the past', () => {
    const run = backlogged({
      slots: 1,
      weights: new Map([[1, 1]]),
      costMs: () => 0.1,
      chunksEach: 2_000,
    });
    for (let i = 0; i < 1_000; i++) run.step();
    run.start(
      schedule(run.state, {
        type: 'appended',
        refs: Array.from({ length: 200 }, () => ref(2, 500)),
      }),
    );
    const lanes: (number | undefined)[] = [];
    for (let i = 0; i < 100; i++) lanes.push(run.step().slices[0]?.ref.laneId);
    const ofFirst = lanes.filter((laneId) => laneId === 1).length;
    expect(ofFirst).toBeGreaterThanOrEqual(48);
    expect(ofFirst).toBeLessThanOrEqual(52);
  });

  it('a lane that wakes up waits for no backlog: it is served next', () => {
    const run = backlogged({
      slots: 1,
      weights: new Map([[1, 1]]),
      costMs: () => 0.1,
      chunksEach: 2_000,
    });
    for (let i = 0; i < 100; i++) run.step();
    run.start(schedule(run.state, { type: 'appended', refs: [ref(2, 1)] }));
    const lanes = [run.step(), run.step(), run.step()].map(({ slices }) => slices[0]?.ref.laneId);
    expect(lanes).toContain(2);
  });

  it('a new weight acts on the backlog that exists', () => {
    const run = backlogged({
      slots: 1,
      weights: new Map([
        [1, 1],
        [2, 1],
      ]),
      costMs: () => 0.1,
      chunksEach: 4_000,
    });
    for (let i = 0; i < 100; i++) run.step();
    schedule(run.state, { type: 'weighted', laneId: 1, weight: 9 });
    const before = [run.service.get(1) ?? 0, run.service.get(2) ?? 0] as const;
    for (let i = 0; i < 400; i++) run.step();
    const gained1 = (run.service.get(1) ?? 0) - before[0];
    const gained2 = (run.service.get(2) ?? 0) - before[1];
    expect(gained1 / gained2).toBeGreaterThan(8);
    expect(gained1 / gained2).toBeLessThan(10);
  });
});

describe('slots that are reserved', () => {
  it('leave a lane that comes anew a free one, however many hang', () => {
    forSeeds(300, (random) => {
      const state = createSchedulerState({ assignmentRuns: 10, reserveSlots: true });
      state.slots = integer(random, 20, 60);
      const lanes = integer(random, 1, 8);
      const open: Assignment[] = [];
      for (let i = 0; i < 40; i++) {
        const laneId = integer(random, 1, lanes);
        open.push(
          ...schedule(state, { type: 'appended', refs: [ref(laneId, 500), ref(laneId, 1)] }),
        );
        const ended = random() < 0.3 ? open.shift() : undefined;
        if (ended) {
          open.push(
            ...schedule(state, { type: 'finished', assignmentId: ended.id, serviceMs: 50_000 }),
          );
        }
      }
      const [anew] = schedule(state, { type: 'appended', refs: [ref(99, 1)] });
      must(anew?.slices[0]?.ref.laneId === 99, 'the new lane is served at once');
    });
  });

  it('are given out again: in the end everything is done', () => {
    forSeeds(300, (random) => {
      const state = createSchedulerState({ assignmentRuns: 10, reserveSlots: true });
      state.slots = integer(random, 1, 12);
      const refs = Array.from({ length: 60 }, () =>
        ref(integer(random, 1, 6), integer(random, 1, 300)),
      );
      const open = schedule(state, { type: 'appended', refs });
      let done = 0;
      for (let next = open.shift(); next; next = open.shift()) {
        const assignmentId = next.id;
        const isLost = random() < 0.1;
        if (!isLost) done += next.slices.length;
        open.push(
          ...schedule(
            state,
            isLost
              ? { type: 'returned', assignmentId, careful: false }
              : { type: 'finished', assignmentId, serviceMs: random() * 100 },
          ),
        );
      }
      must(done === refs.reduce((sum, chunk) => sum + chunk.sliceCount, 0), 'everything is done');
      must(state.queuedRuns === 0 && state.parked.size === 0, 'nothing is left');
    });
  });
});

describe('the size of an assignment', () => {
  it('is small while another lane waits, and larger while none does', () => {
    const state = stateWith(1);
    const of = (laneId: number) => Array.from({ length: 10 }, () => ref(laneId, 5 * SLICE_RUNS));
    const [alone] = schedule(state, { type: 'appended', refs: of(1) });
    expect(alone && runsOf(alone)).toBe(LONE_RUNS);
    schedule(state, { type: 'appended', refs: of(2) });
    let [current] = schedule(state, { type: 'finished', assignmentId: 1, serviceMs: 1 });
    for (let i = 0; i < 20; i++) {
      expect(current && runsOf(current)).toBe(SLICE_RUNS);
      [current] = schedule(state, {
        type: 'finished',
        assignmentId: current?.id ?? 0,
        serviceMs: 1,
      });
    }
  });
});

describe('many lanes with little', () => {
  it.each([1, 2, 4])('10,000 with one run each, in %i slots, are gathered', (slots) => {
    const state = stateWith(1);
    const refs = Array.from({ length: 10_000 }, (_, lane) => ref(lane + 1, 1, lane % slots));
    let [current] = schedule(state, { type: 'appended', refs });
    let assignments = 0;
    let slices = 0;
    while (current) {
      assignments += 1;
      slices += current.slices.length;
      [current] = schedule(state, { type: 'finished', assignmentId: current.id, serviceMs: 1 });
    }
    expect(slices).toBe(10_000);
    expect(assignments).toBeLessThanOrEqual(slots === 1 ? 160 : 160 * slots);
  });
});
