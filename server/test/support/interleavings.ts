/**
 * Checks small models exhaustively: every order in which the atomic steps of some processes can happen,
 * with crashes anywhere. Breadth first, so that a counterexample is a shortest one; deterministic.
 */

/** An atomic step: what one statement, one message or one turn of an event loop does. */
export type Step<S> = {
  /** Where its process is before, and after. */
  readonly from: string;
  readonly to: string | ((before: S) => string);
  /** For the trace: "the process ...". */
  readonly does: string;
  /** The process waits until this holds. */
  readonly when?: (state: S) => boolean;
  readonly change?: (state: S) => S;
  /** It may as well never happen, so the end must not depend on it. */
  readonly luck?: boolean;
};

export type Process<S> = {
  readonly name: string;
  readonly starts: string;
  readonly steps: readonly Step<S>[];
  /** It can die, so many times, wherever it is: what is lost with it, and where it starts again. */
  readonly crash?: {
    readonly times: number;
    readonly to: string;
    readonly change?: (state: S) => S;
  };
};

export type Model<S> = {
  /** Plain data with every property there is: states are equal when their JSON is. */
  readonly state: S;
  readonly processes: readonly Process<S>[];
  /** What holds in every state, by its name. */
  readonly always: Readonly<Record<string, (state: S) => boolean>>;
  /** What can still come true, whatever has happened, without luck and without another crash. */
  readonly inTheEnd: Readonly<Record<string, (state: S) => boolean>>;
};

export type Counterexample = {
  /** The name of the promise that is broken. */
  readonly broken: string;
  /** A shortest way there, a line a step, and the state it ends in. */
  readonly trace: string;
};

export type Verdict = {
  readonly states: number;
  readonly counterexample: Counterexample | undefined;
  /** Steps that never happened: the model says less than it seems to. */
  readonly never: readonly string[];
};

type World<S> = {
  readonly state: S;
  readonly at: readonly string[];
  readonly crashes: readonly number[];
};

type Visit<S> = { readonly world: World<S>; readonly parent: number; readonly did: string };

const MAX_STATES = 500_000;

/** Visits every state that can be reached. Throws when there are too many. */
export function explore<S>(model: Model<S>): Verdict {
  const visits: Visit<S>[] = [];
  const numbers = new Map<string, number>();
  const predecessors: number[][] = [];
  const happened = new Set<string>();
  const add = (world: World<S>, parent: number, did: string, luck: boolean): void => {
    const key = JSON.stringify(world);
    let number = numbers.get(key);
    if (number === undefined) {
      number = visits.push({ world, parent, did }) - 1;
      if (number === MAX_STATES) throw new Error(`more than ${MAX_STATES} states`);
      numbers.set(key, number);
      predecessors.push([]);
    }
    if (parent >= 0 && !luck) predecessors[number]?.push(parent);
  };
  const verdict = (broken?: string, visit?: number): Verdict => ({
    states: visits.length,
    counterexample:
      broken === undefined ? undefined : { broken, trace: traceTo(visits, visit ?? 0, broken) },
    never: model.processes.flatMap(({ name, steps }) =>
      steps.map(({ does }) => `${name} ${does}`).filter((did) => !happened.has(did)),
    ),
  });

  add(
    {
      state: model.state,
      at: model.processes.map((process) => process.starts),
      crashes: model.processes.map(() => 0),
    },
    -1,
    'at first',
    false,
  );
  for (let number = 0; number < visits.length; number++) {
    const world = visits[number]?.world;
    if (!world) break;
    for (const [name, holds] of Object.entries(model.always)) {
      if (!holds(world.state)) return verdict(name, number);
    }
    for (const { did, next, luck } of successors(model.processes, world)) {
      happened.add(did);
      add(next, number, did, luck);
    }
  }
  for (const [name, holds] of Object.entries(model.inTheEnd)) {
    const hopeless = firstHopeless(visits, predecessors, holds);
    if (hopeless !== undefined) return verdict(name, hopeless);
  }
  return verdict();
}

/** Returns the number of states; throws with the trace when a promise is broken, or a step never happens. */
export function prove<S>(model: Model<S>): number {
  const { states, counterexample, never } = explore(model);
  if (counterexample) throw new Error(`broken: ${counterexample.broken}\n${counterexample.trace}`);
  if (never.length > 0) throw new Error(`never happens: ${never.join('; ')}`);
  return states;
}

/** The counterexample of a model that is expected to fail; throws when there is none. */
export function refute<S>(model: Model<S>): Counterexample {
  const { states, counterexample } = explore(model);
  if (!counterexample) throw new Error(`no counterexample in ${states} states`);
  return counterexample;
}

/** The set (a sorted list) with the item. */
export function plus<T extends string | number>(set: readonly T[], item: T): readonly T[] {
  return [...set, item].sort();
}

function* successors<S>(
  processes: readonly Process<S>[],
  world: World<S>,
): Generator<{ readonly did: string; readonly next: World<S>; readonly luck: boolean }> {
  for (const [i, { name, steps, crash }] of processes.entries()) {
    const here = world.at[i];
    for (const { from, to, does, when, change, luck = false } of steps) {
      if (from !== here || (when && !when(world.state))) continue;
      const state = change ? change(world.state) : world.state;
      const at = world.at.with(i, typeof to === 'string' ? to : to(world.state));
      yield { did: `${name} ${does}`, next: { ...world, state, at }, luck };
    }
    const crashes = world.crashes[i] ?? 0;
    if (!crash || crashes >= crash.times) continue;
    const next = {
      state: crash.change ? crash.change(world.state) : world.state,
      at: world.at.with(i, crash.to),
      crashes: world.crashes.with(i, crashes + 1),
    };
    yield { did: `${name} dies`, next, luck: true };
  }
}

/** The first state from which none that `holds` can be reached: found backwards from those that do. */
function firstHopeless<S>(
  visits: readonly Visit<S>[],
  predecessors: readonly (readonly number[])[],
  holds: (state: S) => boolean,
): number | undefined {
  const hopeful = new Set<number>();
  visits.forEach(({ world }, number) => {
    if (holds(world.state)) hopeful.add(number);
  });
  // A set is walked in the order of insertion, what is added on the way included.
  for (const number of hopeful) {
    for (const before of predecessors[number] ?? []) hopeful.add(before);
  }
  const hopeless = visits.findIndex((_, number) => !hopeful.has(number));
  return hopeless < 0 ? undefined : hopeless;
}

function traceTo<S>(visits: readonly Visit<S>[], number: number, broken: string): string {
  const lines: string[] = [];
  const last = visits[number];
  for (let visit = last; visit && visit.parent >= 0; visit = visits[visit.parent]) {
    lines.unshift(visit.did);
  }
  return [
    ...lines.map((line, i) => `${String(i + 1).padStart(3)}. ${line}`),
    `Then "${broken}" does not hold: ${JSON.stringify(last?.world.state)}`,
  ].join('\n');
}
