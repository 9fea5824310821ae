/** A time in which the machine itself stood still; milliseconds since 1970. */
export type Stall = { readonly fromMs: number; readonly toMs: number };

/** How often the metronome looks at the clock. */
export const TICK_MS = 5;
/** Later than this is no hiccup of the scheduler. */
const LATE_MS = 20;
/** Of all processors together; Linux counts it in steps of 10 ms. */
const STOLEN_MS = 20;

/**
 * Takes the ticks of a metronome, each with the time and what the hypervisor has taken from all processors
 * since the start (milliseconds), and tells the stalls among its gaps: a tick came more than 20 ms late, and either
 * the metronome is the first that every processor serves (`isFirst`), or at least 20 ms were stolen meanwhile. Late alone
 * is a busy machine otherwise, and stolen alone made nobody wait long.
 */
export function createStallWatch({
  isFirst,
  noted,
}: {
  readonly isFirst: boolean;
  readonly noted: (stall: Stall) => void;
}): (atMs: number, stolenMs: number) => void {
  let last: { readonly atMs: number; readonly stolenMs: number } | undefined;
  let gap: (Stall & { readonly stolenBefore: number }) | undefined;
  return (atMs, stolenMs) => {
    // Linux books what was stolen after it has woken the metronome, so a gap is judged a tick later.
    const isStall = gap !== undefined && (isFirst || stolenMs - gap.stolenBefore >= STOLEN_MS);
    if (gap && isStall) noted({ fromMs: gap.fromMs, toMs: gap.toMs });
    gap =
      last && atMs - last.atMs > TICK_MS + LATE_MS
        ? // What made one gap a stall does not make the next one too.
          { fromMs: last.atMs, toMs: atMs, stolenBefore: isStall ? stolenMs : last.stolenMs }
        : undefined;
    last = { atMs, stolenMs };
  };
}

/** What the hypervisor took from all processors since the start, in milliseconds; from /proc/stat. */
export function stolenMs(procStat: string): number {
  // cpu user nice system idle iowait irq softirq steal ..., in hundredths of a second.
  const [, , , , , , , , stolen] = procStat.split(/\s+/);
  return Number(stolen ?? 0) * 10;
}
