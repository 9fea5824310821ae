/** The value at or below which `share` (0 to 1) of the values lie; nearest rank. NaN of nothing. */
export function percentile(values: readonly number[] | Float64Array, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}

/** A latency and when it was due, both in milliseconds. */
export type Latency = { readonly dueMs: number; readonly latencyMs: number };

const BLOCK_MS = 1_000;
const RESAMPLES = 400;

/**
 * The p99 of `flood` over that of `calm`, with the bound below which the ratio is with 95 % confidence:
 * a bootstrap whose blocks are whole seconds, since latencies of one stall are not independent (moving
 * blocks: Künsch 1989).
 */
export function p99Ratio(
  calm: readonly Latency[],
  flood: readonly Latency[],
  random: () => number,
): { readonly ratio: number; readonly upper95: number } {
  const p99 = (latencies: readonly Latency[]) =>
    percentile(
      latencies.map(({ latencyMs }) => latencyMs),
      0.99,
    );
  const calmBlocks = blocksOf(calm);
  const floodBlocks = blocksOf(flood);
  const ratios = Array.from(
    { length: RESAMPLES },
    () =>
      percentile(resample(floodBlocks, random), 0.99) /
      percentile(resample(calmBlocks, random), 0.99),
  );
  return { ratio: p99(flood) / p99(calm), upper95: percentile(ratios, 0.95) };
}

function blocksOf(latencies: readonly Latency[]): readonly (readonly number[])[] {
  const blocks = Map.groupBy(latencies, ({ dueMs }) => Math.floor(dueMs / BLOCK_MS));
  return [...blocks.values()].map((block) => block.map(({ latencyMs }) => latencyMs));
}

function resample(blocks: readonly (readonly number[])[], random: () => number): number[] {
  const drawn: number[] = [];
  for (let i = 0; i < blocks.length; i++) {
    drawn.push(...(blocks[Math.floor(random() * blocks.length)] ?? []));
  }
  return drawn;
}
