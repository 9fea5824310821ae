import type { SampleRow } from './load/protocol.ts';
import { seededRandom } from './random.ts';
import { type Latency, p99Ratio, percentile, rounded } from './statistics.ts';

/** Of fewer the p99 is the slowest one, and says how long the longest wait of all was. */
const LEAST_SAMPLES_OF_ACCOUNT = 100;
const SEED = 20_260_501;

/** What the neighbours felt in a phase; milliseconds from when a trigger was due until it was delivered. */
export type PhaseLatency = {
  readonly triggers: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
  /** From when it was due until it was acknowledged. */
  readonly acknowledged_p99_ms: number;
  /** From when it was due until it was sent: how late the generator itself was. */
  readonly generator_p99_ms: number;
  /** Triggers that were answered with anything but 200 at least once, or cut off. */
  readonly refused: number;
  /** How many of them by their last error's code. */
  readonly refused_because: Readonly<Record<string, number>>;
};

export type NeighbourRatios = {
  /** p99 of the worse flood over that of calm. */
  readonly ratio: number;
  /** Below this with 95 % confidence. */
  readonly upper95: number;
  /** The worst account's p99 in the worse flood over the worst account's in calm; null: too few samples. */
  readonly worst: number | null;
};

/** A trigger that was never delivered took for ever. */
export function latency(row: SampleRow): Latency {
  const [, , dueMs, , , deliveredMs] = row;
  return {
    dueMs,
    latencyMs: deliveredMs === null ? Number.POSITIVE_INFINITY : deliveredMs - dueMs,
  };
}

export function describePhase(rows: readonly SampleRow[]): PhaseLatency {
  const delivered = rows.map((row) => latency(row).latencyMs);
  const acknowledged = rows.map(([, , due, , answered]) =>
    answered === null ? Number.POSITIVE_INFINITY : answered - due,
  );
  return {
    triggers: rows.length,
    p50_ms: rounded(percentile(delivered, 0.5)),
    p99_ms: rounded(percentile(delivered, 0.99)),
    max_ms: rounded(percentile(delivered, 1)),
    acknowledged_p99_ms: rounded(percentile(acknowledged, 0.99)),
    generator_p99_ms: rounded(
      percentile(
        rows.map(([, , due, sent]) => sent - due),
        0.99,
      ),
    ),
    refused: rows.filter(isRefused).length,
    refused_because: countReasons(rows),
  };
}

/** Also one that was accepted when it was tried again. */
export function isRefused(row: SampleRow): boolean {
  return row[6] > 0;
}

/**
 * The same without those that were accepted when they were tried again and were refused for want of room on the
 * disk, which is what a full disk must do.
 */
export function isRefusedForGood(row: SampleRow): boolean {
  return isRefused(row) && !(row[7] === '503 storage_full' && row[9] !== null);
}

function countReasons(rows: readonly SampleRow[]): Record<string, number> {
  const byReason = Map.groupBy(
    rows.flatMap((row) => row[7] ?? []),
    (reason) => reason,
  );
  return Object.fromEntries([...byReason].map(([reason, all]) => [reason, all.length]));
}

/** Each flood compared with calm; the figures are those of the worse one. */
export function compareWithCalm(
  calm: readonly SampleRow[],
  floods: readonly (readonly SampleRow[])[],
): NeighbourRatios {
  const random = seededRandom(SEED);
  const ratios = floods.map((flood) => p99Ratio(calm.map(latency), flood.map(latency), random));
  const worst = floods.map((flood) => worstAccountRatio(calm, flood));
  return {
    ratio: rounded(Math.max(...ratios.map(({ ratio }) => ratio)), 2),
    upper95: rounded(Math.max(...ratios.map(({ upper95 }) => upper95)), 2),
    worst: worst.includes(null)
      ? null
      : rounded(Math.max(...worst.map((ratio) => ratio ?? Number.NaN)), 2),
  };
}

/**
 * The largest of 200 estimates is large in calm too, so it is compared with the largest of calm, from the
 * same number of samples of each account.
 */
function worstAccountRatio(calm: readonly SampleRow[], flood: readonly SampleRow[]): number | null {
  const sides = [calm, flood].map((rows) => [
    ...Map.groupBy(rows, ([, caller]) => caller).values(),
  ]);
  const samples = Math.min(...sides.flatMap((accounts) => accounts.map((rows) => rows.length)));
  if (!Number.isFinite(samples) || samples < LEAST_SAMPLES_OF_ACCOUNT) return null;
  const [before = Number.NaN, during = Number.NaN] = sides.map((accounts) =>
    Math.max(
      ...accounts.map((rows) =>
        percentile(
          rows.slice(0, samples).map((row) => latency(row).latencyMs),
          0.99,
        ),
      ),
    ),
  );
  return during / before;
}
