import { type Model, type Process, plus } from '../support/interleavings.ts';

/**
 * A broadcast of two parts: the row that says that a part is in the log and the chunk with its recipients are
 * one statement. Two feeders, one of a former owner, both of which can die; and somebody who cancels the
 * broadcast and looks at who got it. broadcasts/send-parts.ts (claimSql), broadcasts/change-broadcast.ts,
 * engine/bulk-stream.ts.
 */
export type BroadcastWithout =
  /** The row is committed, then the chunk. */
  | 'one statement, row first'
  | 'one statement, chunk first'
  /** A part can have two rows. */
  | 'primary key'
  /** A part does not lock the broadcast, so that a cancellation need not wait for it. */
  | 'lock of the broadcast';

type Name = 'the former feeder' | 'the feeder';

type State = {
  readonly rows: readonly number[];
  readonly chunks: readonly number[];
  readonly cancelled: boolean;
  readonly told: readonly number[] | null;
  readonly part: Readonly<Record<Name, number>>;
  /** Statements under way; they hold the broadcast's lock. */
  readonly writing: readonly Name[];
};

const PARTS: readonly number[] = [1, 2];
const NAMES: readonly Name[] = ['the former feeder', 'the feeder'];

/** The model, or its twin that lacks a safeguard. */
export function broadcastModel(without?: BroadcastWithout): Model<State> {
  return {
    state: {
      rows: [],
      chunks: [],
      cancelled: false,
      told: null,
      part: { 'the former feeder': 0, 'the feeder': 0 },
      writing: [],
    },
    processes: [caller(without), ...NAMES.map((name) => feeder(name, without))],
    always: {
      'nobody gets it twice': ({ chunks }) => new Set(chunks).size === chunks.length,
      'who cancels is told exactly who gets it': ({ told, chunks }) =>
        told === null || chunks.every((part) => told.includes(part)),
    },
    inTheEnd: {
      'everyone gets it, unless it was cancelled': ({ cancelled, chunks }) =>
        cancelled || PARTS.every((part) => chunks.includes(part)),
    },
  };
}

function caller(without: BroadcastWithout | undefined): Process<State> {
  return {
    name: 'the caller',
    starts: 'content',
    steps: [
      {
        from: 'content',
        to: 'cancelled',
        does: 'cancels the broadcast',
        luck: true,
        when: ({ writing }) => writing.length === 0 || without === 'lock of the broadcast',
        change: (s) => ({ ...s, cancelled: true }),
      },
      {
        from: 'cancelled',
        to: 'told',
        does: 'is told who got it',
        change: (s) => ({ ...s, told: s.rows }),
      },
    ],
  };
}

function feeder(name: Name, without: BroadcastWithout | undefined): Process<State> {
  const part = (s: State): number => s.part[name];
  const row = (s: State): State => ({ ...s, rows: plus(s.rows, part(s)) });
  const chunk = (s: State): State => ({ ...s, chunks: plus(s.chunks, part(s)) });
  const end = (s: State): State => ({ ...s, writing: s.writing.filter((it) => it !== name) });
  const isSent = (s: State): boolean => without !== 'primary key' && s.rows.includes(part(s));
  const mustWait = (s: State): boolean =>
    without !== 'primary key' && s.writing.some((it) => it !== name && s.part[it] === s.part[name]);
  const isRowFirst = without === 'one statement, row first';
  return {
    name,
    starts: 'resting',
    crash: { times: 1, to: 'resting', change: end },
    steps: [
      {
        from: 'resting',
        to: 'has a part',
        does: 'reads which part is next',
        when: ({ rows, cancelled }) => rows.length < PARTS.length && !cancelled,
        change: (s) => ({
          ...s,
          part: { ...s.part, [name]: PARTS.find((it) => !s.rows.includes(it)) ?? 0 },
        }),
      },
      {
        from: 'has a part',
        to: 'writing',
        does: 'starts the statement',
        when: (s) => !mustWait(s) && !isSent(s) && !s.cancelled,
        change: (s) => ({ ...s, writing: plus(s.writing, name) as readonly Name[] }),
      },
      {
        from: 'has a part',
        to: 'resting',
        does: 'is refused: the part was sent, or the broadcast cancelled',
        when: (s) => !mustWait(s) && (isSent(s) || s.cancelled),
      },
      ...(without?.startsWith('one statement')
        ? [
            {
              from: 'writing',
              to: 'half',
              does: isRowFirst ? 'commits the row' : 'commits the chunk',
              change: isRowFirst ? row : chunk,
            },
            {
              from: 'half',
              to: 'resting',
              does: isRowFirst ? 'commits the chunk' : 'commits the row',
              change: (s: State) => end(isRowFirst ? chunk(s) : row(s)),
            },
          ]
        : [
            {
              from: 'writing',
              to: 'resting',
              does: 'commits row and chunk',
              change: (s: State) => end(chunk(row(s))),
            },
          ]),
    ],
  };
}
