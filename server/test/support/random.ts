import { seededRandom } from '../../src/drill/random.ts';

export { seededRandom };

/** A whole number from `from` to `to`, both included. */
export function integer(random: () => number, from: number, to: number): number {
  return from + Math.floor(random() * (to - from + 1));
}

/** Runs `check` with the seeds from `first` on; a failure names its seed. */
export function forSeeds(
  count: number,
  check: (random: () => number, seed: number) => void,
  first = 1,
): void {
  for (let seed = first; seed < first + count; seed++) {
    try {
      check(seededRandom(seed), seed);
    } catch (error) {
      throw new Error(`with seed ${seed}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  }
}

/** The same, letting the event loop turn now and then: for so many seeds that it takes long. */
export async function forManySeeds(
  count: number,
  check: (random: () => number, seed: number) => void,
): Promise<void> {
  for (let first = 1; first <= count; first += SEEDS_A_TURN) {
    forSeeds(Math.min(SEEDS_A_TURN, count - first + 1), check, first);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const SEEDS_A_TURN = 1_000;
