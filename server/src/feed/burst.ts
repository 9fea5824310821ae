import type { Clock } from '../lib/clock.ts';

/**
 * Remembers to tell a viewer again after a burst. The client fetches one page for each event and
 * ignores events while it fetches, so after several in a row, or after more than a page of items,
 * it would be left behind; an event that comes when all is quiet lets it catch up.
 */
export type Burst = {
  /** These references were told of so many new items. */
  readonly told: (references: readonly string[], items: number) => void;
  /** The references that are to be told again now. */
  readonly take: () => ReadonlySet<string>;
  readonly stop: () => void;
};

const NEAR_MS = 1_000;
const QUIET_MS = 400;
const CLIENT_PAGE = 50;
const MAX_ITEMS = 20 * CLIENT_PAGE;
const nothing: ReadonlySet<string> = new Set();

/** `again` leads to a `take` soon. */
export function createBurst(clock: Clock, again: () => void): Burst {
  let lastMs = Number.NEGATIVE_INFINITY;
  let behind = 0;
  let isDue = false;
  let references = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const schedule = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      isDue = true;
      again();
    }, QUIET_MS).unref();
  };

  return {
    told: (told, items) => {
      const nowMs = clock.now();
      const isNear = nowMs - lastMs < NEAR_MS;
      lastMs = nowMs;
      if (!isNear && items <= CLIENT_PAGE) return;
      behind = Math.min(behind + items, MAX_ITEMS);
      for (const reference of told) references.add(reference);
      schedule();
    },
    take: () => {
      if (!isDue) return nothing;
      isDue = false;
      behind -= CLIENT_PAGE;
      const due = references;
      if (behind > 0) schedule();
      else {
        behind = 0;
        references = new Set();
      }
      return due;
    },
    stop: () => clearTimeout(timer),
  };
}
