import type { Model, Process } from '../support/interleavings.ts';

/**
 * An operator's hold against deliveries. What a provider was handed cannot be taken back, so executors look
 * at the orders in their memory right before they hand it over, and the answer waits until every executor
 * has said that it knows the order (engine/orders, executor-pool.ts: govern, executor/deliver.ts: rulesFor). One
 * executor is ready, another is being started; both can die.
 */
export type ShedDeliveriesWithout =
  /** The answer does not wait for the executors. */
  | 'acknowledgements'
  /** Who read the orders before this one, and was ready after it, is told nothing and does not ask. */
  | 'version with the messages'
  /** Something else can happen between the look at the orders and the call. */
  | 'look and call in one turn';

type Name = 'executor 1' | 'executor 2';

type State = {
  readonly version: number;
  readonly known: Readonly<Record<Name, number>>;
  readonly ready: readonly Name[];
  /** Told of the order, and not heard from since. */
  readonly told: readonly Name[];
  readonly assigned: Readonly<Record<Name, boolean>>;
  readonly queued: boolean;
  readonly answered: boolean;
  readonly released: boolean;
  readonly sent: boolean;
  readonly sentLate: boolean;
};

const NAMES: readonly Name[] = ['executor 1', 'executor 2'];

/** The model, or its twin that lacks a safeguard. */
export function shedDeliveriesModel(without?: ShedDeliveriesWithout): Model<State> {
  return {
    state: {
      version: 0,
      known: { 'executor 1': 0, 'executor 2': 0 },
      ready: ['executor 1'],
      told: [],
      assigned: { 'executor 1': false, 'executor 2': false },
      queued: true,
      answered: false,
      released: false,
      sent: false,
      sentLate: false,
    },
    processes: [
      orders(without),
      scheduler(),
      ...NAMES.map((name) => executor(name, name === 'executor 1' ? 'ready' : 'starting', without)),
    ],
    always: { 'nothing is sent after the answer': ({ sentLate }) => !sentLate },
    inTheEnd: {
      'the delivery is sent, since the order was lifted': ({ sent }) => sent,
      'the order is answered': ({ answered }) => answered,
    },
  };
}

function orders(without: ShedDeliveriesWithout | undefined): Process<State> {
  const tell = (s: State): State => ({ ...s, told: s.ready });
  return {
    name: 'the server',
    starts: 'calm',
    steps: [
      {
        from: 'calm',
        to: 'ordered',
        does: 'commits the order to hold',
        change: (s) => ({ ...s, version: 1 }),
      },
      { from: 'ordered', to: 'telling', does: 'tells the executors that are ready', change: tell },
      {
        from: 'telling',
        to: 'answered',
        does: 'answers',
        when: ({ told }) => told.length === 0 || without === 'acknowledgements',
        change: (s) => ({ ...s, answered: true }),
      },
      {
        from: 'answered',
        to: 'released',
        does: 'commits the release and tells the executors that are ready',
        change: (s) => tell({ ...s, version: 2, released: true }),
      },
    ],
  };
}

function scheduler(): Process<State> {
  return {
    name: 'the scheduler',
    starts: 'running',
    steps: NAMES.map((name) => ({
      from: 'running',
      to: 'running',
      does: `assigns the delivery to ${name}`,
      when: ({ queued, ready, sent }: State) => queued && ready.includes(name) && !sent,
      change: (s: State): State => ({
        ...s,
        queued: false,
        assigned: { ...s.assigned, [name]: true },
      }),
    })),
  };
}

function executor(
  name: Name,
  starts: string,
  without: ShedDeliveriesWithout | undefined,
): Process<State> {
  const giveBack = (s: State): State => ({
    ...s,
    queued: s.queued || s.assigned[name],
    assigned: { ...s.assigned, [name]: false },
  });
  const load = (s: State): State => ({ ...s, known: { ...s.known, [name]: s.version } });
  const acknowledge = (s: State): State => ({
    ...load(s),
    told: s.told.filter((it) => it !== name),
  });
  const send = (s: State): State => ({
    ...s,
    assigned: { ...s.assigned, [name]: false },
    sent: true,
    sentLate: s.sentLate || (s.answered && !s.released),
  });
  const maySend = (s: State): boolean => s.known[name] !== 1;
  const isOneTurn = without !== 'look and call in one turn';
  return {
    name,
    starts,
    crash: {
      times: 1,
      to: 'starting',
      change: (s) => ({
        ...giveBack(s),
        ready: s.ready.filter((it) => it !== name),
        told: s.told.filter((it) => it !== name),
      }),
    },
    steps: [
      { from: 'starting', to: 'loaded', does: 'reads the orders', change: load },
      {
        from: 'loaded',
        to: 'ready',
        does: 'is ready',
        change: (s) => ({ ...s, ready: [...s.ready, name].sort() }),
      },
      ...['ready', 'has read', ...(isOneTurn ? [] : ['looked'])].map((from) => ({
        from,
        to: from,
        does: 'reads the orders, as it was told',
        when: ({ told }: State) => told.includes(name),
        change: acknowledge,
      })),
      {
        from: 'ready',
        to: 'has read',
        does: 'reads the message and the version, and the orders if it is a later one',
        when: ({ assigned }) => assigned[name],
        change: (s) => (without === 'version with the messages' ? s : load(s)),
      },
      {
        from: 'has read',
        to: 'ready',
        does: 'leaves the held delivery to another time',
        when: (s) => !maySend(s),
        change: giveBack,
      },
      ...(isOneTurn
        ? [{ from: 'has read', to: 'ready', does: 'looks and sends', when: maySend, change: send }]
        : [
            { from: 'has read', to: 'looked', does: 'looks at the orders', when: maySend },
            { from: 'looked', to: 'ready', does: 'sends', change: send },
          ]),
    ],
  };
}
