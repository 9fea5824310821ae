import type { Model, Process } from '../support/interleavings.ts';

/**
 * An operator's hold against deliveries. What a provider was handed cannot be taken back, so executors look
 * at the orders in their memory right before they hand it over, and the answer waits until every executor
 * has said that it knows the order (engine/orders, executor-pool.ts, executor/deliver.ts). One executor is
 * ready, another is being started; both can die.
 */
export type ShedDeliveriesWithout =
  /** The answer does not wait for the executors. */
  | 'acknowledgements'
  /** An executor that read the orders before this one, and was ready after it, is told nothing. */
  | 'version with each assignment'
  /** Something else can happen between the look at the orders and the call. */
  | 'look and call in one turn';

type Name = 'executor 1' | 'executor 2';

type State = {
  readonly version: number;
  /** What the server knows, and says with each assignment. */
  readonly serverVersion: number;
  readonly known: Readonly<Record<Name, number>>;
  readonly ready: readonly Name[];
  /** Told of the order, and not heard from since. */
  readonly told: readonly Name[];
  /** The version that came with the assignment in hand; -1: none. */
  readonly assigned: Readonly<Record<Name, number>>;
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
      serverVersion: 0,
      known: { 'executor 1': 0, 'executor 2': 0 },
      ready: ['executor 1'],
      told: [],
      assigned: { 'executor 1': -1, 'executor 2': -1 },
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
  const tell = (s: State): State => ({ ...s, serverVersion: s.version, told: s.ready });
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
        assigned: { ...s.assigned, [name]: s.serverVersion },
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
    queued: s.queued || s.assigned[name] >= 0,
    assigned: { ...s.assigned, [name]: -1 },
  });
  const load = (s: State): State => ({
    ...s,
    known: { ...s.known, [name]: s.version },
    told: s.told.filter((it) => it !== name),
  });
  const isBehind = ({ known, assigned }: State): boolean =>
    without !== 'version with each assignment' && known[name] < assigned[name];
  const send = (s: State): State => ({
    ...s,
    assigned: { ...s.assigned, [name]: -1 },
    sent: true,
    sentLate: s.sentLate || (s.answered && !s.released),
  });
  const maySend = (s: State): boolean =>
    s.assigned[name] >= 0 && !isBehind(s) && s.known[name] !== 1;
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
      ...(isOneTurn ? ['ready'] : ['ready', 'looked']).map((from) => ({
        from,
        to: from,
        does: 'reads the orders, as it was told',
        when: ({ told }: State) => told.includes(name),
        change: load,
      })),
      {
        from: 'ready',
        to: 'ready',
        does: 'reads the orders, since the assignment came with later ones',
        when: isBehind,
        change: load,
      },
      {
        from: 'ready',
        to: 'ready',
        does: 'gives the held delivery back',
        when: (s) => s.assigned[name] >= 0 && !isBehind(s) && s.known[name] === 1,
        change: giveBack,
      },
      ...(isOneTurn
        ? [{ from: 'ready', to: 'ready', does: 'looks and sends', when: maySend, change: send }]
        : [
            { from: 'ready', to: 'looked', does: 'looks at the orders', when: maySend },
            { from: 'looked', to: 'ready', does: 'sends', change: send },
          ]),
    ],
  };
}
