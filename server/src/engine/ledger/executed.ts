import type { Queryable } from '../../db/database.ts';
import { lowestUuidAt } from '../../lib/address.ts';
import { RUN_STATUS } from '../status.ts';
import { listSql, MINUTE_MS, minuteOf } from './lists.ts';

/** Runs of one environment whose first execution is recorded. */
export type ExecutedRuns = {
  readonly environmentId: number;
  readonly done: number;
  /** Their first execution was the last one, with errors. */
  readonly failed: number;
};

export type SettledRuns = ExecutedRuns & {
  readonly minute: number;
  readonly accepted: number;
  readonly discarded: number;
};

/** Counts the runs that were accepted in a minute: their ids begin with that time. */
export function executedRuns(tx: Queryable, minute: number): Promise<ExecutedRuns[]> {
  return tx.query<ExecutedRuns>(
    `select environment_id as "environmentId",
            count(*) filter (where status <> $3 or error_count = 0) as done,
            count(*) filter (where status = $3 and error_count > 0) as failed
     from recipient_run
     where id >= $1
       and id < $2
     group by environment_id`,
    [
      lowestUuidAt(minute * MINUTE_MS),
      lowestUuidAt((minute + 1) * MINUTE_MS),
      RUN_STATUS.completed,
    ],
  );
}

/** The first minute whose runs retention has left, 0 when nothing was dropped yet. */
export async function firstKeptMinute(tx: Queryable): Promise<number> {
  const [row] = await tx.query<{ day: string | null }>(
    `select min(right(c.relname, 10)) as day
     from pg_inherits i
     join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'recipient_run'::regclass`,
  );
  const ms = Date.parse(`${row?.day?.replaceAll('_', '-')}T00:00:00Z`);
  return Number.isNaN(ms) ? 0 : minuteOf(ms);
}

export function settledRuns(tx: Queryable, minutes: readonly number[]): Promise<SettledRuns[]> {
  return tx.query<SettledRuns>(
    `select minute, environment_id as "environmentId", accepted, done, failed, discarded
     from ledger_settled
     where minute = any($1::int[])`,
    [minutes],
  );
}

/** Remembers counts for good; a minute that got more work after it was settled is settled again. */
export async function settle(tx: Queryable, runs: readonly SettledRuns[]): Promise<void> {
  if (runs.length === 0) return;
  await tx.query(
    `insert into ledger_settled (day, minute, environment_id, accepted, done, failed, discarded)
     select ${listSql('minute')}, r.*
     from unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[],
                 $6::bigint[])
       as r(minute, environment_id, accepted, done, failed, discarded)
     on conflict (day, minute, environment_id) do update
     set accepted = excluded.accepted,
         done = excluded.done,
         failed = excluded.failed,
         discarded = excluded.discarded
     where ledger_settled.accepted <> excluded.accepted`,
    [
      runs.map((run) => run.minute),
      runs.map((run) => run.environmentId),
      runs.map((run) => run.accepted),
      runs.map((run) => run.done),
      runs.map((run) => run.failed),
      runs.map((run) => run.discarded),
    ],
  );
}
