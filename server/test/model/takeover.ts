import { type Model, type Process, plus } from '../support/interleavings.ts';

/**
 * Two servers on one database, each with an executor, and two slices of work: owner.ts, start.ts (recover,
 * watchOwnership), executor/run-worker.ts, executor/receipts.ts, executor/results.ts. A session can end
 * unnoticed, a process can be frozen for as long as it likes, and both executors can die.
 */
export type TakeoverWithout =
  /** Two receipts of a slice are possible. */
  | 'primary key'
  /** The same, but an executor asks whether its server is the owner before it writes. */
  | 'primary key, asking for the owner'
  /** The receipt is committed first, then the results. */
  | 'one statement, receipt first'
  | 'one statement, results first';

type Slice = 1 | 2;
type Server = 'A' | 'B';

type State = {
  /** Whose session holds the advisory lock. */
  readonly owner: Server | '';
  readonly receipts: readonly Slice[];
  readonly done: readonly Slice[];
  /** A scheduler's memory; null before it read the log. */
  readonly queued: Readonly<Record<Server, readonly Slice[] | null>>;
  readonly inHand: Readonly<Record<Server, Slice | 0>>;
  /** Its statement is under way, so that another with the same key waits. */
  readonly writing: Readonly<Record<Server, boolean>>;
};

const SLICES: readonly Slice[] = [1, 2];
const other = (server: Server): Server => (server === 'A' ? 'B' : 'A');

/** The model, or its twin that lacks a safeguard. */
export function takeoverModel(without?: TakeoverWithout): Model<State> {
  return {
    state: {
      owner: '',
      receipts: [],
      done: [],
      queued: { A: null, B: null },
      inHand: { A: 0, B: 0 },
      writing: { A: false, B: false },
    },
    processes: [
      network(),
      ...(['A', 'B'] as const).flatMap((name) => [server(name), executor(name, without)]),
    ],
    always: {
      'nothing is done twice': ({ done }) => new Set(done).size === done.length,
    },
    inTheEnd: {
      'every slice is done': ({ done }) => SLICES.every((slice) => done.includes(slice)),
    },
  };
}

function network(): Process<State> {
  return {
    name: 'the database',
    starts: 'whole',
    steps: [
      {
        from: 'whole',
        to: 'ended one',
        does: 'ends the session of a silent owner',
        luck: true,
        when: ({ owner }) => owner !== '',
        change: (s) => ({ ...s, owner: '' }),
      },
      {
        from: 'ended one',
        to: 'ended two',
        does: 'ends the session of the next owner',
        luck: true,
        when: ({ owner }) => owner !== '',
        change: (s) => ({ ...s, owner: '' }),
      },
    ],
  };
}

function server(name: Server): Process<State> {
  const assign = (slice: Slice) => ({
    from: 'owner',
    to: 'owner',
    does: `assigns slice ${slice}`,
    when: ({ queued, inHand }: State) =>
      inHand[name] === 0 && (queued[name]?.includes(slice) ?? false),
    change: (s: State) => ({
      ...s,
      queued: { ...s.queued, [name]: s.queued[name]?.filter((it) => it !== slice) ?? null },
      inHand: { ...s.inHand, [name]: slice },
    }),
  });
  return {
    name: `server ${name}`,
    starts: 'standing by',
    steps: [
      {
        from: 'standing by',
        to: ({ queued }) => (queued[name] ? 'owner' : 'recovering'),
        does: 'takes the lock',
        when: ({ owner }) => owner === '',
        change: (s) => ({ ...s, owner: name }),
      },
      {
        from: 'recovering',
        to: 'owner',
        does: 'queues what has no receipt',
        change: (s) => ({
          ...s,
          queued: {
            ...s.queued,
            [name]: SLICES.filter((slice) => !s.receipts.includes(slice)),
          },
        }),
      },
      ...SLICES.map(assign),
      {
        from: 'owner',
        to: 'standing by',
        does: 'notices that its session is over',
        when: ({ owner }) => owner !== name,
      },
    ],
  };
}

function executor(name: Server, without: TakeoverWithout | undefined): Process<State> {
  const slice = (s: State): Slice => s.inHand[name] || 1;
  const settle = (s: State): State => ({
    ...s,
    inHand: { ...s.inHand, [name]: 0 },
    writing: { ...s.writing, [name]: false },
  });
  const write = (s: State): State => ({ ...s, writing: { ...s.writing, [name]: true } });
  const receipt = (s: State): State => ({ ...s, receipts: plus(s.receipts, slice(s)) });
  const results = (s: State): State => ({ ...s, done: plus(s.done, slice(s)) });
  const isTwo = without?.startsWith('one statement') ?? false;
  const isLoose = without?.startsWith('primary key') ?? false;
  const mustWait = (s: State): boolean =>
    !isLoose && s.writing[other(name)] && slice(s) === s.inHand[other(name)];
  const isRefused = (s: State): boolean => !isLoose && s.receipts.includes(slice(s));
  const mayTry = (s: State): boolean =>
    without !== 'primary key, asking for the owner' || s.owner === name;
  return {
    name: `executor ${name}`,
    starts: 'idle',
    // What it held comes back to its server.
    crash: {
      times: 1,
      to: 'idle',
      change: (s) => ({
        ...settle(s),
        queued:
          s.inHand[name] === 0
            ? s.queued
            : { ...s.queued, [name]: plus(s.queued[name] ?? [], slice(s)) },
      }),
    },
    steps: [
      {
        from: 'idle',
        to: 'evaluating',
        does: 'evaluates its slice',
        when: ({ inHand }) => inHand[name] !== 0,
      },
      {
        from: 'evaluating',
        to: 'writing',
        does: 'starts the statement',
        when: (s) => mayTry(s) && !mustWait(s) && !isRefused(s),
        change: write,
      },
      {
        from: 'evaluating',
        to: 'idle',
        does: 'is refused by the receipt that exists',
        when: (s) => !mayTry(s) || (!mustWait(s) && isRefused(s)),
        change: settle,
      },
      ...(isTwo
        ? [
            {
              from: 'writing',
              to: 'half',
              does: without === 'one statement, receipt first' ? 'commits the receipt' : 'commits',
              change: without === 'one statement, receipt first' ? receipt : results,
            },
            {
              from: 'half',
              to: 'idle',
              does: 'commits the rest',
              change: (s: State) =>
                settle(without === 'one statement, receipt first' ? results(s) : receipt(s)),
            },
          ]
        : [
            {
              from: 'writing',
              to: 'idle',
              does: 'commits receipt and results',
              change: (s: State) => settle(results(receipt(s))),
            },
          ]),
    ],
  };
}
