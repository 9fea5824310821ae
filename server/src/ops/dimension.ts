import {
  createHeavyHitters,
  type HeavyHitters,
  type Hitter,
  mergeSummaries,
  type Summary,
} from '../lib/heavy-hitters.ts';
import { factorOf, learn, loudThreshold, type Normal, newNormal, quieten } from './normal.ts';

/** Counters of each pane: who has more than 1/512 of the traffic is not missed. */
const CAPACITY = 512;
const NORMALS = 4_096;

const SECOND_MS = 1_000;

/** What was watched for less says nothing of what is normal. */
const KNOWN_MS = 60_000;
/** So many single seconds are kept; older ones are merged by as many. */
const SECONDS = 10;

/** A surge of less than this share of all traffic does not go before others. */
const NOTABLE_SHARE = 0.05;

/** Over how long to look back, in ms. */
export const windows = { '10s': 10_000, '1m': 60_000, '10m': 600_000 } as const;
export type Window = keyof typeof windows;

export type Traffic = {
  readonly runs: number;
  readonly triggers: number;
  readonly refused: number;
  readonly bytes: number;
};

/** One key's traffic in a window; all but the share and the factor are per second. */
export type Talker = Traffic & {
  readonly key: string;
  /** Accepted runs, and one for each refused or repeated request: what is asked. An upper bound. */
  readonly load: number;
  /** How much of the load may be that of others, who were too many to be counted apart. */
  readonly error: number;
  readonly share: number;
  /** The load that is normal; undefined while that is unknown. */
  readonly normal: number | undefined;
  readonly factor: number | undefined;
  /** Since when the load is a surge. */
  readonly sinceMs: number | undefined;
  /** Whether it is a surge that others may feel. */
  readonly notable: boolean;
};

/**
 * The traffic by one thing, such as the account: counted by the second, the last ten seconds kept apart,
 * older ones in tens, for ten minutes. Memory and the cost of a count are bounded, however many keys come.
 */
export type Dimension = {
  readonly count: (key: string, nowMs: number, traffic: Traffic) => void;
  /** Notable surges first, by what they are above their normal; then by load. */
  readonly talkers: (window: Window, nowMs: number) => Talker[];
  /** Who sent in the last whole second. */
  readonly lastSecond: (nowMs: number) => LastSecond[];
};

/** A key's load in a second: a lower bound. */
export type LastSecond = {
  readonly key: string;
  readonly load: number;
  /** The load that was normal before; undefined while nothing was watched for a minute. */
  readonly normal: number | undefined;
  readonly sinceMs: number | undefined;
};

type Pane = { readonly startMs: number; readonly endMs: number; readonly summary: Summary };

/** Loads per second by key, as they were on average since a time. */
export type Past = { readonly sinceMs: number; readonly perSecond: ReadonlyMap<string, number> };

/** Counts from a time on; what is normal may be known from before. */
export function createDimension(countedSinceMs: number, past?: Past): Dimension {
  const learntSinceMs = past?.sinceMs ?? countedSinceMs;
  // The one heard of least recently comes first.
  const normals = new Map<string, Normal>();
  for (const [key, perSecond] of past?.perSecond ?? []) {
    normals.set(key, { ...newNormal(countedSinceMs), perSecond, calmPerSecond: perSecond });
  }
  let sketch = newSketch(normals);
  let secondMs = countedSinceMs;
  let seconds: Pane[] = [];
  let tens: Pane[] = [];

  /** Ends the seconds that are over. */
  const roll = (nowMs: number): void => {
    if (nowMs < secondMs + SECOND_MS) return;
    endSecond();
    secondMs += Math.floor((nowMs - secondMs) / SECOND_MS) * SECOND_MS;
    mergeOldSeconds(secondMs - SECONDS * SECOND_MS);
    tens = tens.filter((pane) => pane.endMs > secondMs - windows['10m']);
  };

  const endSecond = (): void => {
    const summary = sketch.summary();
    const endMs = secondMs + SECOND_MS;
    if (summary.counters.size > 0) {
      seconds.push({ startMs: secondMs, endMs, summary });
      sketch = newSketch(normals);
    }
    for (const { key, count, error, crossedMs } of summary.counters.values()) {
      const normal = normals.get(key) ?? newNormal(secondMs);
      learn(normal, { endMs, watchedSinceMs: learntSinceMs, count: count - error, crossedMs });
      normals.delete(key);
      normals.set(key, normal);
    }
    for (const key of normals.keys()) {
      if (normals.size <= NORMALS) break;
      normals.delete(key);
    }
    secondMs = endMs;
  };

  const mergeOldSeconds = (beforeMs: number): void => {
    const old = seconds.filter((pane) => pane.startMs < beforeMs);
    const [first] = old;
    if (!first) return;
    if (old.length < SECONDS && first.startMs >= beforeMs - SECONDS * SECOND_MS) return;
    tens.push({ startMs: first.startMs, endMs: old.at(-1)?.endMs ?? 0, summary: sum(old) });
    seconds = seconds.slice(old.length);
  };

  return {
    count: (key, nowMs, traffic) => {
      roll(nowMs);
      const { runs, triggers, refused, bytes } = traffic;
      const { tallies } = sketch.add(key, Math.max(1, runs + refused), nowMs);
      tallies[0] = (tallies[0] ?? 0) + runs;
      tallies[1] = (tallies[1] ?? 0) + triggers;
      tallies[2] = (tallies[2] ?? 0) + refused;
      tallies[3] = (tallies[3] ?? 0) + bytes;
    },
    talkers: (window, nowMs) => {
      roll(nowMs);
      const fromMs = Math.max(countedSinceMs, secondMs - windows[window]);
      const panes = [...tens, ...seconds].filter((pane) => pane.endMs > fromMs);
      const startMs = Math.min(fromMs, panes[0]?.startMs ?? fromMs);
      const span = Math.max(SECOND_MS, secondMs - startMs) / 1_000;
      const { counters, total } = sum(panes);
      return [...counters.values()]
        .map((hitter) => {
          const normal = quieten(
            normals.get(hitter.key) ?? newNormal(secondMs),
            learntSinceMs,
            secondMs,
          );
          return describe(hitter, normal, { span, total, watchedMs: secondMs - learntSinceMs });
        })
        .sort((a, b) => excess(b) - excess(a) || b.load - a.load);
    },
    lastSecond: (nowMs) => {
      roll(nowMs);
      const last = seconds.at(-1);
      if (!last || last.endMs < secondMs) return [];
      const isKnown = secondMs - learntSinceMs >= KNOWN_MS;
      return [...last.summary.counters.values()].map(({ key, count, error }) => {
        const { calmPerSecond, surgeSinceMs } = normals.get(key) ?? newNormal(secondMs);
        const normal = isKnown ? calmPerSecond : undefined;
        return { key, load: count - error, normal, sinceMs: surgeSinceMs };
      });
    },
  };
}

function newSketch(normals: ReadonlyMap<string, Normal>): HeavyHitters {
  return createHeavyHitters({
    capacity: CAPACITY,
    tallies: 4,
    threshold: (key) => loudThreshold(normals.get(key)),
  });
}

function sum(panes: readonly Pane[]): Summary {
  return mergeSummaries(
    panes.map(({ summary }) => summary),
    CAPACITY,
  );
}

function describe(
  hitter: Hitter,
  normal: Normal,
  { span, total, watchedMs }: { span: number; total: number; watchedMs: number },
): Talker {
  const { key, count, error, tallies } = hitter;
  const [runs = 0, triggers = 0, refused = 0, bytes = 0] = tallies;
  const load = count / span;
  const share = total > 0 ? count / total : 0;
  const factor = factorOf(normal, watchedMs, load);
  return {
    key,
    load,
    error: error / span,
    share,
    runs: runs / span,
    triggers: triggers / span,
    refused: refused / span,
    bytes: bytes / span,
    normal: factor === undefined ? undefined : normal.calmPerSecond,
    factor,
    sinceMs: normal.surgeSinceMs,
    notable: normal.surgeSinceMs !== undefined && share >= NOTABLE_SHARE,
  };
}

function excess({ notable, load, normal = 0 }: Talker): number {
  return notable ? load - normal : 0;
}
