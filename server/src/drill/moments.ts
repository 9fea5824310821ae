import type { SampleRow } from './load/protocol.ts';
import { latency } from './neighbours.ts';
import { percentile, rounded } from './statistics.ts';

const MOST = 10;

/** A time in which several waited long, or one did; milliseconds of the one that waited longest. */
export type Moment = {
  /** When that one was due; ISO 8601, UTC. */
  readonly at: string;
  /** So many waited longer than the phase's p99. */
  readonly triggers: number;
  /** Of how many accounts. */
  readonly accounts: number;
  /** From when it was due until it was sent, acknowledged and delivered; null: it never was. */
  readonly sent_ms: number;
  readonly acknowledged_ms: number | null;
  readonly delivered_ms: number | null;
};

/**
 * The ten longest moments of a phase, the longest first. A moment is of triggers slower than the p99 of those that were delivered, or never
 * delivered, of which each was due before an earlier one was delivered: what makes one wait makes others wait at the same time.
 */
export function longestMoments(rows: readonly SampleRow[]): Moment[] {
  const p99 = percentile(rows.map(latencyMs).filter(Number.isFinite), 0.99);
  const slow = rows
    // Where nothing was delivered there is no p99, and everything waited long.
    .filter((row) => !(latencyMs(row) <= p99))
    .sort(([, , dueMs], [, , otherDueMs]) => dueMs - otherDueMs);
  const moments: SampleRow[][] = [];
  let lastsUntilMs = Number.NEGATIVE_INFINITY;
  for (const row of slow) {
    const [, , dueMs, , , deliveredMs] = row;
    if (dueMs > lastsUntilMs) moments.push([]);
    moments.at(-1)?.push(row);
    lastsUntilMs = Math.max(lastsUntilMs, deliveredMs ?? dueMs);
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
    at: new Date(dueMs).toISOString(),
    triggers: inIt.length,
    accounts: new Set(inIt.map(([, caller]) => caller)).size,
    sent_ms: rounded(sentMs - dueMs),
    acknowledged_ms: waited(answeredMs),
    delivered_ms: waited(deliveredMs),
  };
}
