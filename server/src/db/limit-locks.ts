import type { Queryable } from './database.ts';

/** A process that was frozen in the middle is not waited for longer. */
const IDLE_MS = 5_000;

/**
 * For the beginning of a transaction that takes locks others need: it waits for them `waitMs` at the most (55P03
 * then), and whoever says nothing for `idleMs` while it has them loses its session, and them.
 */
export async function limitLocks(tx: Queryable, waitMs: number, idleMs = IDLE_MS): Promise<void> {
  await tx.query(
    `select set_config('lock_timeout', $1, true),
            set_config('idle_in_transaction_session_timeout', $2, true)`,
    [`${waitMs}ms`, `${idleMs}ms`],
  );
}
