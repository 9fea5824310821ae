import type { Database, Queryable } from '../db/database.ts';
import { clearPast, dropDetached, dropPartition, oldPartitions } from '../db/drop-partitions.ts';
import { firstKept } from '../db/partitions.ts';
import type { Logger } from '../lib/log.ts';
import { classes, type RetainedTable } from './classes.ts';
import { neededBy } from './needed.ts';
import { oldBefore, type RetentionDays } from './retention-days.ts';

/** A parked run writes rows of its acceptance's time; they are kept as long as others from then on. */
const PARKED_MS = 366 * 86_400_000;
const AUDIT_PAGE = 1_000;

export type Enforced = {
  readonly dropped: readonly string[];
  /** Old, but needed by somebody or in use: tried again. */
  readonly kept: readonly string[];
};

/** Drops what is older than its period, oldest first; what is cut off is gone on with by the next call. */
export async function enforceRetention(input: {
  readonly db: Database;
  readonly log: Logger;
  readonly nowMs: number;
  readonly days: RetentionDays;
  readonly signal?: AbortSignal;
  /** Between two attempts to lock a table, in milliseconds. */
  readonly retryMs?: number;
}): Promise<Enforced> {
  const { db, nowMs, days } = input;
  const dropped: string[] = [];
  const kept: string[] = [];
  for (const name of ['logs', 'messages', 'apiLogs', 'audit'] as const) {
    const beforeMs = oldBefore(days, name, nowMs);
    for (const table of classes[name]) {
      dropped.push(...(await dropDetached(db, table.parent)));
      if (beforeMs === undefined) continue;
      const outcome = await dropOld({
        ...input,
        table,
        beforeMs: Math.min(beforeMs, firstKept(table.parent, nowMs)),
      });
      dropped.push(...outcome.dropped);
      kept.push(...outcome.kept);
      if (!table.hasPast) continue;
      while ((await clearPast(db, table.parent, table.key, beforeMs - PARKED_MS)) > 0) {
        if (input.signal?.aborted) return { dropped, kept };
      }
    }
  }
  const apiLogsMs = oldBefore(days, 'apiLogs', nowMs);
  if (apiLogsMs !== undefined) await forgetSkipped(db, apiLogsMs);
  const auditMs = oldBefore(days, 'audit', nowMs);
  if (auditMs !== undefined) {
    while ((await forgetAudit(db, auditMs)) > 0 && !input.signal?.aborted);
  }
  return { dropped, kept };
}

/** One after the other: the bound of the past moves along. */
async function dropOld({
  db,
  log,
  table,
  beforeMs,
  signal,
  retryMs,
}: {
  readonly db: Database;
  readonly log: Logger;
  readonly table: RetainedTable;
  readonly beforeMs: number;
  readonly signal?: AbortSignal;
  readonly retryMs?: number;
}): Promise<Enforced> {
  const { parent, key, hasPast, isRead } = table;
  const old = await oldPartitions(db, parent, beforeMs);
  const dropped: string[] = [];
  for (const partition of old) {
    const by = isRead ? await neededBy(db, partition.untilMs) : undefined;
    if (by !== undefined) {
      log.info({ partition: partition.name, by }, 'an old partition is kept while it is needed');
      break;
    }
    const isDropped = await dropPartition(db, parent, partition, {
      past: hasPast ? key : undefined,
      alongside: parent === 'message' ? forgetFeedCounts : undefined,
      signal,
      ...(retryMs === undefined ? {} : { retryMs }),
    });
    if (!isDropped) {
      log.warn({ partition: partition.name }, 'an old partition is in use; it is dropped later');
      break;
    }
    log.info({ partition: partition.name }, 'dropped what is older than its retention');
    dropped.push(partition.name);
  }
  return { dropped, kept: old.slice(dropped.length).map(({ name }) => name) };
}

/** Counts of feeds include what is gone; they are made anew. See feed/README.md. */
async function forgetFeedCounts(tx: Queryable): Promise<void> {
  await tx.query('truncate feed_settled, feed_count');
}

/** A row for each minute in which an environment had more requests than are recorded. */
async function forgetSkipped(db: Queryable, beforeMs: number): Promise<void> {
  await db.query('delete from api_log_skipped where minute < $1', [new Date(beforeMs)]);
}

/** Lines are in the order of their time. */
async function forgetAudit(db: Queryable, beforeMs: number): Promise<number> {
  const rows = await db.query(
    `delete from audit_log
     where id in (
       select id
       from (
         select id, at
         from audit_log
         order by id
         limit ${AUDIT_PAGE}
       ) oldest
       where at < $1
     )
     returning 1`,
    [new Date(beforeMs)],
  );
  return rows.length;
}
