/** How many requests may be sent for each that is accepted. */
const FACTOR = 2;
const WINDOW_MS = 120_000;
const CELLS = 24;
const CELL_MS = WINDOW_MS / CELLS;
/** Of fewer requests the formula says nothing: one failure in two would be a third of the next ones. */
const FEW = 10;

type Cell = { number: number; requests: number; accepts: number };

export type Throttle = {
  /**
   * Whether a request may be sent now. One that is refused is counted, unless it was refused before: whoever only waits for his
   * turn is no further load.
   */
  readonly allows: (wasRefused?: boolean) => boolean;
  /** What became of a request that was sent: it counts from now on, because those under way were neither taken nor refused. */
  readonly answered: (isAccepted: boolean) => void;
  /** The share of requests that are refused here, 0 to 1. */
  readonly refusing: () => number;
};

/**
 * Client-side adaptive throttling: requests are refused here with the probability max(0, (requests - 2 accepts) /
 * (requests + 1)) of the last two minutes. Source: Beyer et al., Site Reliability Engineering, chapter 21.
 *
 * @param random a number from 0 (inclusive) to 1 (exclusive)
 */
export function createThrottle(options: {
  readonly nowMs: () => number;
  readonly random: () => number;
}): Throttle {
  const cells = Array.from(
    { length: CELLS },
    (): Cell => ({ number: -1, requests: 0, accepts: 0 }),
  );

  function current(): Cell {
    const number = Math.floor(options.nowMs() / CELL_MS);
    const cell = cells[number % CELLS] as Cell;
    if (cell.number !== number) {
      cell.number = number;
      cell.requests = 0;
      cell.accepts = 0;
    }
    return cell;
  }

  function refusing(): number {
    const oldest = Math.floor(options.nowMs() / CELL_MS) - CELLS;
    let requests = 0;
    let accepts = 0;
    for (const cell of cells) {
      if (cell.number <= oldest) continue;
      requests += cell.requests;
      accepts += cell.accepts;
    }
    if (requests < FEW) return 0;
    return Math.max(0, (requests - FACTOR * accepts) / (requests + 1));
  }

  return {
    allows: (wasRefused = false) => {
      const isRefused = options.random() < refusing();
      if (isRefused && !wasRefused) current().requests += 1;
      return !isRefused;
    },
    answered: (isAccepted) => {
      const cell = current();
      cell.requests += 1;
      if (isAccepted) cell.accepts += 1;
    },
    refusing,
  };
}
