import type { Queryable } from '../db/database.ts';
import type { ChunkRef } from './log/chunk.ts';
import { chunksAfter, highestSequences } from './log/read-refs.ts';

/**
 * Takes each chunk in once, whoever tells of it: the writer after its commit, or a look into the log.
 * Sequences of a stream are dense, so the highest one taken in says it all.
 */
export type LogFollower = {
  /** Refs that a writer reports, in the order of its commits. */
  readonly report: (refs: readonly ChunkRef[]) => void;
  /** Reads what was committed and never reported. */
  readonly catchUp: (db: Queryable) => Promise<void>;
  /** What was committed up to here is known by other means. */
  readonly startFrom: (highest: ReadonlyMap<number, number>) => void;
};

export type LogFollowerOptions = {
  readonly take: (refs: readonly ChunkRef[]) => void;
  /** A report skipped a sequence: something before it was not reported. */
  readonly onGap: () => void;
};

export function createLogFollower({ take, onGap }: LogFollowerOptions): LogFollower {
  const taken = new Map<number, number>();

  function report(refs: readonly ChunkRef[]): void {
    const fresh: ChunkRef[] = [];
    for (const ref of refs) {
      const last = taken.get(ref.stream) ?? 0;
      if (ref.sequence <= last) continue;
      if (ref.sequence > last + 1) {
        onGap();
        continue;
      }
      taken.set(ref.stream, ref.sequence);
      fresh.push(ref);
    }
    if (fresh.length > 0) take(fresh);
  }

  return {
    report,
    catchUp: async (db) => {
      const highest = await highestSequences(db);
      for (const [stream, high] of highest) {
        const last = taken.get(stream) ?? 0;
        if (high <= last) continue;
        const chunks = await chunksAfter(db, stream, last);
        for (const { ref } of chunks) {
          // A gap in what is stored was truncated, hence done.
          if (ref.sequence <= (taken.get(stream) ?? 0)) continue;
          taken.set(stream, ref.sequence);
          take([ref]);
        }
        // `high` may be ahead of what was read only when the rest was done and truncated meanwhile.
        if ((taken.get(stream) ?? 0) < high) taken.set(stream, high);
      }
    },
    startFrom: (highest) => {
      for (const [stream, high] of highest)
        taken.set(stream, Math.max(high, taken.get(stream) ?? 0));
    },
  };
}
