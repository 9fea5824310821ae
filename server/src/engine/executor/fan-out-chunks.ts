import { runsBodyText } from '../log/body.ts';
import {
  type ChunkRun,
  type ChunkTrigger,
  FAN_OUT,
  FAN_OUT_PAGE,
  type FanOut,
  type NewChunk,
  RUNS,
  SLICE_RUNS,
  type WireReference,
} from '../log/chunk.ts';

/** Whose work it is: what comes of a chunk belongs where the chunk does. */
type Place = { readonly laneId: number; readonly flow: number };

type Entry = {
  readonly place: Place;
  readonly trigger: ChunkTrigger;
  readonly run: (trigger: number) => ChunkRun;
};

type Group = Place & {
  readonly triggers: Map<ChunkTrigger, number>;
  readonly runs: ChunkRun[];
};

/** A fan-out as an entry of a chunk; `recipient` is the object whose run it began with. */
export type FanOutEntry = {
  readonly place: Place;
  readonly trigger: ChunkTrigger;
  readonly recipient: WireReference;
  readonly fan: FanOut;
};

/** Chunks of up to 100 fan-outs, for each lane and flow. */
export function fanOutChunks(entries: readonly FanOutEntry[]): NewChunk[] {
  const groups = gather(
    entries.map(({ place, trigger, recipient, fan }) => ({
      place,
      trigger,
      run: (number) => [number, recipient, { fan }],
    })),
    SLICE_RUNS,
  );
  return groups.map((group) => ({
    ...chunkOf(group),
    kind: FAN_OUT,
    runCount: fanOutSize(group.runs),
  }));
}

/** What the page of these fan-outs may bring, as the size of their chunk: it is unknown until somebody looks. */
export function fanOutSize(runs: readonly ChunkRun[]): number {
  return runs.some(([, , state]) => state?.fan?.seen !== undefined) ? FAN_OUT_PAGE : runs.length;
}

/** A run for somebody who subscribes. */
export type SubscriberRun = {
  readonly place: Place;
  readonly trigger: ChunkTrigger;
  readonly run: (trigger: number) => ChunkRun;
};

/** Chunks of a page's runs, for each lane and flow. */
export function subscriberChunks(runs: readonly SubscriberRun[]): NewChunk[] {
  return gather(runs, FAN_OUT_PAGE).map((group) => ({
    ...chunkOf(group),
    kind: RUNS,
    runCount: group.runs.length,
  }));
}

function gather(entries: readonly Entry[], size: number): Group[] {
  const open = new Map<string, Group>();
  const groups: Group[] = [];
  for (const { place, trigger, run } of entries) {
    const key = `${place.laneId} ${place.flow}`;
    let group = open.get(key);
    if (!group || group.runs.length >= size) {
      group = { laneId: place.laneId, flow: place.flow, triggers: new Map(), runs: [] };
      open.set(key, group);
      groups.push(group);
    }
    const number = group.triggers.get(trigger) ?? group.triggers.size;
    group.triggers.set(trigger, number);
    group.runs.push(run(number));
  }
  return groups;
}

function chunkOf({ laneId, flow, triggers, runs }: Group) {
  return { laneId, flow, dueMs: undefined, body: runsBodyText([...triggers.keys()], runs) };
}
