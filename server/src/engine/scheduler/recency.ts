const LONG_AGO = Number.NEGATIVE_INFINITY;

/** When something was seen last, and when something else was: enough to ask "any but this one?". */
export class Recency<T> {
  #last: T | undefined;
  #lastMs = LONG_AGO;
  #otherMs = LONG_AGO;

  note(item: T, nowMs: number): void {
    if (this.#last !== item) {
      this.#otherMs = this.#lastMs;
      this.#last = item;
    }
    this.#lastMs = nowMs;
  }

  /** Several at once, whichever: each has another one. */
  noteSeveral(nowMs: number): void {
    this.#last = undefined;
    this.#lastMs = nowMs;
    this.#otherMs = nowMs;
  }

  /** When any was seen. */
  anyMs(): number {
    return this.#lastMs;
  }

  /** When any but this one was seen. */
  otherThanMs(item: T): number {
    return this.#last === item ? this.#otherMs : this.#lastMs;
  }

  forget(item: T): void {
    if (this.#last !== item) return;
    this.#last = undefined;
    this.#lastMs = this.#otherMs;
  }
}
