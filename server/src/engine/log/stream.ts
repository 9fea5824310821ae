import { type DatabaseOptions, openSession, type Session } from '../../db/database.ts';
import { MAX_STREAM } from '../../lib/address.ts';

/** Advisory lock class of streams; the lock's object is the stream's number. */
export const STREAM_LOCK_CLASS = 0x62656c66;

/** How long a former session has to end. */
const END_MS = 5_000;

/**
 * A session that appends chunks. While it lives nobody else has its number, so the sequence it counts
 * is dense, and what it has not inserted nobody will.
 */
export type Stream = {
  readonly number: number;
  readonly session: Session;
  readonly backendPid: number;
  /** The sequence that the next chunk gets. */
  nextSequence: number;
};

export type StreamOptions = Pick<DatabaseOptions, 'url' | 'applicationName' | 'log' | 'background'>;

/** Opens a session and takes the lowest free stream number. Throws when the database is away. */
export async function openStream(options: StreamOptions): Promise<Stream> {
  const session = await openSession(options);
  try {
    await session.query('set plan_cache_mode = force_generic_plan');
    for (let number = 1; number <= MAX_STREAM; number++) {
      const [row] = await session.query<{ locked: boolean; pid: number }>(
        'select pg_try_advisory_lock($1, $2) as locked, pg_backend_pid() as pid',
        [STREAM_LOCK_CLASS, number],
      );
      if (row?.locked) {
        await register(session, number);
        const nextSequence = (await highestSequence(session, number)) + 1;
        return { number, session, backendPid: row.pid, nextSequence };
      }
    }
    throw new Error(`all ${MAX_STREAM} streams are taken: close servers on this database`);
  } catch (error) {
    await session.close();
    throw error;
  }
}

/**
 * Ends a stream's former session in the database, should it live on there, and waits until it is over.
 * Throws when it does not end.
 */
export async function endStream(
  session: Session,
  number: number,
  backendPid: number,
): Promise<void> {
  const rows = await session.query<{ ended: boolean }>(
    `select pg_terminate_backend(pid, $4) as ended
     from pg_locks
     where locktype = 'advisory'
       and database = (select oid from pg_database where datname = current_database())
       and classid = $1::bigint::oid
       and objid = $2::bigint::oid
       and pid = $3`,
    [STREAM_LOCK_CLASS, number, backendPid, END_MS],
  );
  if (rows.some((row) => !row.ended)) throw new Error('the former session of a stream lives on');
}

/** So that whoever reads the log knows of the stream, also when its session is over. */
async function register(session: Session, stream: number): Promise<void> {
  await session.query(
    `insert into log_stream (stream)
     values ($1)
     on conflict do nothing`,
    [stream],
  );
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
