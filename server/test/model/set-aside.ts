import type { Model, Process } from '../support/interleavings.ts';
import { drop, type Locks, mayExclude, mayShare, take } from '../support/table-locks.ts';

/**
 * An operator's order against results on their way, for runs. One slice in the ring that two executors may
 * both have; an order whose work is set aside: the statement that writes its receipt puts a chunk into a
 * slot of the order; the end of the order, after which one pass queues what lies there; and the truncation
 * of the ring's slot in between. engine/orders (order-table.ts: changeOrders, releaser.ts),
 * executor/run-worker.ts, executor/receipts.ts, log/maintain.ts.
 */
export type SetAsideWithout =
  /** A statement is not asked which orders it was evaluated under. */
  | 'version check'
  /** An order does not wait for the statements that are under way. */
  | 'lock of the orders'
  /** The receipt is committed, then the chunk aside. */
  | 'one statement, receipt first'
  | 'one statement, chunk first'
  /** What lies aside is queued before the order is ended. */
  | 'end before the pass'
  /** A refused executor tries again under the orders that it knew. */
  | 'reading the orders again';

type Name = 'executor 1' | 'executor 2';
type Place = 'ring' | 'aside';

type State = {
  /** governance.version: 1 with the order, 2 after its end. */
  readonly version: number;
  readonly locks: Locks;
  readonly answered: boolean;
  /** Chunks aside, each with or without its receipt; the one in the ring. */
  readonly ring: 'open' | 'receipted' | 'gone';
  readonly aside: number;
  readonly asideReceipts: number;
  /** Whether the pass gave the chunk aside to the scheduler. */
  readonly queued: boolean;
  readonly known: Readonly<Record<Name, number>>;
  readonly under: Readonly<Record<Name, number>>;
  readonly place: Readonly<Record<Name, Place>>;
  readonly done: number;
  /** Something of the slice was committed between the answer and the end of the order. */
  readonly late: boolean;
};

const NAMES: readonly Name[] = ['executor 1', 'executor 2'];

/** The model, or its twin that lacks a safeguard. */
export function setAsideModel(without?: SetAsideWithout): Model<State> {
  return {
    state: {
      version: 0,
      locks: [],
      answered: false,
      ring: 'open',
      aside: 0,
      asideReceipts: 0,
      queued: false,
      known: { 'executor 1': 0, 'executor 2': 0 },
      under: { 'executor 1': 0, 'executor 2': 0 },
      place: { 'executor 1': 'ring', 'executor 2': 'ring' },
      done: 0,
      late: false,
    },
    processes: [server(without), maintainer(), ...NAMES.map((name) => executor(name, without))],
    always: {
      'nothing of it is done after the answer': ({ late }) => !late,
      'nothing is done twice': ({ done, aside, asideReceipts }) =>
        done <= 1 && done + aside - asideReceipts <= 1,
      'nothing is lost': ({ done, ring, aside, asideReceipts }) =>
        done > 0 || ring === 'open' || aside > asideReceipts,
    },
    inTheEnd: { 'the slice is done, after the end of the order': ({ done }) => done > 0 },
  };
}

function server(without: SetAsideWithout | undefined): Process<State> {
  const change = (version: number) => ({
    when: ({ locks }: State) => without === 'lock of the orders' || mayExclude(locks, 'server'),
    change: (s: State): State => ({ ...s, version }),
  });
  const order = { does: 'commits the order', ...change(1) };
  const end = { does: 'commits the end of the order', ...change(2) };
  const pass = {
    does: 'queues what lies aside',
    change: (s: State): State => ({ ...s, queued: s.aside > s.asideReceipts }),
  };
  const isEarly = without === 'end before the pass';
  return {
    name: 'the server',
    starts: 'calm',
    steps: [
      { from: 'calm', to: 'ordered', ...order },
      {
        from: 'ordered',
        to: 'answered',
        does: 'answers',
        change: (s) => ({ ...s, answered: true }),
      },
      { from: 'answered', to: 'half', ...(isEarly ? pass : end) },
      { from: 'half', to: 'over', ...(isEarly ? end : pass) },
    ],
  };
}

function maintainer(): Process<State> {
  return {
    name: 'the maintainer',
    starts: 'idle',
    steps: [
      {
        from: 'idle',
        to: 'done',
        does: 'truncates the slot in the ring',
        when: ({ ring, locks }) => ring === 'receipted' && mayExclude(locks, 'maintainer'),
        change: (s) => ({ ...s, ring: 'gone' }),
      },
    ],
  };
}

function executor(name: Name, without: SetAsideWithout | undefined): Process<State> {
  const isStale = (s: State): boolean => without !== 'version check' && s.under[name] !== s.version;
  const isOver = (s: State): boolean =>
    s.place[name] === 'ring' ? s.ring !== 'open' : s.aside <= s.asideReceipts;
  /** Two statements that end the same slice: the second waits for the first. */
  const mayStart = (s: State): boolean =>
    mayShare(s.locks, name) &&
    !NAMES.some(
      (other) =>
        other !== name && s.locks.includes(`${other} shared`) && s.place[other] === s.place[name],
    );
  /** Work that was set aside is not asked for its own order again. */
  const isGoverned = (s: State): boolean => s.place[name] === 'ring' && s.under[name] === 1;
  const end = (s: State): State => ({ ...s, locks: drop(s.locks, name) });
  const receipt = (s: State): State =>
    s.place[name] === 'ring'
      ? { ...s, ring: 'receipted' }
      : { ...s, asideReceipts: s.asideReceipts + 1 };
  const results = (s: State): State =>
    isGoverned(s)
      ? { ...s, aside: s.aside + 1 }
      : { ...s, done: s.done + 1, late: s.late || (s.answered && s.version === 1) };
  const isTwo = without?.startsWith('one statement') ?? false;
  const isReceiptFirst = without === 'one statement, receipt first';
  const evaluate = (place: Place) => ({
    from: 'idle',
    to: 'evaluated',
    does: place === 'ring' ? 'evaluates the slice' : 'evaluates the slice that lay aside',
    change: (s: State): State => ({
      ...s,
      under: { ...s.under, [name]: s.known[name] },
      place: { ...s.place, [name]: place },
    }),
  });
  const reload = (s: State): State => ({ ...s, known: { ...s.known, [name]: s.version } });
  return {
    name,
    starts: 'idle',
    // The one in its place reads the orders when it starts.
    crash: { times: 1, to: 'idle', change: (s) => reload(end(s)) },
    steps: [
      { ...evaluate('ring'), when: ({ ring }) => ring === 'open' },
      { ...evaluate('aside'), when: (s) => s.queued && s.aside > s.asideReceipts },
      {
        from: 'evaluated',
        to: 'writing',
        does: 'starts the statement',
        when: (s) => mayStart(s) && !isOver(s) && !isStale(s),
        change: (s) => ({ ...s, locks: take(s.locks, name, 'shared') }),
      },
      {
        from: 'evaluated',
        to: 'idle',
        does: 'is refused',
        when: (s) => mayStart(s) && (isOver(s) || isStale(s)),
        change: (s) => (without === 'reading the orders again' ? s : reload(s)),
      },
      ...(isTwo
        ? [
            {
              from: 'writing',
              to: 'half',
              does: isReceiptFirst ? 'commits the receipt' : 'commits what came of it',
              change: isReceiptFirst ? receipt : results,
            },
            {
              from: 'half',
              to: 'idle',
              does: isReceiptFirst ? 'commits what came of it' : 'commits the receipt',
              change: (s: State) => end(isReceiptFirst ? results(s) : receipt(s)),
            },
          ]
        : [
            {
              from: 'writing',
              to: 'idle',
              does: 'commits the receipt with what came of it',
              change: (s: State) => end(results(receipt(s))),
            },
          ]),
    ],
  };
}
