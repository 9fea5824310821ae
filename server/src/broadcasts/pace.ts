const PAGE_RECIPIENTS = 500;
/** A part is as large as what the rate gives in this part of a second. */
const PARTS_PER_SECOND = 4;
/** The bucket holds so many parts: with one alone, what a late round brings would spill. */
const BUCKET_PARTS = 2;
/** Sums of fractions. */
const ROUNDING = 1e-6;

/** A token bucket: how many recipients may be sent now. Starts empty, so restarts give nothing away. */
export type Pace = {
  /** Recipients that the next part may have at the most when `planned` are spent; 0: not now. */
  readonly next: (rate: number | null, nowMs: number, planned: number) => number;
  readonly spend: (recipients: number) => void;
};

export function createPace(startMs: number): Pace {
  let tokens = 0;
  let atMs = startMs;
  let isLimited = false;
  return {
    next: (rate, nowMs, planned) => {
      const elapsedMs = Math.max(0, nowMs - atMs);
      atMs = nowMs;
      isLimited = rate !== null;
      if (rate === null) return PAGE_RECIPIENTS;
      const part = Math.min(PAGE_RECIPIENTS, Math.ceil(rate / PARTS_PER_SECOND));
      const full = BUCKET_PARTS * Math.max(part, rate / PARTS_PER_SECOND);
      tokens = Math.min(full, tokens + (rate * elapsedMs) / 1_000);
      return tokens - planned >= part - ROUNDING ? part : 0;
    },
    spend: (recipients) => {
      if (isLimited) tokens -= recipients;
    },
  };
}
