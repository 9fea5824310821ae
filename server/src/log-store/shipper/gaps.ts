import type { Database, DatabasePool } from '../../db/database.ts';
import { lowestUuidAt } from '../../lib/address.ts';
import { logSources } from '../log-store.ts';
import { type LoadedRows, loadRows, MOST_ROWS } from './load-rows.ts';

/** Clocks differ, and statements take their time between their timestamp and their commit. */
const MARGIN_MS = 600_000;
const HIGHEST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';
const HIGHEST_NUMBER = 32_767;

type Gap = {
  readonly id: number;
  readonly fromAt: Date | null;
  readonly untilAt: Date;
  readonly source: number;
  readonly afterId: string | null;
  readonly afterNumber: number | null;
};

/** How a table is walked: its key, when a row of it was written, and whether the time in the key is that. */
const WALKS = [
  { key: 'id', second: undefined, written: 'inserted_at', isTimed: true },
  { key: 'id', second: undefined, written: 'executed_at', isTimed: false },
  { key: 'recipient_run_id', second: 'segment', written: 'executed_at', isTimed: false },
  { key: 'message_id', second: 'attempt', written: 'attempted_at', isTimed: false },
  { key: 'id', second: undefined, written: undefined, isTimed: true },
] as const;

/** What was written from then until now is to be looked for in the tables. */
export async function noteGap(db: Database, fromAt: Date): Promise<void> {
  await db.query('insert into log_gap (from_at, until_at) values ($1, clock_timestamp())', [
    fromAt,
  ]);
}

/** The oldest gap that is open. */
export async function nextGap(db: Database): Promise<Gap | undefined> {
  const [gap] = await db.query<Gap>(
    `select id, from_at as "fromAt", until_at as "untilAt", source, after_id as "afterId", after_number as "afterNumber"
     from log_gap
     order by id
     limit 1`,
  );
  return gap;
}

/**
 * One page of a gap: its rows, newest first, and what records that they are sent. A page looks at 20,000 keys at the most, of
 * which few may be of the gap.
 */
export async function loadGapPage(
  db: DatabasePool,
  gap: Gap,
): Promise<{ readonly rows: LoadedRows | undefined; readonly done: () => Promise<void> }> {
  const source = logSources[gap.source - 1];
  const walk = WALKS[gap.source - 1];
  if (!source || !walk) {
    return { rows: undefined, done: () => closeGap(db, gap) };
  }
  const fromMs = (gap.fromAt?.getTime() ?? 0) - MARGIN_MS;
  const untilMs = gap.untilAt.getTime() + MARGIN_MS;
  const lowest = walk.isTimed ? lowestUuidAt(Math.max(0, fromMs)) : lowestUuidAt(0);
  // A run is written after it was accepted, never long before.
  const highest = source === 'delivery' ? HIGHEST_ID : lowestUuidAt(untilMs);
  const after = [gap.afterId ?? highest, gap.afterNumber ?? HIGHEST_NUMBER] as const;
  const keys =
    walk.second === undefined
      ? `${walk.key} as id, 0 as number`
      : `${walk.key} as id, ${walk.second} as number`;
  const below =
    walk.second === undefined
      ? `${walk.key} < $1::uuid and $2::int is not null`
      : `(${walk.key}, ${walk.second}) < ($1::uuid, $2::int)`;
  const order =
    walk.second === undefined ? `${walk.key} desc` : `${walk.key} desc, ${walk.second} desc`;
  const [last] = await db.query<{ id: string; number: number; isFull: boolean }>(
    `select id, number, n = $4 as "isFull"
     from (
       select id, number, row_number() over () as n
       from (
         select ${keys}
         from ${source}
         where ${below}
           and ${walk.key} >= $3::uuid
         order by ${order}
         limit $4
       ) page
     ) page
     order by n desc
     limit 1`,
    [...after, lowest, MOST_ROWS[source]],
  );
  if (!last) return { rows: undefined, done: () => moveGap(db, gap, gap.source + 1, null, null) };
  const written =
    walk.written === undefined
      ? ''
      : `and ${walk.written} between $5::timestamptz and $6::timestamptz`;
  const atLeast =
    walk.second === undefined
      ? `${walk.key} >= $3::uuid and $4::int is not null`
      : `(${walk.key}, ${walk.second}) >= ($3::uuid, $4::int)`;
  const rows = await loadRows(
    db,
    source,
    `select ${walk.key} as id, ${walk.second === undefined ? 'null::smallint' : walk.second} as number
        from ${source}
        where ${below}
          and ${atLeast}
          ${written}
        order by ${order}`,
    [
      ...after,
      last.id,
      last.number,
      ...(walk.written === undefined ? [] : [new Date(fromMs), new Date(untilMs)]),
    ],
  );
  return {
    rows,
    done: () =>
      last.isFull
        ? moveGap(db, gap, gap.source, last.id, last.number)
        : moveGap(db, gap, gap.source + 1, null, null),
  };
}

async function moveGap(
  db: Database,
  gap: Gap,
  source: number,
  afterId: string | null,
  afterNumber: number | null,
): Promise<void> {
  if (source > logSources.length) return closeGap(db, gap);
  await db.query(
    `update log_gap
     set source = $2,
       after_id = $3,
       after_number = $4
     where id = $1`,
    [gap.id, source, afterId, afterNumber],
  );
}

async function closeGap(db: Database, gap: Gap): Promise<void> {
  await db.query('delete from log_gap where id = $1', [gap.id]);
}
