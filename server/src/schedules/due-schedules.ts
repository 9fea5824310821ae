import { plainArray, textArray } from '../db/array-literal.ts';
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
  readonly wake_at: Date;
  readonly api_key_id: number | null;
  readonly recipient_timezone: string | null;
  readonly environment_timezone: string | null;
  /** The workflow's version that would run; null when it is gone. */
  readonly version_id: number | null;
  readonly is_active: boolean | null;
};

/** Where an environment stands: its schedules up to this one were handed over. */
type Turn = {
  readonly afterMs: number;
  readonly afterId: string;
  /** Nothing else of it was due. */
  readonly isOver: boolean;
};

/**
 * Where a pass over all that is due stands. Without it each page would begin at the first index entry, and pass those of
 * all rows that have moved on since the last vacuum.
 */
export type Pass = {
  readonly startedMs: number;
  /** Who had something due until then is in `turns`. */
  readonly seenMs: number;
  /** By environment. */
  readonly turns: ReadonlyMap<number, Turn>;
  /** The environment after which the next page goes on. */
  readonly cursor: number;
};

export type DuePage = {
  readonly schedules: readonly DueSchedule[];
  /** Where to go on once this page was handed over; undefined: at the beginning. */
  readonly pass: Pass | undefined;
};

const PAGE = 500;
const PAGE_ENVIRONMENTS = 100;
const PAGE_CHARACTERS = 4 * 1024 * 1024;
/** Whoever else has something due comes into the next pass. */
const PASS_ENVIRONMENTS = 10_000;
const NOTHING: Turn = {
  afterMs: Number.NEGATIVE_INFINITY,
  afterId: '00000000-0000-0000-0000-000000000000',
  isOver: false,
};

/** With what belongs to it, as much of a page as its data allows; in order of ids, in which they are locked. */
const withSurroundings = (page: string): string => `
  select s.id, s.version, s.environment_id, s.workflow_key, s.collection, s.recipient_id, s.actor, s.tenant,
         s.data::text as data, s.repeats, s.scheduled_at, s.starts_at, s.ending_at, s.last_occurrence_at,
         s.next_occurrence_at, s.wake_at, s.api_key_id, r.properties ->> 'timezone' as recipient_timezone,
         e.settings ->> 'timezone' as environment_timezone,
         w.published_version_id as version_id, w.active as is_active
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
const ENVIRONMENTS = {
  name: 'environments_with_due_schedules',
  text: `with recursive environments as (
    select min(environment_id) as id
    from schedule
    where wake_at is not null
    union all
    select (
      select min(s.environment_id)
      from schedule s
      where s.wake_at is not null
        and s.environment_id > before.id
    )
    from environments before
    where before.id is not null
  )
  select id
  from environments
  where exists (
    select from schedule s
    where s.environment_id = environments.id
      and s.wake_at <= $1
  )
  limit ${PASS_ENVIRONMENTS}`,
};

const NEWLY_DUE = {
  name: 'environments_with_newly_due_schedules',
  text: `select distinct environment_id as id
  from schedule
  where wake_at > $1
    and wake_at <= $2`,
};

const IN_TURNS = {
  name: 'due_schedules_in_turns',
  text: withSurroundings(`
      select mine.*
      from unnest($2::int[], $3::timestamptz[], $4::uuid[]) as turn(environment_id, after_at, after_id)
      cross join lateral (
        select *
        from schedule
        where environment_id = turn.environment_id
          and wake_at <= $1
          and (wake_at, id) > (turn.after_at, turn.after_id)
        order by wake_at, id
        limit $5
      ) mine`),
};

/**
 * What is due: in order of time while it fits into a page, else the same number of each environment with something
 * due, environments in turns, from where the `pass` stands. A page that could not be handed over is read again with the
 * pass that it was read with.
 */
export async function readDue(db: Queryable, nowMs: number, pass?: Pass): Promise<DuePage> {
  const now = new Date(nowMs).toISOString();
  if (!pass) {
    const inOrder = await db.query<DueSchedule>(IN_ORDER, [now]);
    if (inOrder.length === 0 || (inOrder.length < PAGE && isAll(inOrder))) {
      return { schedules: inOrder, pass: undefined };
    }
    const due = await db.query<{ id: number }>(ENVIRONMENTS, [now]);
    const turns = new Map(due.map(({ id }) => [id, NOTHING]));
    return readTurns(db, nowMs, { startedMs: nowMs, seenMs: nowMs, turns, cursor: 0 });
  }
  if (nowMs <= pass.seenMs) return readTurns(db, nowMs, pass);
  const due = await db.query<{ id: number }>(NEWLY_DUE, [new Date(pass.seenMs).toISOString(), now]);
  const turns = new Map(pass.turns);
  for (const { id } of due) turns.set(id, { ...(turns.get(id) ?? NOTHING), isOver: false });
  return readTurns(db, nowMs, { ...pass, seenMs: nowMs, turns });
}

async function readTurns(db: Queryable, nowMs: number, pass: Pass): Promise<DuePage> {
  const chosen = nextTurns(pass);
  if (chosen.length === 0) return { schedules: [], pass: undefined };
  const each = Math.floor(PAGE / chosen.length);
  const schedules = await db.query<DueSchedule>(IN_TURNS, [
    new Date(nowMs).toISOString(),
    plainArray(chosen.map(([id]) => id)),
    textArray(
      chosen.map(([, { afterMs }]) =>
        afterMs === NOTHING.afterMs ? '-infinity' : new Date(afterMs).toISOString(),
      ),
    ),
    textArray(chosen.map(([, { afterId }]) => afterId)),
    each,
  ]);
  const isWhole = isAll(schedules);
  const turns = new Map(pass.turns);
  for (const [id, turn] of chosen) {
    const own = schedules.filter((schedule) => schedule.environment_id === id);
    turns.set(id, { ...lastOf(own, turn), isOver: isWhole && own.length < each });
  }
  return { schedules, pass: { ...pass, turns, cursor: chosen.at(-1)?.[0] ?? 0 } };
}

/** Environments behind the cursor that are not over; from the first one on when there are none. */
function nextTurns({ turns, cursor }: Pass): (readonly [id: number, turn: Turn])[] {
  const open = [...turns].filter(([, { isOver }]) => !isOver).sort(([a], [b]) => a - b);
  const behind = open.filter(([id]) => id > cursor);
  return (behind.length > 0 ? behind : open).slice(0, PAGE_ENVIRONMENTS);
}

function lastOf(schedules: readonly DueSchedule[], before: Turn): Turn {
  let last = before;
  for (const { wake_at: wakeAt, id } of schedules) {
    const afterMs = wakeAt.getTime();
    const isLater = afterMs === last.afterMs ? id > last.afterId : afterMs > last.afterMs;
    if (isLater) last = { ...last, afterMs, afterId: id };
  }
  return last;
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
