import type { SampleRow } from './load/protocol.ts';
import { latency } from './neighbours.ts';
import { percentile, rounded } from './statistics.ts';

const MOST = 10;

/** A time in which several waited long, or one did. */
export type Moment = {
  /** When the first of them was due; ISO 8601, UTC. */
  readonly at: string;
  /** Above the phase's p99. */
  readonly triggers: number;
  /** Of how many accounts. */
  readonly accounts: number;
  /** The longest of them, milliseconds from when it was due until it was sent, acknowledged and delivered; null: it never was. */
  readonly sent_ms: number;
  readonly acknowledged_ms: number | null;
  readonly delivered_ms: number | null;
};

/**
 * The ten longest moments of a phase, the longest first. A moment is of triggers slower than the phase's p99 of which each was
 * due before an earlier one was delivered: what makes one wait makes others wait at the same time, and an
 * account's p99 is as long as the second longest moment that it was in.
 */
export function longestMoments(rows: readonly SampleRow[]): Moment[] {
  const p99 = percentile(rows.map(latencyMs), 0.99);
  const slow = rows
    .filter((row) => latencyMs(row) > p99)
    .sort(([, , dueMs], [, , otherDueMs]) => dueMs - otherDueMs);
  const moments: SampleRow[][] = [];
  let lastsUntilMs = Number.NEGATIVE_INFINITY;
  for (const row of slow) {
    const [, , dueMs] = row;
    if (dueMs > lastsUntilMs) moments.push([]);
    moments.at(-1)?.push(row);
    lastsUntilMs = Math.max(lastsUntilMs, dueMs + latencyMs(row));
  }
  return moments
    .map((inIt) => ({ inIt, longest: longestOf(inIt) }))
    .sort((a, b) => latencyMs(b.longest) - latencyMs(a.longest))
    .slice(0, MOST)
    .map(({ inIt, longest }) => describe(inIt, longest));
}

function latencyMs(row: SampleRow): number {
  return latency(row).latencyMs;
}

function longestOf(rows: readonly SampleRow[]): SampleRow {
  return rows.reduce((longest, row) => (latencyMs(row) > latencyMs(longest) ? row : longest));
}

function describe(inIt: readonly SampleRow[], longest: SampleRow): Moment {
  const [, , dueMs, sentMs, answeredMs, deliveredMs] = longest;
  const waited = (untilMs: number | null) => (untilMs === null ? null : rounded(untilMs - dueMs));
  return {
    at: new Date(Math.min(...inIt.map(([, , firstDueMs]) => firstDueMs))).toISOString(),
    triggers: inIt.length,
    accounts: new Set(inIt.map(([, caller]) => caller)).size,
    sent_ms: rounded(sentMs - dueMs),
    acknowledged_ms: waited(answeredMs),
    delivered_ms: waited(deliveredMs),
  };
}
