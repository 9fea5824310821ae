import type { Context } from '../context.ts';
import type { Past } from './dimension.ts';

const MINUTE_MS = 60_000;
const HOUR_MINUTES = 60;
/** Less says nothing of what is normal. */
const LEAST_MINUTES = 5;
/** A minute counts for so many times the account's median minute at the most: a flood is not normal. */
const MOST_MEDIANS = 3;
const ACCOUNTS = 4_096;

/**
 * What accounts sent per second in the hour before this process, from minutes that the ledger has settled:
 * those that were done, so a flood whose work still waits is not in it. Undefined when nothing is known.
 */
export async function readPastTraffic({ db, clock, log }: Context): Promise<Past | undefined> {
  const minute = Math.floor(clock.now() / MINUTE_MS);
  try {
    const rows = await db.query<Row>(READ, [minute - HOUR_MINUTES, MOST_MEDIANS, ACCOUNTS]);
    const minutes = rows[0]?.minutes ?? 0;
    if (minutes < LEAST_MINUTES) return undefined;
    return {
      sinceMs: clock.now() - minutes * MINUTE_MS,
      perSecond: new Map(
        rows.map(({ account_id: id, runs }) => [String(id), runs / (60 * minutes)]),
      ),
    };
  } catch (error) {
    log.warn({ err: error }, 'what is normal cannot be read; it is learnt anew');
    return undefined;
  }
}

type Row = { readonly account_id: number; readonly runs: number; readonly minutes: number };

const READ = `
  with sent as (
    select s.minute, e.account_id, sum(s.accepted)::float8 as runs
    from ledger_settled s
    join environment e on e.id = s.environment_id
    where s.minute >= $1
    group by s.minute, e.account_id
  ),
  usual as (
    select account_id, percentile_cont(0.5) within group (order by runs) as median
    from sent
    group by account_id
  )
  select sent.account_id, sum(least(sent.runs, $2 * usual.median)) as runs,
         (select max(minute) - min(minute) + 1 from sent) as minutes
  from sent
  join usual on usual.account_id = sent.account_id
  group by sent.account_id
  order by runs desc
  limit $3`;
