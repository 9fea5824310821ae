import { type Model, type Process, plus } from '../support/interleavings.ts';

/**
 * Two writers that commit two chunks and one, and report them, while the follower looks into the log:
 * log-follower.ts (report, catchUp), log/read-refs.ts (highestSequences, chunksAfter), log/stream.ts.
 * A writer can die with its reports; chunks can be done by an executor of a former owner and truncated.
 */
export type CatchUpWithout =
  /** Both draw from one counter before they commit, so that a lower number can appear later. */
  | 'a counter for each session'
  /** A report is taken in although something before it was not. */
  | 'gaps noticed'
  /** What was read is taken in although a report of it came while it was read. */
  | 'a second look';

type Writer = 'first' | 'second';
type Ref = { readonly stream: number; readonly sequence: number };

type State = {
  readonly log: readonly string[];
  /** log_stream, by stream. */
  readonly high: readonly number[];
  readonly drawn: number;
  readonly next: Readonly<Record<Writer, number>>;
  readonly reports: Readonly<Record<Writer, readonly Ref[]>>;
  /** The follower's memory, and what a look into the log has seen so far. */
  readonly known: readonly number[];
  readonly highest: readonly number[];
  readonly read: readonly Ref[];
  readonly taken: readonly string[];
  readonly done: readonly string[];
  readonly committed: readonly string[];
};

const WRITERS: readonly Writer[] = ['first', 'second'];
const CHUNKS: Readonly<Record<Writer, number>> = { first: 2, second: 1 };
const nameOf = ({ stream, sequence }: Ref): string => `${stream}/${sequence}`;
const refOf = (name: string): Ref => ({
  stream: Number(name.split('/')[0]),
  sequence: Number(name.split('/')[1]),
});

/** The model, or its twin that lacks a safeguard. */
export function catchUpModel(without?: CatchUpWithout): Model<State> {
  return {
    state: {
      log: [],
      high: [0, 0],
      drawn: 0,
      next: { first: 1, second: 1 },
      reports: { first: [], second: [] },
      known: [0, 0],
      highest: [0, 0],
      read: [],
      taken: [],
      done: [],
      committed: [],
    },
    processes: [
      ...WRITERS.map((name) => writer(name, without)),
      reader(without),
      follower(without),
      zombie(),
    ],
    always: { 'nothing is taken in twice': ({ taken }) => new Set(taken).size === taken.length },
    inTheEnd: {
      'everything committed is taken in, or done': ({ committed, taken, done }) =>
        committed.every((name) => taken.includes(name) || done.includes(name)),
    },
  };
}

function writer(name: Writer, without: CatchUpWithout | undefined): Process<State> {
  const isShared = without === 'a counter for each session';
  const stream = isShared || name === 'first' ? 0 : 1;
  const refFor = (s: State): Ref => ({ stream, sequence: s.next[name] });
  const mine = (s: State): number => s.committed.filter((it) => refOf(it).stream === stream).length;
  return {
    name: `the ${name} writer`,
    starts: 'idle',
    // Its session counts on from what is in the log; what it did not report is not reported.
    crash: {
      times: name === 'first' ? 1 : 0,
      to: 'idle',
      change: (s) => ({ ...s, reports: { ...s.reports, [name]: [] } }),
    },
    steps: [
      {
        from: 'idle',
        to: 'numbered',
        does: 'numbers a chunk',
        when: (s) => (isShared ? s.drawn < 2 : mine(s) < CHUNKS[name]),
        change: (s) => ({
          ...s,
          drawn: s.drawn + 1,
          next: {
            ...s.next,
            [name]: isShared
              ? s.drawn + 1
              : Math.max(
                  s.high[stream] ?? 0,
                  ...s.log.map(refOf).map((ref) => (ref.stream === stream ? ref.sequence : 0)),
                ) + 1,
          },
        }),
      },
      {
        from: 'numbered',
        to: 'committed',
        does: 'commits it',
        change: (s) => ({
          ...s,
          log: plus(s.log, nameOf(refFor(s))),
          committed: plus(s.committed, nameOf(refFor(s))),
        }),
      },
      {
        from: 'committed',
        to: 'idle',
        does: 'reports it',
        change: (s) => ({
          ...s,
          reports: { ...s.reports, [name]: [...s.reports[name], refFor(s)] },
        }),
      },
    ],
  };
}

function takeIn(s: State, ref: Ref): State {
  return {
    ...s,
    known: s.known.with(ref.stream, Math.max(ref.sequence, s.known[ref.stream] ?? 0)),
    taken: plus(s.taken, nameOf(ref)),
  };
}

/** `report`: a turn of the event loop for each message. */
function reader(without: CatchUpWithout | undefined): Process<State> {
  return {
    name: 'the follower',
    starts: 'listening',
    steps: WRITERS.map((name) => ({
      from: 'listening',
      to: 'listening',
      does: `hears of a chunk of the ${name} writer`,
      when: ({ reports }: State) => reports[name].length > 0,
      change: (s: State): State => {
        const [ref, ...rest] = s.reports[name];
        const heard = { ...s, reports: { ...s.reports, [name]: rest } };
        if (!ref) return heard;
        const last = s.known[ref.stream] ?? 0;
        if (ref.sequence <= last) return heard;
        if (ref.sequence > last + 1 && without !== 'gaps noticed') return heard;
        return takeIn(heard, ref);
      },
    })),
  };
}

/** `catchUp`: two statements, and what they tell. */
function follower(without: CatchUpWithout | undefined): Process<State> {
  return {
    name: 'the look into the log',
    starts: 'resting',
    steps: [
      {
        from: 'resting',
        to: 'knows the highest',
        does: 'reads the highest sequences',
        change: (s) => ({
          ...s,
          highest: s.high.map((high, stream) =>
            Math.max(
              high,
              ...s.log.map(refOf).map((ref) => (ref.stream === stream ? ref.sequence : 0)),
            ),
          ),
        }),
      },
      {
        from: 'knows the highest',
        to: 'has read',
        does: 'reads the chunks after what is known',
        change: (s) => ({
          ...s,
          read: s.log
            .map(refOf)
            .filter(
              ({ stream, sequence }) =>
                (s.highest[stream] ?? 0) > (s.known[stream] ?? 0) &&
                sequence > (s.known[stream] ?? 0),
            ),
        }),
      },
      {
        from: 'has read',
        to: 'resting',
        does: 'takes in what it has read',
        change: (s) => {
          let after: State = s;
          for (const ref of s.read) {
            const isKnown = ref.sequence <= (after.known[ref.stream] ?? 0);
            if (!isKnown || without === 'a second look') after = takeIn(after, ref);
          }
          return {
            ...after,
            known: after.known.map((known, stream) => Math.max(known, s.highest[stream] ?? 0)),
            read: [],
            highest: [0, 0],
          };
        },
      },
    ],
  };
}

/** An executor of a former owner does a chunk that nobody was told of, and its slot is truncated. */
function zombie(): Process<State> {
  return {
    name: 'an executor of a former owner',
    starts: 'idle',
    steps: [
      {
        from: 'idle',
        to: 'done',
        does: 'does the first chunk',
        luck: true,
        when: ({ log }) => log.includes('0/1'),
        change: (s) => ({ ...s, done: plus(s.done, '0/1') }),
      },
      {
        from: 'done',
        to: 'truncated',
        does: 'is followed by the truncation',
        luck: true,
        change: (s) => ({
          ...s,
          log: s.log.filter((name) => name !== '0/1'),
          high: s.high.with(0, Math.max(1, s.high[0] ?? 0)),
        }),
      },
    ],
  };
}
