import { type Model, type Process, plus } from '../support/interleavings.ts';
import { drop, type Locks, mayExclude, mayShare, take } from '../support/table-locks.ts';

/**
 * A slot of the ring whose leftovers all belong to a held lane is emptied: chunk and receipts are copied to
 * a slot aside and the slot is truncated, in one transaction under its exclusive lock (log/maintain.ts,
 * executor/receipts.ts). One chunk of two slices, two executors with assignments from before and after, a
 * release at any moment, and a server that can die.
 */
export type ParkWithout =
  /** The copy is committed, and then the slot is locked and truncated. */
  | 'one transaction'
  /** Receipts stay behind. */
  | 'receipts'
  /** The copy is read before the slot is locked. */
  | 'exclusive lock'
  /** What is queued gets its new address; what is assigned is trusted to report its end. */
  | 'reading the slot aside';

type Place = 'ring' | 'aside';
type Slice = 1 | 2;
type Name = 'executor 1' | 'executor 2';
type Work = { readonly place: Place; readonly slice: Slice };

type State = {
  readonly chunkIn: readonly Place[];
  readonly receipts: Readonly<Record<Place, readonly Slice[]>>;
  readonly copy: readonly Slice[] | null;
  readonly locks: Locks;
  readonly held: boolean;
  /** The scheduler's memory. */
  readonly queue: readonly string[];
  readonly inHand: Readonly<Record<Name, Work | null>>;
  readonly done: readonly Slice[];
};

const SLICES: readonly Slice[] = [1, 2];
const NAMES: readonly Name[] = ['executor 1', 'executor 2'];
const nameOf = ({ place, slice }: Work): string => `${place} ${slice}`;
const workOf = (name: string): Work => ({
  place: name.startsWith('ring') ? 'ring' : 'aside',
  slice: name.endsWith('1') ? 1 : 2,
});

const openIn = (s: State, place: Place): readonly string[] =>
  s.chunkIn.includes(place)
    ? SLICES.filter((slice) => !s.receipts[place].includes(slice)).map((slice) =>
        nameOf({ place, slice }),
      )
    : [];

/** The model, or its twin that lacks a safeguard. */
export function parkModel(without?: ParkWithout): Model<State> {
  return {
    state: {
      chunkIn: ['ring'],
      receipts: { ring: [], aside: [] },
      copy: null,
      locks: [],
      held: false,
      queue: ['ring 1', 'ring 2'],
      inHand: { 'executor 1': null, 'executor 2': null },
      done: [],
    },
    processes: [operator(), maintainer(without), scheduler(), ...NAMES.map(executor)],
    always: {
      'nothing is done twice': ({ done }) => new Set(done).size === done.length,
      'nothing is lost': (s) =>
        SLICES.every(
          (slice) =>
            s.done.includes(slice) ||
            [...openIn(s, 'ring'), ...openIn(s, 'aside')].some((name) => name.endsWith(`${slice}`)),
        ),
    },
    inTheEnd: {
      'every slice is done, once the hold is lifted': ({ done }) =>
        SLICES.every((slice) => done.includes(slice)),
    },
  };
}

function operator(): Process<State> {
  return {
    name: 'the operator',
    starts: 'calm',
    steps: [
      {
        from: 'calm',
        to: 'holding',
        does: 'holds the lane',
        change: (s) => ({ ...s, held: true }),
      },
      {
        from: 'holding',
        to: 'satisfied',
        does: 'releases the lane',
        change: (s) => ({ ...s, held: false }),
      },
    ],
  };
}

function maintainer(without: ParkWithout | undefined): Process<State> {
  const me = 'maintainer';
  const lock = (s: State): State => ({ ...s, locks: take(s.locks, me, 'exclusive') });
  const read = (s: State): State => ({ ...s, copy: without === 'receipts' ? [] : s.receipts.ring });
  const paste = (s: State): State => ({
    ...s,
    chunkIn: plus(s.chunkIn, 'aside') as readonly Place[],
    receipts: { ...s.receipts, aside: s.copy ?? [] },
    copy: null,
  });
  const truncate = (s: State): State => ({
    ...s,
    chunkIn: s.chunkIn.filter((place) => place !== 'ring'),
    receipts: { ...s.receipts, ring: [] },
    locks: drop(s.locks, me),
  });
  const isWorthIt = (s: State): boolean =>
    s.held && s.chunkIn.length === 1 && s.chunkIn[0] === 'ring';
  const mayLock = (s: State): boolean => mayExclude(s.locks, me);
  const steps = {
    lock: { does: 'locks the slot exclusively', when: mayLock, change: lock },
    read: { does: 'reads what is left of it', change: read },
    both: {
      does: 'copies, truncates and commits',
      change: (s: State) => truncate(paste(s)),
    },
  };
  const worth = { when: isWorthIt };
  const both = (s: State): boolean => isWorthIt(s) && mayLock(s);
  return {
    name: 'the maintainer',
    starts: 'idle',
    // The next owner reads the log.
    crash: {
      times: 1,
      to: 'idle',
      change: (s) => ({
        ...s,
        locks: drop(s.locks, me),
        copy: null,
        queue: [...openIn(s, 'ring'), ...openIn(s, 'aside')],
      }),
    },
    steps: [
      ...(without === 'one transaction'
        ? [
            { from: 'idle', to: 'read', ...steps.read, ...worth },
            { from: 'read', to: 'copied', does: 'commits the copy', change: paste },
            { from: 'copied', to: 'locked', ...steps.lock },
            { from: 'locked', to: 'parked', does: 'truncates and commits', change: truncate },
          ]
        : without === 'exclusive lock'
          ? [
              { from: 'idle', to: 'read', ...steps.read, ...worth },
              { from: 'read', to: 'locked', ...steps.lock },
              { from: 'locked', to: 'parked', ...steps.both },
            ]
          : [
              { from: 'idle', to: 'locked', ...steps.lock, when: both },
              { from: 'locked', to: 'read', ...steps.read },
              { from: 'read', to: 'parked', ...steps.both },
            ]),
      {
        from: 'parked',
        to: 'idle',
        does: 'queues what is open in the slot aside',
        change: (s: State): State => ({
          ...s,
          queue:
            without === 'reading the slot aside'
              ? s.queue.map((name) => name.replace('ring', 'aside'))
              : [...openIn(s, 'aside')],
        }),
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
      does: `assigns the next slice to ${name}`,
      when: ({ held, queue, inHand }: State) => !held && queue.length > 0 && !inHand[name],
      change: (s: State): State => {
        const [first = '', ...queue] = s.queue;
        return { ...s, queue, inHand: { ...s.inHand, [name]: workOf(first) } };
      },
    })),
  };
}

function executor(name: Name): Process<State> {
  const settle = (s: State): State => ({
    ...s,
    locks: drop(s.locks, name),
    inHand: { ...s.inHand, [name]: null },
  });
  const isSame = (a: Work | null, b: Work | null): boolean =>
    a !== null && b !== null && nameOf(a) === nameOf(b);
  /** Locks are those of the slot in the ring; nobody excludes anyone from the one aside. */
  const mayStart = (s: State): boolean => {
    const work = s.inHand[name];
    if (!work || (work.place === 'ring' && !mayShare(s.locks, name))) return false;
    return !NAMES.some(
      (other) =>
        other !== name && s.locks.includes(`${other} shared`) && isSame(s.inHand[other], work),
    );
  };
  const isRefused = (s: State): boolean => {
    const work = s.inHand[name];
    return !work || !openIn(s, work.place).includes(nameOf(work));
  };
  return {
    name,
    starts: 'idle',
    crash: {
      times: name === 'executor 1' ? 1 : 0,
      to: 'idle',
      change: (s) => {
        const work = s.inHand[name];
        return work ? settle({ ...s, queue: [nameOf(work), ...s.queue] }) : s;
      },
    },
    steps: [
      {
        from: 'idle',
        to: 'writing',
        does: 'starts the result statement',
        when: (s) => mayStart(s) && !isRefused(s),
        change: (s) => ({ ...s, locks: take(s.locks, name, 'shared') }),
      },
      {
        from: 'idle',
        to: 'idle',
        does: 'takes its slice for done: the chunk is gone, or has the receipt',
        when: (s) => mayStart(s) && isRefused(s),
        change: settle,
      },
      {
        from: 'writing',
        to: 'idle',
        does: 'commits receipt and results',
        change: (s) => {
          const work = s.inHand[name];
          if (!work) return s;
          const receipts = plus(s.receipts[work.place], work.slice) as readonly Slice[];
          return settle({
            ...s,
            receipts: { ...s.receipts, [work.place]: receipts },
            done: plus(s.done, work.slice) as readonly Slice[],
          });
        },
      },
    ],
  };
}
