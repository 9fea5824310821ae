import { type Model, type Process, plus } from '../support/interleavings.ts';

/**
 * A batch window of one key: two runs that join, of which the first to come opens it, the timer of each window, and time. A
 * transaction is several steps, which others see when it commits; it holds the row's lock from its first statement on. Each can die, and
 * begins anew. engine/windows/join-batches.ts, close-batches.ts.
 */
export type BatchWithout =
  /** Activities are read before the window is deleted. */
  | 'delete before read'
  /** A join looks at the window without locking it. */
  | 'lock of a join'
  /** A window that is opened in place of one whose time is over has its number. */
  | 'number of its own'
  /** The row is written in a transaction of its own, before the run is parked with the receipt. */
  | 'one transaction';

type Name = 'ada' | 'bob';

type Row = { readonly window: number; readonly over: boolean } | null;

type State = {
  /** The row that is committed, and who holds its lock. */
  readonly row: Row;
  readonly lock: string | null;
  readonly windows: number;
  /** Activities that are committed: run and window. */
  readonly activities: readonly string[];
  /** Windows whose runs are parked. */
  readonly parked: readonly number[];
  readonly delivered: readonly string[];
  /** What a transaction has seen or will write. */
  readonly seen: Readonly<Record<string, Row>>;
  readonly read: readonly string[];
  readonly closing: number;
};

const NAMES: readonly Name[] = ['ada', 'bob'];

/** The model, or its twin that lacks a safeguard. */
export function batchModel(without?: BatchWithout): Model<State> {
  return {
    state: {
      row: null,
      lock: null,
      windows: 0,
      activities: [],
      parked: [],
      delivered: [],
      seen: {},
      read: [],
      closing: 0,
    },
    processes: [...NAMES.map((name) => joiner(name, without)), closer(without), time()],
    always: {
      'nobody is delivered twice': ({ delivered }) => new Set(delivered).size === delivered.length,
    },
    inTheEnd: {
      'everybody is delivered': ({ delivered }) => NAMES.every((name) => delivered.includes(name)),
    },
  };
}

function time(): Process<State> {
  return {
    name: 'time',
    starts: 'running',
    steps: [
      {
        from: 'running',
        to: 'running',
        does: 'passes the end of the open window',
        when: ({ row }) => row !== null && !row.over,
        change: (s) => ({ ...s, row: s.row && { ...s.row, over: true } }),
      },
    ],
  };
}

function joiner(name: Name, without: BatchWithout | undefined): Process<State> {
  const isLocked = without !== 'lock of a join';
  const free = (s: State): State => (s.lock === name ? { ...s, lock: null } : s);
  const saw = (s: State): Row => s.seen[name] ?? null;
  const isOpen = (s: State): boolean => {
    const row = saw(s);
    return row !== null && !row.over;
  };
  const activity = (s: State, window: number): State => ({
    ...s,
    activities: plus(s.activities, `${name} ${window}`),
  });
  const opened = (s: State): State => {
    const isKept = without === 'number of its own' && s.row !== null;
    const window = isKept ? s.row.window : s.windows + 1;
    const row = { window, over: false };
    return { ...s, windows: Math.max(s.windows, window), row, seen: { ...s.seen, [name]: row } };
  };
  const parked = (s: State): State => {
    const window = saw(s)?.window ?? 0;
    return activity({ ...s, parked: [...s.parked, window].sort() }, window);
  };
  const split = without === 'one transaction';
  return {
    name,
    starts: 'ready',
    crash: { times: 1, to: 'ready', change: free },
    steps: [
      {
        from: 'ready',
        to: 'looked',
        does: isLocked ? 'locks the row and looks at it' : 'looks at the row',
        when: (s) => !isDone(s, name) && (!isLocked || s.lock === null),
        change: (s) => ({
          ...s,
          lock: isLocked ? name : s.lock,
          seen: { ...s.seen, [name]: s.row },
        }),
      },
      {
        from: 'looked',
        to: 'ready',
        does: 'commits that it joined',
        when: isOpen,
        change: (s) => free(activity(s, saw(s)?.window ?? 0)),
      },
      ...(split
        ? [
            {
              from: 'looked',
              to: 'opened',
              does: 'commits the window',
              when: (s: State) => !isOpen(s),
              change: (s: State) => free(opened(s)),
            },
            {
              from: 'opened',
              to: 'ready',
              does: 'commits that it is parked',
              change: parked,
            },
          ]
        : [
            {
              from: 'looked',
              to: 'ready',
              does: 'commits the window and that it is parked',
              when: (s: State) => !isOpen(s),
              change: (s: State) => free(parked(opened(s))),
            },
          ]),
    ],
  };
}

/** Its receipt: a run joins once. */
function isDone({ activities }: State, name: Name): boolean {
  return activities.some((activity) => activity.startsWith(name));
}

function closer(without: BatchWithout | undefined): Process<State> {
  const due = ({ parked, row }: State): number | undefined =>
    parked.find((window) => row?.window !== window || row.over);
  const mine = (s: State): boolean => s.row?.window === s.closing;
  const within = (s: State): readonly string[] =>
    s.activities.flatMap((activity) => {
      const [who = '', window] = activity.split(' ');
      return Number(window) === s.closing ? [who] : [];
    });
  const free = (s: State): State => (s.lock === 'timer' ? { ...s, lock: null } : s);
  const lock = (s: State): State => (mine(s) ? { ...s, lock: 'timer' } : s);
  const read = (s: State): State => ({ ...s, read: within(s) });
  const isReadFirst = without === 'delete before read';
  return {
    name: 'the timer',
    starts: 'resting',
    crash: { times: 1, to: 'resting', change: free },
    steps: [
      {
        from: 'resting',
        to: 'woken',
        does: 'wakes a run whose window is over',
        when: (s) => due(s) !== undefined,
        change: (s) => ({ ...s, closing: due(s) ?? 0 }),
      },
      {
        from: 'woken',
        to: 'half',
        does: isReadFirst ? 'reads the activities' : 'deletes the window',
        when: (s) => isReadFirst || !mine(s) || s.lock === null,
        change: isReadFirst ? read : lock,
      },
      {
        from: 'half',
        to: 'sure',
        does: isReadFirst ? 'deletes the window' : 'reads the activities',
        when: (s) => !isReadFirst || !mine(s) || s.lock === null,
        change: isReadFirst ? lock : read,
      },
      {
        from: 'sure',
        to: 'resting',
        does: 'commits what it delivers',
        change: (s) =>
          free({
            ...s,
            row: mine(s) ? null : s.row,
            parked: s.parked.toSpliced(s.parked.indexOf(s.closing), 1),
            delivered: [...s.delivered, ...s.read].sort(),
          }),
      },
    ],
  };
}
