import type { Queryable } from '../db/database.ts';
import type { Logger } from '../lib/log.ts';
import type { PackPolicy } from './packs.ts';

const LOOK_MS = 2_000;
/** Once it was full it takes contents again when a tenth of it is free. */
const OPENS_AT = 0.9;

export type RingGate = PackPolicy & {
  /** Contents that stayed in their messages because the ring was full, since the start. */
  readonly keptCount: () => number;
  /** Looks at the ring now. */
  readonly look: () => Promise<void>;
};

/** Bytes on the disk of the whole ring. */
export async function ringBytes(db: Queryable): Promise<number> {
  const [row] = await db.query<{ bytes: number }>({
    name: 'body_ring_bytes',
    text: `select coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint as bytes
  from pg_inherits
  where inhparent = 'body_pack'::regclass`,
  });
  return row?.bytes ?? 0;
}

/**
 * Says whether the ring takes contents, by its size of at most two seconds ago: asked for in between, never waited for. Until the
 * size is known it takes none.
 */
export function createRingGate(options: {
  readonly db: Queryable;
  readonly minBytes: number;
  readonly backlogBytes: number;
  readonly nowMs: () => number;
  readonly log: Logger;
}): RingGate {
  const { db, minBytes, backlogBytes, nowMs, log } = options;
  let isOpen = false;
  let isKnown = false;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;
  let kept = 0;

  async function measure(): Promise<void> {
    try {
      const bytes = await ringBytes(db);
      const isTaken = bytes >= backlogBytes * (isOpen || !isKnown ? 1 : OPENS_AT);
      if (isKnown && isOpen === isTaken) {
        log.warn(
          { bytes, boundBytes: backlogBytes },
          isTaken
            ? 'too much waits for the object store: contents stay in the database'
            : 'contents go to the object store again',
        );
      }
      isOpen = !isTaken;
      isKnown = true;
    } catch (error) {
      log.debug({ err: error }, 'the size of the ring cannot be read; it counts as before');
    } finally {
      looking = undefined;
    }
  }

  const look = (): Promise<void> => {
    lookedAtMs = nowMs();
    looking ??= measure();
    return looking;
  };

  return {
    minBytes,
    isOpen: () => {
      if (nowMs() - lookedAtMs > LOOK_MS) void look();
      return isOpen;
    },
    kept: () => {
      kept += 1;
    },
    keptCount: () => kept,
    look,
  };
}
