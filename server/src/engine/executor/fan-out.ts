import { plainArray } from '../../db/array-literal.ts';
import { addressesOf } from '../../lib/address.ts';
import type { Clock } from '../../lib/clock.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import {
  environmentOfLane,
  FAN_OUT,
  FAN_OUT_PAGE,
  type FanOut,
  type Leg,
  type ObjectReference,
  SLICE_RUNS,
  USERS,
  type WireReference,
} from '../log/chunk.ts';
import { chunkRefs, chunkValues, placeChunks } from '../log/insert-chunks.ts';
import type { Stream } from '../log/stream.ts';
import type { WorkReport } from './commit-evaluation.ts';
import type { PreparedSlice } from './evaluate.ts';
import {
  type FanOutEntry,
  fanOutChunks,
  type SubscriberRun,
  subscriberChunks,
} from './fan-out-chunks.ts';
import {
  haveObjects,
  readChildren,
  readSubscribers,
  remember,
  type Seen,
  type Subscriber,
  writePage,
} from './fan-out-page.ts';
import { collectionOf, idOf } from './load-recipients.ts';
import { loadStops, type Stops } from './load-stops.ts';
import { RunsAside } from './set-aside.ts';

/** Legs of a page, shared by its fan-outs; each has one at least. */
const PAGE_LEGS = 100;
/** What each leg brings at the least: most objects have few subscribers, and are done with one page. */
const LEAST_OF_LEG = 25;
/** A fan-out that is over so soon after its trigger leaves no row: its runs are found beside the trigger's. */
const SOON_MS = 5_000;

/** No recipient's: a cancellation for everybody is about it. */
const NOBODY: ObjectReference = ['', ''];
const BEGINNING: ObjectReference = ['', ''];

/** A fan-out, with what this page is about. */
type Work = Omit<FanOutEntry, 'fan'> & {
  readonly environmentId: number;
  readonly fan: FanOut;
  /** Read now, and later. */
  readonly legs: readonly Leg[];
  readonly later: readonly Leg[];
  readonly child: ObjectReference | undefined;
  /** Of depth 2: no object is left that becomes a leg. */
  readonly isLast: boolean;
};

/** Somebody whom a leg of a page found. */
type Found = { readonly subscriber: Subscriber; readonly by: ObjectReference };

/** A fan-out after its page. */
type Turned = {
  readonly work: Work;
  readonly found: readonly Found[];
  /** Legs of which something is left. */
  readonly open: readonly Leg[];
  readonly seen: boolean;
  readonly isOver: boolean;
};

/**
 * Reads the next subscribers of fan-outs, and writes their runs, the receipts and what is left to be read, all or
 * nothing. What an order is about is set aside as it is.
 */
export async function executeFanOuts(
  clock: Clock,
  stream: Stream,
  slot: number,
  slices: readonly PreparedSlice[],
  ordersVersion: number,
): Promise<WorkReport> {
  const { session } = stream;
  const nowMs = clock.now();
  const aside = new RunsAside(FAN_OUT);
  const entries = slices.flatMap((slice) => entriesOf(slice, aside));
  const stops = await loadStops(session, entries);
  const isStopped = (entry: (typeof entries)[number]): boolean =>
    stops.reason(entry.environmentId, entry.trigger, NOBODY) !== undefined;
  const stopped = entries.filter(isStopped);
  const works = await withLegs(
    stream,
    entries.filter((entry) => !isStopped(entry)),
  );
  const turned = await turnPage(stream, works, stops);
  const remembering = turned.some(({ seen, found }) => seen && found.length > 0);
  if (remembering) await session.query('begin');
  try {
    const fresh = remembering ? await withoutRepeats(stream, turned) : turned;
    const next = fresh.flatMap((page) => nextEntry(page) ?? []);
    // The rest of the fan-out comes before the runs, so that it is read while they are done.
    const chunks = placeChunks(
      [...fanOutChunks(next), ...subscriberChunks(fresh.flatMap(runsOf)), ...aside.chunks()],
      stream.nextSequence,
      nowMs,
    );
    const progress = [
      ...fresh.map(({ work, found, seen, isOver }) => ({
        ...{ work, recipients: found.length, seen, isOver },
        isBrief: work.fan.seen === undefined && isOver && nowMs - work.trigger.at <= SOON_MS,
      })),
      ...stopped.map((work) => ({
        ...{ work, recipients: 0, seen: work.fan.seen ?? false, isOver: true },
        isBrief: work.fan.seen === undefined,
      })),
    ].filter(({ isBrief }) => !isBrief);
    const sources = new Set(slices.map(({ stream: number, sequence }) => `${number} ${sequence}`));
    faultPoint('fan-out.before-write');
    await session.query(writePage(slot), [
      ...chunkValues(stream.number, new Date(nowMs).toISOString(), chunks),
      sources.size,
      plainArray(slices.map((slice) => slice.stream)),
      plainArray(slices.map((slice) => slice.sequence)),
      plainArray(slices.map((slice) => slice.slice)),
      plainArray(slices.map(() => 0)),
      plainArray(slices.map(() => 0)),
      plainArray(progress.map(({ work }) => work.trigger.id)),
      plainArray(progress.map(({ work }) => work.environmentId)),
      plainArray(progress.map(({ recipients }) => recipients)),
      plainArray(progress.map(({ seen }) => String(seen))),
      plainArray(progress.map(({ isOver }) => String(isOver))),
      ordersVersion,
    ]);
    if (remembering) {
      faultPoint('fan-out.before-commit');
      await session.query('commit');
    }
    faultPoint('fan-out.after-commit');
    stream.nextSequence += chunks.length;
    return { runs: 0, messages: 0, appended: chunkRefs(chunks, stream.number), feeds: [] };
  } catch (error) {
    // Rejects only when the session is lost, and the transaction with it.
    if (remembering) await session.query('rollback');
    throw error;
  }
}

type Entry = FanOutEntry & { readonly environmentId: number };

function entriesOf(slice: PreparedSlice, aside: RunsAside): Entry[] {
  const { stream, sequence, chunk, governed } = slice;
  const environmentId = environmentOfLane(chunk.laneId);
  const id = addressesOf(chunk.acceptedMs, stream, sequence);
  const from = slice.slice * SLICE_RUNS;
  const runs = chunk.body.runs.slice(from, from + SLICE_RUNS);
  return runs.flatMap(([number, recipient, state], i) => {
    const trigger = chunk.body.triggers[number];
    if (!trigger || !state?.fan) return [];
    const rule = governed.get(number);
    if (!rule) return [{ place: chunk, environmentId, trigger, recipient, fan: state.fan }];
    aside.add(
      rule,
      { stream, sequence },
      chunk,
      trigger,
      recipient,
      state,
      state.id ?? id(from + i, 0),
    );
    return [];
  });
}

/** The legs that each fan-out reads in this page. At depth 2 they are objects that it has reached. */
async function withLegs({ session }: Stream, entries: readonly Entry[]): Promise<Work[]> {
  const size = Math.max(1, Math.floor(PAGE_LEGS / Math.max(1, entries.length)));
  const atChildren = entries.filter(({ fan }) => fan.legs?.length === 0);
  const children =
    atChildren.length === 0
      ? []
      : await readChildren(
          session,
          atChildren.map(({ trigger, fan }) => ({
            workflowRunId: trigger.id,
            after: fan.child ?? BEGINNING,
          })),
          size,
        );
  const found = new Map(atChildren.map((entry, i) => [entry, children[i] ?? []]));
  return entries.map((entry) => {
    const own = found.get(entry);
    const { legs = [], child } = entry.fan;
    if (!own) {
      return { ...entry, legs: legs.slice(0, size), later: legs.slice(size), child, isLast: false };
    }
    const isLast = own.length < size;
    return { ...entry, legs: own, later: [], child: own.at(-1) ?? child ?? BEGINNING, isLast };
  });
}

/** Reads the page: whom each fan-out finds, nobody twice, and what is left of it. */
async function turnPage(
  { session }: Stream,
  works: readonly Work[],
  stops: Stops,
): Promise<Turned[]> {
  const legs = works.flatMap(({ environmentId, legs: own }) =>
    own.map((leg) => ({ environmentId, leg })),
  );
  const limit = Math.max(LEAST_OF_LEG, Math.floor(FAN_OUT_PAGE / Math.max(1, legs.length)));
  const read = legs.length === 0 ? [] : await readSubscribers(session, legs, limit);
  let next = 0;
  const pages = works.map((work) => {
    const subscribers = work.legs.map(() => read[next++] ?? []);
    const open = work.legs.flatMap((leg, i): Leg[] => {
      const last = subscribers[i]?.[limit - 1];
      return last ? [[leg[0], leg[1], last.collection, last.id]] : [];
    });
    return { work, found: foundBy(work, subscribers, stops), open: [...open, ...work.later] };
  });
  const undecided = pages.filter((page) => isUndecided(page));
  const single = undecided.filter(({ work }) => work.fan.legs?.length === 1);
  const objects =
    single.length === 0
      ? []
      : await haveObjects(
          session,
          single.map(({ work }) => ({
            environmentId: work.environmentId,
            leg: work.legs[0] ?? BEGINNING,
          })),
        );
  const hasObjects = new Map(single.map((page, i) => [page, objects[i] === true]));
  return pages.map((page) => {
    const { work, open } = page;
    const seen = work.fan.seen ?? (isUndecided(page) && (hasObjects.get(page) ?? true));
    const isDeep = work.child !== undefined;
    const isOver = open.length === 0 && (!seen || (isDeep && work.isLast));
    return { ...page, seen, isOver };
  });
}

/** Whether it is the first page, and not all there is: somebody could be met again. */
function isUndecided({ work, found, open }: Pick<Turned, 'work' | 'found' | 'open'>): boolean {
  if (work.fan.seen !== undefined) return false;
  return open.length > 0 || found.some(({ subscriber }) => subscriber.collection !== USERS);
}

/** Whom the legs bring: not the actor, nobody who is a recipient of the trigger itself or was cancelled, nobody twice. */
function foundBy(
  { environmentId, trigger, fan, legs }: Work,
  subscribers: readonly (readonly Subscriber[])[],
  stops: Stops,
): Found[] {
  const known = new Set(fan.direct.map(keyOf));
  if (trigger.actor !== null) known.add(keyOf(trigger.actor));
  return legs.flatMap(([collection, id], i) =>
    (subscribers[i] ?? []).flatMap((subscriber): Found[] => {
      const reference = referenceTo(subscriber);
      const key = keyOf(reference);
      if (known.has(key)) return [];
      known.add(key);
      if (stops.reason(environmentId, trigger, reference) !== undefined) return [];
      return [{ subscriber, by: [collection, id] }];
    }),
  );
}

/** Keeps those who were not reached by an earlier page, and remembers them. */
async function withoutRepeats(
  { session }: Stream,
  pages: readonly Turned[],
): Promise<readonly Turned[]> {
  const asked: Seen[] = [];
  for (const { work, found, seen } of pages) {
    if (!seen) continue;
    for (const { subscriber } of found) {
      const follow = work.child === undefined && subscriber.collection !== USERS;
      asked.push({
        workflowRunId: work.trigger.id,
        collection: subscriber.collection,
        id: subscriber.id,
        follow,
      });
    }
  }
  const isNew = await remember(session, asked);
  faultPoint('fan-out.after-remember');
  let next = 0;
  return pages.map((page) =>
    page.seen ? { ...page, found: page.found.filter(() => isNew[next++]) } : page,
  );
}

/** The rest of the fan-out, undefined when nothing is left. */
function nextEntry({ work, open, seen, isOver }: Turned): FanOutEntry | undefined {
  if (isOver) return undefined;
  const { place, trigger, recipient, fan } = work;
  const child = work.child ?? (open.length === 0 ? BEGINNING : undefined);
  const rest = { direct: fan.direct, legs: open, seen };
  return { place, trigger, recipient, fan: child ? { ...rest, child } : rest };
}

function runsOf({ work, found }: Turned): SubscriberRun[] {
  const { place, trigger } = work;
  return found.map(({ subscriber, by }) => ({
    place,
    trigger,
    run: (number) => [number, referenceTo(subscriber), { sub: [by, subscriber.properties] }],
  }));
}

function referenceTo({ collection, id }: Subscriber): WireReference {
  return collection === USERS ? id : [collection, id];
}

/** Neither part can contain "/". */
function keyOf(reference: WireReference): string {
  return `${collectionOf(reference)}/${idOf(reference)}`;
}
