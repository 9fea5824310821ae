import { type Model, type Process, plus } from '../support/interleavings.ts';

/**
 * An operator's order against results on their way, for runs: one slice that two executors may both have,
 * an order that holds or discards it, and, of a hold, the release. Each result statement carries the version
 * of the orders that it was evaluated with and fails when `governance` has another one (engine/orders,
 * executor/results.ts, executor/receipts.ts). An executor that knows old orders reads them again.
 */
export type ShedRunsWithout =
  /** A statement is not asked which orders it was evaluated with. */
  | 'version check'
  /** Nobody tells the executors that the hold was lifted; those that left the slice alone leave it so. */
  | 'telling the executors'
  /** A discarded slice gets no receipt. */
  | 'receipt of what is discarded';

export type Verb = 'hold' | 'discard';

type Name = 'executor 1' | 'executor 2';
type Ending = 'done' | 'discarded' | '';

type State = {
  /** The row of `governance`: 1 with the order, 2 after the release. */
  readonly version: number;
  readonly answered: boolean;
  readonly known: Readonly<Record<Name, number>>;
  readonly evaluatedWith: Readonly<Record<Name, number>>;
  readonly verdict: Readonly<Record<Name, Ending>>;
  /** Statements under way. */
  readonly writing: readonly Name[];
  readonly receipt: boolean;
  readonly endings: readonly string[];
  /** Something was started, or committed, between the answer to the order and the release. */
  readonly startedLate: boolean;
  readonly committedLate: boolean;
};

const NAMES: readonly Name[] = ['executor 1', 'executor 2'];

export type ShedRunsOptions = {
  readonly verb: Verb;
  readonly without?: ShedRunsWithout;
  /** Statements lock the version until they end, so that an order waits for them. */
  readonly locked?: boolean;
  /** Promise that nothing is committed after the answer, whenever it was started. */
  readonly strict?: boolean;
};

/** The model, or its twin that lacks a safeguard. */
export function shedRunsModel({
  verb,
  without,
  locked = false,
  strict = false,
}: ShedRunsOptions): Model<State> {
  const each = <T>(value: T): Readonly<Record<Name, T>> => ({
    'executor 1': value,
    'executor 2': value,
  });
  return {
    state: {
      version: 0,
      answered: false,
      known: each(0),
      evaluatedWith: each(0),
      verdict: each<Ending>(''),
      writing: [],
      receipt: false,
      endings: [],
      startedLate: false,
      committedLate: false,
    },
    processes: [
      operator(verb, locked, without),
      ...NAMES.map((name) => executor(name, verb, without)),
    ],
    always: {
      'nothing starts after the answer': ({ startedLate }) => !startedLate,
      'a slice ends once': ({ endings }) => endings.length <= 1,
      ...(strict
        ? { 'nothing is committed after the answer': ({ committedLate }) => !committedLate }
        : {}),
    },
    inTheEnd: { 'the slice ends': ({ endings }) => endings.length > 0 },
  };
}

function operator(
  verb: Verb,
  locked: boolean,
  without: ShedRunsWithout | undefined,
): Process<State> {
  const commit = (version: number) => ({
    when: ({ writing }: State) => !locked || writing.length === 0,
    change: (s: State): State => ({ ...s, version }),
  });
  const tell = (at: string) =>
    NAMES.map((name) => ({
      from: at,
      to: at,
      does: `has ${name} read the orders`,
      when: ({ known, version }: State) =>
        known[name] < version && without !== 'telling the executors',
      change: (s: State): State => ({ ...s, known: { ...s.known, [name]: s.version } }),
    }));
  return {
    name: 'the server',
    starts: 'calm',
    steps: [
      { from: 'calm', to: 'ordered', does: `commits the order to ${verb}`, ...commit(1) },
      {
        from: 'ordered',
        to: 'governed',
        does: 'answers',
        change: (s) => ({ ...s, answered: true }),
      },
      ...tell('governed'),
      ...(verb === 'hold'
        ? [
            { from: 'governed', to: 'released', does: 'commits the release', ...commit(2) },
            ...tell('released'),
          ]
        : []),
    ],
  };
}

function executor(name: Name, verb: Verb, without: ShedRunsWithout | undefined): Process<State> {
  const isStale = (s: State): boolean =>
    without !== 'version check' && s.evaluatedWith[name] !== s.version;
  const mustWait = (s: State): boolean => s.writing.length > 0;
  const isLate = (s: State): boolean => s.verdict[name] === 'done' && s.answered && s.version === 1;
  return {
    name,
    starts: 'idle',
    crash: {
      times: 1,
      to: 'idle',
      // The one in its place reads the orders when it starts.
      change: (s) => ({
        ...s,
        writing: s.writing.filter((it) => it !== name),
        known: { ...s.known, [name]: s.version },
      }),
    },
    steps: [
      {
        from: 'idle',
        to: ({ known }) => (known[name] === 1 && verb === 'hold' ? 'idle' : 'evaluated'),
        does: 'evaluates the slice with the orders that it knows',
        when: ({ receipt }) => !receipt,
        change: (s) => {
          const verdict: Ending = s.known[name] === 1 ? 'discarded' : 'done';
          return {
            ...s,
            evaluatedWith: { ...s.evaluatedWith, [name]: s.known[name] },
            verdict: { ...s.verdict, [name]: verdict },
          };
        },
      },
      {
        from: 'evaluated',
        to: 'writing',
        does: 'starts the statement',
        when: (s) => !mustWait(s) && !s.receipt && !isStale(s),
        change: (s) => ({
          ...s,
          writing: [...s.writing, name].sort(),
          startedLate: s.startedLate || isLate(s),
        }),
      },
      {
        from: 'evaluated',
        to: 'idle',
        does: 'is refused: a receipt exists',
        when: (s) => !mustWait(s) && s.receipt,
      },
      {
        from: 'evaluated',
        to: 'idle',
        does: 'is refused: the orders changed',
        when: isStale,
        change: (s) => ({ ...s, known: { ...s.known, [name]: s.version } }),
      },
      {
        from: 'writing',
        to: 'idle',
        does: 'commits receipt and results',
        change: (s) => ({
          ...s,
          writing: s.writing.filter((it) => it !== name),
          receipt:
            s.verdict[name] === 'done' || without !== 'receipt of what is discarded' || s.receipt,
          endings: plus(s.endings, s.verdict[name]),
          committedLate: s.committedLate || isLate(s),
        }),
      },
    ],
  };
}
