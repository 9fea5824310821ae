import { plainArray } from '../db/array-literal.ts';
import type { Database, Queryable } from '../db/database.ts';
import type { SampleRow } from './load/protocol.ts';

const ROWS_PER_INSERT = 20_000;

/** What became of acknowledged triggers, counted row by row and in recipient runs. */
export type WorkCount = {
  readonly acknowledged: number;
  /** Of those, runs that are recorded. */
  readonly executed: number;
  /** Neither recorded nor given as discarded. */
  readonly lost: number;
  /** Recorded, and without the feed message that their workflow makes. */
  readonly withoutMessage: number;
  /** More runs or messages than recipients. */
  readonly duplicates: number;
};

/**
 * Looks for each acknowledged trigger's runs and messages in the tables. Of the discarded ones (runs by the
 * trigger's place in `samples`) an operator has the export.
 */
export async function countWork(
  db: Database,
  samples: readonly SampleRow[],
  discarded: ReadonlyMap<number, number> = new Map(),
): Promise<WorkCount> {
  const triggers = samples.flatMap(([, , , , , , , , runs, id], number) =>
    id === null ? [] : [{ id, runs, discarded: discarded.get(number) ?? 0 }],
  );
  return await db.transaction(async (tx) => {
    await tx.query(
      `create temporary table acknowledged (id uuid, runs int, discarded int) on commit drop`,
    );
    for (let start = 0; start < triggers.length; start += ROWS_PER_INSERT) {
      const some = triggers.slice(start, start + ROWS_PER_INSERT);
      await tx.query(
        `insert into acknowledged (id, runs, discarded)
         select * from unnest($1::uuid[], $2::int[], $3::int[])`,
        [
          plainArray(some.map(({ id }) => id)),
          plainArray(some.map(({ runs }) => runs)),
          plainArray(some.map((trigger) => trigger.discarded)),
        ],
      );
    }
    return await countRows(tx);
  });
}

async function countRows(tx: Queryable): Promise<WorkCount> {
  await tx.query('analyze acknowledged');
  const [row] = await tx.query<WorkCount>(
    `with executed as (
       select workflow_run_id, count(*) as n
       from recipient_run
       group by workflow_run_id
     ), told as (
       select workflow_run_id, count(*) as n
       from message
       group by workflow_run_id
     ), one as (
       select a.runs, a.discarded, coalesce(e.n, 0) as executed, coalesce(t.n, 0) as told
       from acknowledged a
       left join executed e on e.workflow_run_id = a.id
       left join told t on t.workflow_run_id = a.id
     )
     select coalesce(sum(runs), 0)::bigint as acknowledged,
            coalesce(sum(least(executed, runs)), 0)::bigint as executed,
            coalesce(sum(greatest(runs - executed - discarded, 0)), 0)::bigint as lost,
            coalesce(sum(greatest(executed - told, 0)), 0)::bigint as "withoutMessage",
            coalesce(sum(greatest(executed + discarded - runs, told - runs, 0)), 0)::bigint as duplicates
     from one`,
  );
  if (!row) throw new Error('counting returned nothing');
  return row;
}

/** Recipient runs of an environment whose execution began in this time. */
export async function runsStarted(
  db: Queryable,
  environmentId: number,
  fromMs: number,
  untilMs: number,
): Promise<number> {
  const [row] = await db.query<{ readonly n: number }>(
    `select count(*) as n
     from recipient_run
     where environment_id = $1
       and executed_at > $2
       and executed_at <= $3`,
    [environmentId, new Date(fromMs), new Date(untilMs)],
  );
  return row?.n ?? 0;
}

/** Of a broadcast to all users of an environment: who got it twice, and who got nothing. */
export async function countBroadcast(
  db: Queryable,
  environmentId: number,
): Promise<{ readonly duplicates: number; readonly missing: number }> {
  const [row] = await db.query<{ readonly duplicates: number; readonly missing: number }>(
    `with told as (
       select recipient_id, count(*) as n
       from message
       where environment_id = $1
       group by recipient_id
     )
     select count(*) filter (where told.n > 1) as duplicates,
            count(*) filter (where told.n is null) as missing
     from recipient r
     left join told on told.recipient_id = r.id
     where r.environment_id = $1
       and r.collection = '$users'`,
    [environmentId],
  );
  if (!row) throw new Error('counting returned nothing');
  return row;
}
