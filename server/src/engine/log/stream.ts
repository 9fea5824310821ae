import { openSession, type Session } from '../../db/database.ts';
import { MAX_STREAM } from '../../lib/address.ts';
import type { Logger } from '../../lib/log.ts';

/** Advisory lock class of streams; the lock's object is the stream's number. */
export const STREAM_LOCK_CLASS = 0x62656c66;

/**
 * A session that appends chunks. While it lives nobody else has its number, so the sequence it counts
 * is dense, and what it has not inserted nobody will.
 */
export type Stream = {
  readonly number: number;
  readonly session: Session;
  /** The sequence that the next chunk gets. */
  nextSequence: number;
};

export type StreamOptions = {
  readonly url: string;
  readonly applicationName: string;
  readonly log: Logger;
};

/** Opens a session and takes the lowest free stream number. Throws when the database is away. */
export async function openStream(options: StreamOptions): Promise<Stream> {
  const session = await openSession(options);
  try {
    await session.query('set plan_cache_mode = force_generic_plan');
    for (let number = 1; number <= MAX_STREAM; number++) {
      const [row] = await session.query<{ locked: boolean }>(
        'select pg_try_advisory_lock($1, $2) as locked',
        [STREAM_LOCK_CLASS, number],
      );
      if (row?.locked) {
        return { number, session, nextSequence: (await highestSequence(session, number)) + 1 };
      }
    }
    throw new Error(`all ${MAX_STREAM} streams are taken: close servers on this database`);
  } catch (error) {
    await session.close();
    throw error;
  }
}

async function highestSequence(session: Session, stream: number): Promise<number> {
  const [row] = await session.query<{ high: number }>(
    `select greatest(
       coalesce((select high_sequence from log_stream where stream = $1), 0),
       coalesce((select max(sequence) from chunk where stream = $1), 0)
     ) as high`,
    [stream],
  );
  return row?.high ?? 0;
}
