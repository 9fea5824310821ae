import type { SampleRow } from './load/protocol.ts';
import type { Stall } from './metronome/stall-watch.ts';
import { compareWithCalm } from './neighbours.ts';
import { percentile, rounded } from './statistics.ts';

/** What the machine itself did in a phase; null where the system does not tell. */
export type MachineStalls = {
  /** How often it stood still, with every process on it. */
  readonly machine_stalls: number | null;
  readonly machine_stalled_ms: number | null;
  /** Triggers whose life, from due to delivered, met no stall, and their p99. */
  readonly awake_triggers: number | null;
  readonly awake_p99_ms: number | null;
};

/** The ratios of the figures, from the same triggers without those that met a stall of the machine. */
export type AwakeRatios = {
  readonly neighbours_p99_ratio_awake: number | null;
  readonly neighbours_worst_p99_ratio_awake: number | null;
};

/** `stalls` oldest first and apart from each other. A phase lasts from its first due trigger to its last. */
export function describeStalls(
  rows: readonly SampleRow[],
  stalls: readonly Stall[] | null,
): MachineStalls {
  if (stalls === null)
    return {
      machine_stalls: null,
      machine_stalled_ms: null,
      awake_triggers: null,
      awake_p99_ms: null,
    };
  const [, , firstMs] = rows[0] ?? [];
  const [, , lastMs] = rows.at(-1) ?? [];
  const within = stalls
    .map(({ fromMs, toMs }) => ({
      fromMs: Math.max(fromMs, firstMs ?? Number.POSITIVE_INFINITY),
      toMs: Math.min(toMs, lastMs ?? Number.NEGATIVE_INFINITY),
    }))
    .filter(({ fromMs, toMs }) => fromMs < toMs);
  const awakeRows = awake(rows, stalls);
  const latencies = awakeRows.map(([, , dueMs, , , deliveredMs]) =>
    deliveredMs === null ? Number.POSITIVE_INFINITY : deliveredMs - dueMs,
  );
  return {
    machine_stalls: within.length,
    machine_stalled_ms: Math.round(stalledMs(within)),
    awake_triggers: awakeRows.length,
    awake_p99_ms: numberOrNull(rounded(percentile(latencies, 0.99))),
  };
}

/** `compareWithCalm` of what met no stall. */
export function compareAwake(
  calm: readonly SampleRow[],
  floods: readonly (readonly SampleRow[])[],
  stalls: readonly Stall[] | null,
): AwakeRatios {
  if (stalls === null)
    return { neighbours_p99_ratio_awake: null, neighbours_worst_p99_ratio_awake: null };
  const { ratio, worst } = compareWithCalm(
    awake(calm, stalls),
    floods.map((flood) => awake(flood, stalls)),
  );
  return {
    neighbours_p99_ratio_awake: numberOrNull(ratio),
    neighbours_worst_p99_ratio_awake: worst,
  };
}

/**
 * The triggers whose life, from due to delivered, meets no stall. One that was never delivered stays: a
 * machine that stands still delays, but loses nothing.
 */
export function awake(rows: readonly SampleRow[], stalls: readonly Stall[]): SampleRow[] {
  return rows.filter(([, , dueMs, , , deliveredMs]) => {
    if (deliveredMs === null) return true;
    const stall = stalls[firstEndingAt(stalls, dueMs)];
    return stall === undefined || stall.fromMs > deliveredMs;
  });
}

/** Of the whole drill, in one sentence for the timeline. */
export function stallsSentence(stalls: readonly Stall[] | null): string {
  if (stalls === null) return 'this system does not tell whether the machine itself stood still';
  if (stalls.length === 0) return 'the machine itself never stood still';
  const times = stalls.length === 1 ? 'once' : `${stalls.length.toLocaleString('en')} times`;
  const ms = Math.round(stalledMs(stalls)).toLocaleString('en');
  return `the machine itself stood still ${times} in all this, ${ms} ms together, with every process on it`;
}

function stalledMs(stalls: readonly Stall[]): number {
  return stalls.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
}

/** The place of the first stall that ends at this time or later. */
function firstEndingAt(stalls: readonly Stall[], atMs: number): number {
  let low = 0;
  let high = stalls.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((stalls[middle]?.toMs ?? 0) < atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

function numberOrNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
