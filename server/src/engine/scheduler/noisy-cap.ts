import type { NoisyOptions } from './options.ts';

/** Measurements of quiet lanes that the baseline is made of. */
const BASELINE_SAMPLES = 1_000;
const MIN_SAMPLES = 200;
const RECOMPUTE_EVERY = 100;
/** A window of measurements is judged anew after so many. */
const WINDOW_SAMPLES = 500;
/** Fewer long waits than this are chance. */
const MIN_LONG = 5;

/**
 * How many slots noisy lanes may hold; less than one is a part of the time. It falls by a factor when quiet lanes wait longer than in calm
 * times and rises by a step when they do not (additive increase, multiplicative decrease). That the 99th
 * percentile exceeds a limit is the same as that more than 1 % of the measurements do, so a window is
 * two counters.
 */
export class NoisyCap {
  readonly #options: NoisyOptions;
  readonly #calm: number[] = [];
  #calmCount = 0;
  #share: number;
  #seen = 0;
  #long = 0;
  #goodSinceMs: number | undefined;
  /** 99th percentile of the quiet dwell in calm times; undefined until it is known. */
  baselineMs: number | undefined;

  constructor(options: NoisyOptions) {
    this.#options = options;
    this.#share = options.firstCapShare;
  }

  /** Slots of `slots` that noisy lanes may hold now: a whole number, or the part of the time that they may hold one. */
  slots(slots: number): number {
    const wanted = slots * this.#share;
    return wanted < 1 ? wanted : Math.floor(wanted + 1e-9);
  }

  /** How long noisy lanes hold no slot after one of theirs was held for `serviceMs`. */
  restMs(serviceMs: number, slots: number): number {
    const wanted = slots * this.#share;
    return wanted < 1 ? Math.min(serviceMs / wanted - serviceMs, this.#options.patienceMs) : 0;
  }

  /** A quiet lane's work took this long from its arrival to its receipt. */
  measure(dwellMs: number, calm: boolean): void {
    if (calm) {
      this.#calm[this.#calmCount++ % BASELINE_SAMPLES] = dwellMs;
      if (this.#calmCount >= MIN_SAMPLES && this.#calmCount % RECOMPUTE_EVERY === 0) {
        const sorted = this.#calm.toSorted((a, b) => a - b);
        this.baselineMs = sorted[Math.ceil(sorted.length * 0.99) - 1];
      }
      return;
    }
    if (this.baselineMs === undefined) return;
    this.#seen += 1;
    if (dwellMs > this.baselineMs * this.#options.tolerance) this.#long += 1;
  }

  /** Every 100 ms. */
  adapt(nowMs: number, slots: number): void {
    if (this.baselineMs === undefined || slots === 0) return;
    const { decrease, leastCapShare, lastCapShare, increase } = this.#options;
    const isBad = this.#long >= MIN_LONG && this.#long > this.#seen * 0.01;
    if (isBad) {
      this.#share = Math.max(leastCapShare, this.#share * decrease);
      this.#reset();
      this.#goodSinceMs = undefined;
      return;
    }
    if (this.#seen < MIN_SAMPLES) return;
    if (this.#long > this.#seen * 0.01) {
      if (this.#seen >= WINDOW_SAMPLES) this.#reset();
      return;
    }
    this.#goodSinceMs ??= nowMs;
    if (nowMs - this.#goodSinceMs >= this.#options.increaseAfterMs) {
      this.#share = Math.min(lastCapShare, this.#share + increase);
      this.#reset();
      this.#goodSinceMs = undefined;
    }
  }

  #reset(): void {
    this.#seen = 0;
    this.#long = 0;
  }
}
