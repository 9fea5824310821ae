import { type ChunkRef, DELIVERIES } from '../../src/engine/log/chunk.ts';
import { isRestrained, noisyWakesMs } from '../../src/engine/scheduler/dispatch.ts';
import type { SchedulerOptions } from '../../src/engine/scheduler/options.ts';
import { type SchedulerEvent, schedule } from '../../src/engine/scheduler/scheduler.ts';
import {
  type Assignment,
  createSchedulerState,
  type SchedulerState,
} from '../../src/engine/scheduler/state.ts';
import { must } from './schedules.ts';

/** Where runs of a lane come from: `runs` of them, at the times that `nextMs` says. */
export type Source = {
  readonly laneId: number;
  readonly runs: number;
  readonly nextMs: (afterMs: number) => number;
};

export type Served = {
  readonly laneId: number;
  readonly arrivedMs: number;
  readonly startedMs: number;
  readonly endedMs: number;
};

export type Decide = (event: SchedulerEvent, nowMs: number) => Assignment[];

/** Short: the engine also wakes when the rest of noisy lanes is over. */
const TICK_MS = 5;

/** Poisson arrivals. */
export function poisson(random: () => number, laneId: number, perSecond: number, runs = 1): Source {
  return {
    laneId,
    runs,
    nextMs: (afterMs) => afterMs - (Math.log(1 - random()) * 1_000) / perSecond,
  };
}

/** First in, first out, in batches: what a shared queue does. */
export function fifo(slots: number, batch: number): Decide {
  const queue: { ref: ChunkRef; next: number }[] = [];
  let busy = 0;
  let id = 1;
  return (event) => {
    if (event.type === 'appended') queue.push(...event.refs.map((ref) => ({ ref, next: 0 })));
    if (event.type === 'finished') busy -= 1;
    const assignments: Assignment[] = [];
    while (busy < slots && queue.length > 0) {
      const slices: Assignment['slices'][number][] = [];
      for (let head = queue[0]; head && slices.length < batch; head = queue[0]) {
        slices.push({ ref: head.ref, slice: head.next++, skip: [] });
        if (head.next === head.ref.sliceCount) queue.shift();
      }
      assignments.push({ id: id++, level: 'normal', slot: 0, slices, careful: false });
      busy += 1;
    }
    return assignments;
  };
}

/** The scheduler as it is, with options that may break its promises. */
export function unchecked(slots: number, options: SchedulerOptions): Decide {
  const state = createSchedulerState(options);
  state.slots = slots;
  return (event, nowMs) => schedule(state, event, nowMs);
}

/** The scheduler, which checks after every event what it promises whatever happens. */
export function checked(
  slots: number,
  options: SchedulerOptions,
): { readonly state: SchedulerState; readonly decide: Decide } {
  const state = createSchedulerState(options);
  state.slots = slots;
  const decide: Decide = (event, nowMs) => {
    const assignments = schedule(state, event, nowMs);
    const restrained = isRestrained(state);
    const cap = Math.max(1, Math.min(state.cap.slots(slots), Math.floor(slots / 2)));
    const { normal, noisy } = state.tiers;
    if (state.assigned.size < slots) {
      must(normal.groups.size === 0, 'work conserving: no quiet lane waits beside a free slot');
      must(
        noisy.groups.size === 0 ||
          (restrained && (state.noisyAssignments > 0 || noisyWakesMs(state) !== undefined)),
        'work conserving: a noisy lane waits beside a free slot only if quiet ones are active',
      );
    }
    for (const assignment of assignments) {
      const lanes = assignment.slices.map(({ ref }) => state.lanes.get(ref.laneId));
      must(
        new Set(lanes.map((lane) => lane?.level)).size === 1,
        'noisy and quiet work are never mixed',
      );
      if (restrained && lanes[0]?.level === 'noisy') {
        must(state.noisyAssignments <= cap, 'noisy lanes hold no more slots than the cap');
      }
    }
    return assignments;
  };
  return { state, decide };
}

/** Discrete events in virtual time; a batch of n runs takes `serviceMs(n, lane)`. Returns what ended. */
export function simulate(options: {
  readonly decide: Decide;
  readonly sources: readonly Source[];
  readonly fromMs: number;
  readonly untilMs: number;
  readonly serviceMs: (runs: number, laneId: number) => number;
  readonly onServed: (served: Served) => void;
}): void {
  const { decide, serviceMs, onServed, untilMs } = options;
  const arrivals = options.sources.map((source) => ({
    source,
    atMs: source.nextMs(options.fromMs),
  }));
  // A sorted list is quick enough for what moves: the arrivals' next, and the slots.
  arrivals.sort((a, b) => a.atMs - b.atMs);
  const busy: { endsMs: number; startedMs: number; assignment: Assignment }[] = [];
  const arrivedAt = new Map<ChunkRef, number>();
  let sequence = 1;
  let tickMs = options.fromMs;
  let nowMs = options.fromMs;
  const start = (assignments: readonly Assignment[]): void => {
    for (const assignment of assignments) {
      const laneId = assignment.slices[0]?.ref.laneId ?? 0;
      const endsMs = nowMs + serviceMs(assignment.slices.length, laneId);
      insert(busy, { endsMs, startedMs: nowMs, assignment }, (entry) => entry.endsMs);
    }
  };
  for (;;) {
    const arrivalMs = arrivals[0]?.atMs ?? Number.POSITIVE_INFINITY;
    const endMs = busy[0]?.endsMs ?? Number.POSITIVE_INFINITY;
    nowMs = Math.min(arrivalMs, endMs, tickMs);
    if (nowMs > untilMs) break;
    if (nowMs === endMs) {
      const ended = busy.shift();
      if (!ended) break;
      const { assignment, startedMs } = ended;
      start(
        decide(
          { type: 'finished', assignmentId: assignment.id, serviceMs: endMs - startedMs },
          nowMs,
        ),
      );
      for (const { ref } of assignment.slices) {
        const arrivedMs = arrivedAt.get(ref) ?? 0;
        onServed({ laneId: ref.laneId, arrivedMs, startedMs, endedMs: nowMs });
      }
    } else if (nowMs === arrivalMs) {
      const next = arrivals.shift();
      if (!next) break;
      const { laneId, runs } = next.source;
      const ref: ChunkRef = {
        ...{ slot: 0, stream: 1, sequence: sequence++, laneId, kind: DELIVERIES },
        ...{ runCount: runs, sliceCount: runs, dueMs: undefined, flow: 0 },
      };
      arrivedAt.set(ref, nowMs);
      next.atMs = next.source.nextMs(nowMs);
      insert(arrivals, next, (entry) => entry.atMs);
      start(decide({ type: 'appended', refs: [ref] }, nowMs));
    } else {
      tickMs += TICK_MS;
      start(decide({ type: 'tick' }, nowMs));
    }
  }
}

function insert<T>(sorted: T[], item: T, key: (item: T) => number): void {
  let from = 0;
  let to = sorted.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    const other = sorted[middle];
    if (other !== undefined && key(other) <= key(item)) from = middle + 1;
    else to = middle;
  }
  sorted.splice(from, 0, item);
}
