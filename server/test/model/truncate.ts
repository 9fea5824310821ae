import { type Model, type Process, plus } from '../support/interleavings.ts';
import { drop, type Locks, mayExclude, mayShare, take } from '../support/table-locks.ts';

/**
 * One slot of the ring in which one stream appends two pieces of work (a chunk of one slice each), that
 * two executors both may take, and that is truncated: log/slots.ts, log/maintain.ts (truncateSlot),
 * log/stream.ts (openStream), executor/receipts.ts. Whoever reads the clock may be late with what it does.
 */
export type TruncateWithout =
  /** The proof is made, and then the lock is taken. */
  | 'exclusive lock'
  /** A receipt is written whether its chunk exists or not. */
  | 'guard'
  /** Truncation forgets the highest sequence, so that the next session counts from one again. */
  | 'high sequence'
  /** What was accepted goes to the ledger in a transaction of its own. */
  | 'fold in one'
  /** Not a safeguard: an open slot is only not worth the attempt. */
  | 'closed slot';

type Chunk = { readonly work: string; readonly sequence: number };

type State = {
  /** Even: the slot is open. */
  readonly lap: number;
  readonly chunks: readonly Chunk[];
  readonly receipts: readonly number[];
  readonly locks: Locks;
  /** log_stream.high_sequence. */
  readonly high: number;
  /** ledger_minute: accepted in what was truncated. */
  readonly folded: number;
  /** The appender's memory, then each executor's. */
  readonly nextSequence: number;
  readonly inHand: Readonly<Record<string, Chunk | null>>;
  readonly proof: boolean;
  /** Seen from outside. */
  readonly committed: number;
  readonly answered: readonly string[];
  readonly done: readonly string[];
};

const WORKS = ['first', 'second'] as const;
const EXECUTORS = ['executor 1', 'executor 2'] as const;

/** The model, or its twin that lacks a safeguard. */
export function truncateModel(without?: TruncateWithout): Model<State> {
  return {
    state: {
      lap: 0,
      chunks: [],
      receipts: [],
      locks: [],
      high: 0,
      folded: 0,
      nextSequence: 1,
      inHand: Object.fromEntries(EXECUTORS.map((name) => [name, null])),
      proof: false,
      committed: 0,
      answered: [],
      done: [],
    },
    processes: [
      clock(),
      appender(),
      maintainer(without),
      ...EXECUTORS.map((name) => executor(name, without)),
    ],
    always: {
      'nothing is done twice': ({ done }) => new Set(done).size === done.length,
      'nothing acknowledged is lost': ({ answered, done, chunks, receipts }) =>
        answered.every(
          (work) =>
            done.includes(work) ||
            chunks.some((chunk) => chunk.work === work && !receipts.includes(chunk.sequence)),
        ),
      'the ledger knows what was accepted': ({ folded, chunks, committed }) =>
        folded + chunks.length === committed,
      'a sequence is used once': ({ chunks }) =>
        new Set(chunks.map((chunk) => chunk.sequence)).size === chunks.length,
    },
    inTheEnd: {
      'everything accepted is done and the slot is empty': ({ done, chunks, committed }) =>
        done.length === committed && chunks.length === 0,
    },
  };
}

function clock(): Process<State> {
  return {
    name: 'the clock',
    starts: 'running',
    steps: [
      {
        from: 'running',
        to: 'running',
        does: 'turns the ring',
        when: ({ lap }) => lap < 3,
        change: (s) => ({ ...s, lap: s.lap + 1 }),
      },
    ],
  };
}

function appender(): Process<State> {
  return {
    name: 'the appender',
    starts: 'idle',
    steps: [
      {
        from: 'idle',
        to: 'placed',
        does: 'chooses the slot by the clock',
        when: ({ lap, committed }) => lap % 2 === 0 && committed < WORKS.length,
      },
      {
        from: 'placed',
        to: 'inserting',
        does: 'starts the insert',
        when: ({ locks }) => mayShare(locks, 'appender'),
        change: (s) => ({ ...s, locks: take(s.locks, 'appender', 'shared') }),
      },
      {
        from: 'inserting',
        to: 'committed',
        does: 'commits the chunk',
        change: (s) => ({
          ...s,
          locks: drop(s.locks, 'appender'),
          chunks: [...s.chunks, { work: WORKS[s.committed] ?? '', sequence: s.nextSequence }],
          nextSequence: s.nextSequence + 1,
          committed: s.committed + 1,
        }),
      },
      {
        from: 'committed',
        to: 'idle',
        does: 'answers',
        change: (s) => ({ ...s, answered: plus(s.answered, WORKS[s.committed - 1] ?? '') }),
      },
      {
        from: 'idle',
        to: 'idle',
        does: 'opens the stream in a new session',
        when: ({ committed }) => committed === 1,
        change: (s) => ({
          ...s,
          nextSequence: Math.max(s.high, ...s.chunks.map((chunk) => chunk.sequence)) + 1,
        }),
      },
    ],
  };
}

function maintainer(without: TruncateWithout | undefined): Process<State> {
  const name = 'maintainer';
  const lock = (s: State): State => ({ ...s, locks: take(s.locks, name, 'exclusive') });
  const prove = (s: State): State => ({ ...s, proof: s.chunks.length === s.receipts.length });
  const rollBack = (s: State): State => ({ ...s, locks: drop(s.locks, name), proof: false });
  const fold = (s: State): State => ({ ...s, folded: s.folded + s.chunks.length });
  const empty = (s: State): State => ({
    ...rollBack(s),
    chunks: [],
    receipts: [],
    high:
      without === 'high sequence'
        ? 0
        : Math.max(s.high, ...s.chunks.map((chunk) => chunk.sequence)),
  });
  const mayLock = ({ locks }: State): boolean => mayExclude(locks, name);
  const isWorthIt = (s: State): boolean =>
    s.chunks.length > 0 && (s.lap % 2 === 1 || without === 'closed slot');
  const proofLast = without !== 'exclusive lock';
  return {
    name: 'the maintainer',
    starts: 'idle',
    crash: { times: 1, to: 'idle', change: rollBack },
    steps: [
      {
        from: 'idle',
        to: 'one',
        does: proofLast ? 'locks the slot exclusively' : 'counts slices and receipts',
        when: (s) => isWorthIt(s) && (!proofLast || mayLock(s)),
        change: proofLast ? lock : prove,
      },
      {
        from: 'one',
        to: 'two',
        does: proofLast ? 'counts slices and receipts' : 'locks the slot exclusively',
        when: (s) => proofLast || mayLock(s),
        change: proofLast ? prove : lock,
      },
      {
        from: 'two',
        to: 'idle',
        does: 'rolls back, since something is open',
        when: ({ proof }) => !proof,
        change: rollBack,
      },
      ...(without === 'fold in one'
        ? [
            {
              from: 'two',
              to: 'folded',
              does: 'commits what was accepted to the ledger',
              when: ({ proof }: State) => proof,
              change: fold,
            },
            { from: 'folded', to: 'idle', does: 'truncates', change: empty },
          ]
        : [
            {
              from: 'two',
              to: 'idle',
              does: 'folds, truncates and commits',
              when: ({ proof }: State) => proof,
              change: (s: State) => empty(fold(s)),
            },
          ]),
    ],
  };
}

function executor(name: string, without: TruncateWithout | undefined): Process<State> {
  const held = (s: State): Chunk | null => s.inHand[name] ?? null;
  const forget = (s: State): State => ({
    ...s,
    locks: drop(s.locks, name),
    inHand: { ...s.inHand, [name]: null },
  });
  /** Another statement with the same key is under way: the unique index waits for its end. */
  const mustWait = (s: State): boolean =>
    EXECUTORS.some(
      (other) =>
        other !== name &&
        s.locks.includes(`${other} shared`) &&
        s.inHand[other]?.sequence === held(s)?.sequence,
    );
  const isRefused = (s: State): boolean => {
    const sequence = held(s)?.sequence ?? 0;
    const isGone = !s.chunks.some((chunk) => chunk.sequence === sequence);
    return s.receipts.includes(sequence) || (isGone && without !== 'guard');
  };
  return {
    name,
    starts: 'idle',
    crash: { times: 1, to: 'idle', change: forget },
    steps: [
      ...WORKS.map((work) => ({
        from: 'idle',
        to: 'evaluating',
        does: `reads the chunk of the ${work} work`,
        when: ({ chunks, receipts }: State) =>
          chunks.some((chunk) => chunk.work === work && !receipts.includes(chunk.sequence)),
        change: (s: State) => ({
          ...s,
          inHand: { ...s.inHand, [name]: s.chunks.find((chunk) => chunk.work === work) ?? null },
        }),
      })),
      {
        from: 'evaluating',
        to: 'writing',
        does: 'starts the result statement: the chunk is there and has no receipt',
        when: (s) => mayShare(s.locks, name) && !mustWait(s) && !isRefused(s),
        change: (s) => ({ ...s, locks: take(s.locks, name, 'shared') }),
      },
      {
        from: 'evaluating',
        to: 'idle',
        does: 'is refused: the chunk is gone or has a receipt',
        when: (s) => mayShare(s.locks, name) && !mustWait(s) && isRefused(s),
        change: forget,
      },
      {
        from: 'writing',
        to: 'idle',
        does: 'commits receipt and results',
        change: (s) =>
          forget({
            ...s,
            receipts: plus(s.receipts, held(s)?.sequence ?? 0),
            done: plus(s.done, held(s)?.work ?? ''),
          }),
      },
    ],
  };
}
