/** How long a list may keep the process from anything else, but for one item's own time. */
const TURN_MS = 5;

/** `items.map(change)` that lets other requests have their turn when it takes long. */
export async function mapInTurns<T, U>(items: readonly T[], change: (item: T) => U): Promise<U[]> {
  const changed: U[] = [];
  let turnMs = performance.now();
  for (const item of items) {
    if (performance.now() - turnMs > TURN_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      turnMs = performance.now();
    }
    changed.push(change(item));
  }
  return changed;
}
