import type { NoisyOptions } from './options.ts';

/** Measurements of quiet lanes that the baseline is made of, and the time over which they are spread when there are many. */
const BASELINE_SAMPLES = 1_000;
const BASELINE_MS = 100_000;
const MIN_SAMPLES = 200;
const RECOMPUTE_EVERY = 100;
/** A window of measurements is judged anew after so many. */
const WINDOW_SAMPLES = 500;
const ADAPT_MS = 100;
/**
 * What is judged. The 90th percentile tells how busy the machine is, the 99th also who waits for a slot; but a
 * few pauses of the machine itself in calm times make the 99th blind.
 */
const QUANTILES: readonly number[] = [0.9, 0.99];
/** By so many standard deviations more waits must be long than in calm times, or it is chance. */
const SIGNIFICANT = 3;

/** A quantile of calm times, and how many measurements exceeded it since. */
type Judged = { readonly quantile: number; baselineMs: number; long: number };

/**
 * How many slots noisy lanes may hold; less than one is a part of the time. It falls by a factor when quiet lanes
 * wait longer than in calm times and rises by a step when they do not (additive increase, multiplicative decrease). That
 * the 99th percentile exceeds a limit is the same as that more than 1 % of the measurements do, so a window is counters.
 */
export class NoisyCap {
  readonly #options: NoisyOptions;
  readonly #calm: number[] = [];
  readonly #judged: readonly Judged[];
  #calmCount = 0;
  #calmSinceMs: number | undefined;
  #calmMs = Number.NEGATIVE_INFINITY;
  #share: number;
  #seen = 0;
  #adaptedMs = Number.NEGATIVE_INFINITY;
  #goodSinceMs: number | undefined;

  constructor(options: NoisyOptions) {
    this.#options = options;
    this.#share = options.firstCapShare;
    this.#judged = QUANTILES.map((quantile) => ({
      quantile,
      baselineMs: Number.POSITIVE_INFINITY,
      long: 0,
    }));
  }

  /** 99th percentile of the quiet dwell in calm times; undefined until it is known. */
  get baselineMs(): number | undefined {
    return this.#isKnown ? this.#judged.at(-1)?.baselineMs : undefined;
  }

  get #isKnown(): boolean {
    return this.#calmCount >= MIN_SAMPLES;
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
  measure(dwellMs: number, calm: boolean, nowMs: number): void {
    if (calm) {
      this.#remember(dwellMs, nowMs);
      return;
    }
    if (!this.#isKnown) return;
    this.#seen += 1;
    for (const judged of this.#judged) {
      if (dwellMs > judged.baselineMs) judged.long += 1;
    }
  }

  /** Call it often; it judges every 100 ms, since whoever looks more often sees more chance. */
  adapt(nowMs: number, slots: number): void {
    if (!this.#isKnown || slots === 0 || nowMs - this.#adaptedMs < ADAPT_MS) return;
    this.#adaptedMs = nowMs;
    const { decrease, leastCapShare, lastCapShare, increase } = this.#options;
    const usual = (judged: Judged): number => this.#seen * (1 - judged.quantile);
    const limit = (judged: Judged): number =>
      usual(judged) + SIGNIFICANT * Math.sqrt(usual(judged) * judged.quantile) + 1;
    if (this.#judged.some((judged) => judged.long > limit(judged))) {
      this.#share = Math.max(leastCapShare, this.#share * decrease);
      this.#reset();
      this.#goodSinceMs = undefined;
      return;
    }
    if (this.#seen < MIN_SAMPLES) return;
    if (this.#judged.some((judged) => judged.long > usual(judged))) {
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

  /** The latest ones, half of the time that it knows or 100 s apart in all: seconds that were bad by chance are not what calm is like. */
  #remember(dwellMs: number, nowMs: number): void {
    this.#calmSinceMs ??= nowMs;
    const spreadMs = Math.min(BASELINE_MS, (nowMs - this.#calmSinceMs) / 2);
    if (nowMs - this.#calmMs < spreadMs / BASELINE_SAMPLES) return;
    this.#calmMs = nowMs;
    this.#calm[this.#calmCount++ % BASELINE_SAMPLES] = dwellMs;
    if (this.#isKnown && this.#calmCount % RECOMPUTE_EVERY === 0) this.#recompute();
  }

  #recompute(): void {
    const sorted = this.#calm.toSorted((a, b) => a - b);
    for (const judged of this.#judged) {
      judged.baselineMs = sorted[Math.ceil(sorted.length * judged.quantile) - 1] ?? 0;
    }
  }

  #reset(): void {
    this.#seen = 0;
    for (const judged of this.#judged) judged.long = 0;
  }
}
