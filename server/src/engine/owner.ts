import { hostname } from 'node:os';
import { openSession, type Session } from '../db/database.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Logger } from '../lib/log.ts';

const OWNER_LOCK = 0x62656c66_6f;
const HEARTBEAT_MS = 1_000;
const SILENT_SECONDS = 10;
/** pg_locks shows the two halves of a lock's number. */
const LOCK_CLASS = Math.floor(OWNER_LOCK / 2 ** 32);
const LOCK_OBJECT = OWNER_LOCK % 2 ** 32;
const POLL_MS = 250;

/** The right to schedule a database, held by one session. */
export type Ownership = {
  /** Grows with each owner. */
  readonly fence: number;
  /** Resolves when the right is lost: the session ended. */
  readonly lost: Promise<void>;
  readonly release: () => Promise<void>;
};

export type OwnershipOptions = {
  readonly url: string;
  readonly log: Logger;
  /** Gives up waiting. */
  readonly signal: AbortSignal;
  /** Called once when somebody else is the owner, with a sentence that says who. */
  readonly onStandby?: (sentence: string) => void;
};

/** Waits until this process is the owner. A silent owner's session is ended by the database. */
export async function acquireOwnership(options: OwnershipOptions): Promise<Ownership> {
  const { log, signal } = options;
  const session = await openSession({ url: options.url, applicationName: 'belfry owner', log });
  try {
    let told = false;
    while (!(await tryLock(session))) {
      if (!told) options.onStandby?.(await describeOwner(session));
      told = true;
      await session.query(
        `select pg_terminate_backend(a.pid)
         from pg_locks l
         join pg_stat_activity a on a.pid = l.pid
         where l.locktype = 'advisory'
           and l.granted
           and l.classid = $1::bigint::oid
           and l.objid = $2::bigint::oid
           and a.datname = current_database()
           and a.state_change < clock_timestamp() - make_interval(secs => $3)`,
        [LOCK_CLASS, LOCK_OBJECT, SILENT_SECONDS],
      );
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      signal.throwIfAborted();
    }
    faultPoint('owner.after-lock');
    const [row] = await session.query<{ fence: number }>(
      `update engine_owner
       set fence = fence + 1,
           host = $1,
           process_id = $2
       returning fence`,
      [hostname(), process.pid],
    );
    faultPoint('owner.after-fence');
    const heartbeat = setInterval(() => {
      // Seen by others as pg_stat_activity.state_change: a sign of life that writes nothing.
      session
        .query('select 1')
        .catch((error) => log.warn({ err: error }, 'the owner’s heartbeat failed'));
    }, HEARTBEAT_MS);
    const lost = session.ended.then(() => clearInterval(heartbeat));
    return {
      fence: row?.fence ?? 0,
      lost,
      release: async () => {
        clearInterval(heartbeat);
        await session.close();
      },
    };
  } catch (error) {
    await session.close().catch(() => undefined);
    throw error;
  }
}

async function tryLock(session: Session): Promise<boolean> {
  const [row] = await session.query<{ locked: boolean }>(
    'select pg_try_advisory_lock($1) as locked',
    [String(OWNER_LOCK)],
  );
  return row?.locked ?? false;
}

async function describeOwner(session: Session): Promise<string> {
  const [row] = await session.query<{ host: string; process_id: number }>(
    'select host, process_id from engine_owner',
  );
  return `the server with process id ${row?.process_id} on ${row?.host} runs this database; this one takes over when it stops`;
}
