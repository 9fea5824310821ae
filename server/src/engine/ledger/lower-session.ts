import type { Queryable } from '../../db/database.ts';
import type { Logger } from '../../lib/log.ts';
import { createPriority } from '../../lib/priority.ts';

const NICENESS = 10;

/**
 * Gives the session of a database on this machine the priority of work that can wait, and takes the workers of its statements away:
 * they are processes of their own, and would have everybody's. For a `db` of one connection; ask before each use, since it may be a new one.
 */
export function createSessionLowering(db: Queryable, log: Logger): () => Promise<void> {
  const priority = createPriority(NICENESS, log);
  return async () => {
    const [session] = await db.query<{ pid: number }>(
      `select pg_backend_pid() as pid, set_config('max_parallel_workers_per_gather', '0', false)`,
    );
    if (session) void priority.lower(session.pid);
  };
}
