import type { Model, Process } from '../support/interleavings.ts';

/**
 * A trigger whose insert was sent when the connection broke: log/appender.ts (reconnect), log/stream.ts
 * (openStream, endStream). The database may commit it later, an executor may do it and the slot may be
 * truncated before it is looked up, and somebody else may have taken the number of the stream meanwhile.
 */
export type InDoubtWithout =
  /** The former session is left alone. */
  | 'ending the session'
  /** It is told to end, and nobody waits until it has. */
  | 'waiting for its end'
  /** A chunk is looked up by its key only, not by its time of acceptance. */
  | 'time of acceptance'
  /** A chunk is looked up, and not the run that was made of it. */
  | 'run'
  /** A chunk is looked up in its slot, and not where an order may have set it aside. */
  | 'slots of orders';

type Chunk = {
  readonly from: 'trigger' | 'somebody';
  readonly stream: number;
  readonly sequence: number;
  readonly aside: boolean;
};

type State = {
  readonly chunks: readonly Chunk[];
  /** log_stream, of stream 1. */
  readonly high: number;
  /** Which session holds stream 1. */
  readonly stream1: 'former' | 'appender' | 'somebody' | '';
  /** What the database makes of the former session. */
  readonly former: 'inserting' | 'told to end' | 'over';
  readonly nextSequence: number;
  readonly committed: number;
  readonly runs: number;
  readonly answered: boolean;
};

/** The model, or its twin that lacks a safeguard. */
export function inDoubtModel(without?: InDoubtWithout): Model<State> {
  return {
    state: {
      chunks: [],
      high: 0,
      stream1: 'former',
      former: 'inserting',
      nextSequence: 1,
      committed: 0,
      runs: 0,
      answered: false,
    },
    processes: [database(), appender(without), somebody(), executor(), maintainer()],
    always: {
      'a trigger is accepted once': ({ committed }) => committed <= 1,
      'nothing acknowledged is lost': ({ answered, chunks, runs }) =>
        !answered || runs > 0 || chunks.some((chunk) => chunk.from === 'trigger'),
    },
    inTheEnd: { 'the caller is answered': ({ answered }) => answered },
  };
}

const free = (s: State): State['stream1'] => (s.stream1 === 'former' ? '' : s.stream1);

function insert(s: State, from: Chunk['from'], stream: number, sequence: number): State {
  return {
    ...s,
    chunks: [...s.chunks, { from, stream, sequence, aside: false }],
    committed: s.committed + (from === 'trigger' ? 1 : 0),
  };
}

function nextSequence(s: State): number {
  const used = s.chunks.filter(({ stream }) => stream === 1).map(({ sequence }) => sequence);
  return Math.max(s.high, ...used) + 1;
}

function database(): Process<State> {
  return {
    name: 'the database',
    starts: 'running',
    steps: [
      {
        from: 'running',
        to: 'done',
        does: 'commits the insert of the former session',
        luck: true,
        when: ({ former }) => former !== 'over',
        change: (s) => insert(s, 'trigger', 1, 1),
      },
      ...['running', 'done'].map((from) => ({
        from,
        to: 'over',
        does: 'ends the former session',
        when: ({ former }: State) => former !== 'over',
        change: (s: State): State => ({ ...s, former: 'over', stream1: free(s) }),
      })),
    ],
  };
}

function appender(without: InDoubtWithout | undefined): Process<State> {
  const isFound = ({ chunks, runs }: State): boolean =>
    chunks.some(
      ({ from, stream, sequence, aside }) =>
        stream === 1 &&
        sequence === 1 &&
        (without === 'time of acceptance' || from === 'trigger') &&
        (without !== 'slots of orders' || !aside),
    ) ||
    (without !== 'run' && runs > 0);
  const tells = without !== 'ending the session';
  const waits = tells && without !== 'waiting for its end';
  return {
    name: 'the appender',
    starts: 'in doubt',
    steps: [
      {
        from: 'in doubt',
        to: 'connected on stream 1',
        does: 'connects and takes stream 1, which is free',
        when: ({ stream1 }) => stream1 === '',
        change: (s) => ({ ...s, stream1: 'appender', nextSequence: nextSequence(s) }),
      },
      {
        from: 'in doubt',
        to: 'connected on stream 2',
        does: 'connects and takes stream 2',
        when: ({ stream1 }) => stream1 !== '',
      },
      ...([1, 2] as const).flatMap((stream) => [
        {
          from: `connected on stream ${stream}`,
          to: `looking with stream ${stream}`,
          does: tells ? 'tells the former session to end' : 'lets the former session be',
          change: (s: State): State =>
            tells && s.former === 'inserting' ? { ...s, former: 'told to end' } : s,
        },
        {
          from: `looking with stream ${stream}`,
          to: 'answered',
          does: 'finds the insert and answers',
          when: (s: State) => (!waits || s.former === 'over') && isFound(s),
          change: (s: State): State => ({ ...s, answered: true }),
        },
        {
          from: `looking with stream ${stream}`,
          to: `inserting on stream ${stream}`,
          does: 'finds nothing',
          when: (s: State) => (!waits || s.former === 'over') && !isFound(s),
        },
        {
          from: `inserting on stream ${stream}`,
          to: 'answered',
          does: 'inserts the trigger again and answers',
          change: (s: State): State => ({
            ...insert(s, 'trigger', stream, stream === 1 ? s.nextSequence : 1),
            answered: true,
          }),
        },
      ]),
    ],
  };
}

function somebody(): Process<State> {
  return {
    name: 'somebody else',
    starts: 'starting',
    steps: [
      {
        from: 'starting',
        to: 'appending',
        does: 'takes stream 1, which is free',
        when: ({ stream1 }) => stream1 === '',
        change: (s) => ({ ...s, stream1: 'somebody' }),
      },
      {
        from: 'appending',
        to: 'done',
        does: 'appends a chunk',
        change: (s) => insert(s, 'somebody', 1, nextSequence(s)),
      },
    ],
  };
}

function executor(): Process<State> {
  return {
    name: 'an executor',
    starts: 'idle',
    steps: [
      {
        from: 'idle',
        to: 'done',
        does: 'does the work of the trigger',
        when: ({ chunks }) => chunks.some((chunk) => chunk.from === 'trigger'),
        change: (s) => ({ ...s, runs: s.runs + 1 }),
      },
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
        to: 'idle',
        does: 'truncates the slot of the trigger, which is done',
        when: ({ chunks, runs }) => runs > 0 && chunks.some(({ from }) => from === 'trigger'),
        change: (s) => ({
          ...s,
          high: nextSequence(s) - 1,
          chunks: s.chunks.filter((chunk) => chunk.from !== 'trigger'),
        }),
      },
      {
        from: 'idle',
        to: 'idle',
        does: 'truncates the slot of the trigger, whose work an order has set aside',
        when: ({ chunks, runs }) =>
          runs === 0 && chunks.some(({ from, aside }) => from === 'trigger' && !aside),
        change: (s) => ({
          ...s,
          high: nextSequence(s) - 1,
          chunks: s.chunks.map((chunk) =>
            chunk.from === 'trigger' ? { ...chunk, aside: true } : chunk,
          ),
        }),
      },
    ],
  };
}
