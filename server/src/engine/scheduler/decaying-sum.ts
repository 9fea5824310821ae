const WINDOW_MS = 1_000;

/** What was added in about the last second: older amounts fade exponentially. Constant memory. */
export class DecayingSum {
  #sum = 0;
  #atMs = 0;

  add(amount: number, nowMs: number): void {
    this.#sum = this.at(nowMs) + amount;
    this.#atMs = Math.max(this.#atMs, nowMs);
  }

  at(nowMs: number): number {
    return this.#sum * Math.exp(Math.min(0, this.#atMs - nowMs) / WINDOW_MS);
  }
}
