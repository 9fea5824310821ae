import type { Queryable } from '../db/database.ts';
import type { Json } from '../lib/json.ts';

/** A schedule that is to be looked at, with what its next occurrence depends on. */
export type DueSchedule = {
  readonly id: string;
  readonly version: number;
  readonly environment_id: number;
  readonly workflow_key: string;
  readonly collection: string;
  readonly recipient_id: string;
  readonly actor: Json;
  readonly tenant: string | null;
  /** As JSON text. */
  readonly data: string;
  readonly repeats: readonly Json[];
  readonly scheduled_at: Date | null;
  readonly starts_at: Date;
  readonly ending_at: Date | null;
  readonly last_occurrence_at: Date | null;
  readonly next_occurrence_at: Date | null;
  readonly api_key_id: number | null;
  readonly recipient_timezone: string | null;
  readonly environment_timezone: string | null;
  /** The workflow's version that would run; null when it is inactive or gone. */
  readonly version_id: number | null;
};

export type DuePage = {
  readonly schedules: readonly DueSchedule[];
  /** The environment after which the next page goes on, 0 from the first one; undefined: in order of time. */
  readonly cursor: number | undefined;
};

const PAGE = 500;
const PAGE_ENVIRONMENTS = 100;
const PAGE_CHARACTERS = 4 * 1024 * 1024;

/** With what belongs to it, as much of a page as its data allows; in order of ids, in which they are locked. */
const withSurroundings = (page: string): string => `
  select s.id, s.version, s.environment_id, s.workflow_key, s.collection, s.recipient_id, s.actor, s.tenant,
         s.data::text as data, s.repeats, s.scheduled_at, s.starts_at, s.ending_at, s.last_occurrence_at,
         s.next_occurrence_at, s.api_key_id, r.properties ->> 'timezone' as recipient_timezone,
         e.settings ->> 'timezone' as environment_timezone,
         case when w.active then w.published_version_id end as version_id
  from (
    select d.*, sum(d.data_size) over (order by d.wake_at, d.id) - d.data_size as characters_before
    from (${page}) d
  ) s
  join environment e on e.id = s.environment_id
  left join recipient r
    on r.environment_id = s.environment_id
   and r.collection = s.collection
   and r.id = s.recipient_id
  left join workflow w
    on w.environment_id = s.environment_id
   and w.key = s.workflow_key
  where s.characters_before < ${PAGE_CHARACTERS}
  order by s.id`;

const IN_ORDER = {
  name: 'due_schedules',
  text: withSurroundings(`
      select *
      from schedule
      where wake_at <= $1
      order by wake_at, id
      limit ${PAGE}`),
};

/** Environments with something due are found one after the other in an index, however much each has. */
const IN_TURNS = {
  name: 'due_schedules_in_turns',
  text: `with recursive environments as (
    select min(environment_id) as id
    from schedule
    where wake_at is not null
      and environment_id > $2
    union all
    select (
      select min(s.environment_id)
      from schedule s
      where s.wake_at is not null
        and s.environment_id > before.id
    )
    from environments before
    where before.id is not null
  ), turns as (
    select id
    from environments
    where exists (
      select from schedule s
      where s.environment_id = environments.id
        and s.wake_at <= $1
    )
    limit ${PAGE_ENVIRONMENTS}
  )
  ${withSurroundings(`
      select turn.*
      from turns
      cross join lateral (
        select *
        from schedule
        where environment_id = turns.id
          and wake_at <= $1
        order by wake_at, id
        limit (select ${PAGE} / greatest(count(*), 1) from turns)
      ) turn`)}`,
};

/**
 * What is due: in order of time while it fits into a page, else the same number of each environment with something
 * due, going on after the environment `cursor` of the page before, until nothing is.
 */
export async function readDue(
  db: Queryable,
  nowMs: number,
  cursor?: number | undefined,
): Promise<DuePage> {
  const now = new Date(nowMs).toISOString();
  if (cursor === undefined) {
    const inOrder = await db.query<DueSchedule>(IN_ORDER, [now]);
    if (inOrder.length === 0 || (inOrder.length < PAGE && isAll(inOrder))) {
      return { schedules: inOrder, cursor: undefined };
    }
  }
  const schedules = await db.query<DueSchedule>(IN_TURNS, [now, cursor ?? 0]);
  if (schedules.length === 0) return { schedules, cursor: undefined };
  const environments = new Set(schedules.map((schedule) => schedule.environment_id));
  const isLast = environments.size < PAGE_ENVIRONMENTS;
  return { schedules, cursor: isLast ? 0 : Math.max(...environments) };
}

/** Whether a page that is not full has not been cut for its data. */
function isAll(page: readonly DueSchedule[]): boolean {
  return page.reduce((sum, { data }) => sum + data.length, 0) < PAGE_CHARACTERS;
}

/** When something is to be looked at next, in milliseconds since 1970; undefined: never. */
export async function nextWakeMs(db: Queryable): Promise<number | undefined> {
  const [row] = await db.query<{ wake_at: Date }>({
    name: 'next_schedule',
    text: `select wake_at
     from schedule
     where wake_at is not null
     order by wake_at
     limit 1`,
  });
  return row?.wake_at.getTime();
}
