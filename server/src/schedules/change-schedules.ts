import type { EnvironmentContext } from '../context.ts';
import { plainArray, textArray } from '../db/array-literal.ts';
import type { RecipientReference } from '../engine/engine.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { chooseTimeZone } from '../workflows/time-zone.ts';
import { createNextTimes } from './next-time.ts';
import { SCHEDULE_COLUMNS, type ScheduleRow } from './schedule.ts';
import { timeZonesOf } from './time-zones.ts';

/** What is absent stays as it is. */
export type ScheduleChange = {
  readonly actor?: RecipientReference | null;
  readonly tenant?: string | null;
  readonly data?: JsonObject;
  readonly repeats?: readonly JsonObject[];
  /** Null: from now on it is only its repeats. */
  readonly scheduledMs?: number | null;
  readonly endingMs?: number | null;
};

type Timed = Pick<ScheduleRow, 'repeats' | 'scheduled_at' | 'starts_at' | 'ending_at'>;

/**
 * Gives all of these schedules the same values, and finds their next occurrences anew if when they fire is among
 * them: after the last one that fired. Throws a 404 that names the first id that does not exist.
 */
export async function updateSchedules(
  ctx: EnvironmentContext,
  input: { readonly ids: readonly string[]; readonly change: ScheduleChange },
): Promise<ScheduleRow[]> {
  const { ids, change } = input;
  const nowMs = ctx.clock.now();
  return ctx.db.transaction(async (tx) => {
    const rows = await tx.query<ScheduleRow>(
      `
      select ${SCHEDULE_COLUMNS}
      from schedule s
      where s.environment_id = $1
        and s.id = any ($2::uuid[])
      order by s.id
      for update`,
      [ctx.environment.id, plainArray(ids)],
    );
    refuseMissing(ids, rows);
    const zones = await timeZonesOf(
      tx,
      ctx.environment.id,
      rows.map(({ collection, recipient_id: id }) => ({ collection, id })),
    );
    const nextTimes = createNextTimes();
    const isTimed =
      change.repeats !== undefined ||
      change.scheduledMs !== undefined ||
      change.endingMs !== undefined;
    const timed = rows.map((row) => timingOf(row, change));
    const nexts = rows.map((row, i) => {
      const timing = timed[i];
      if (!isTimed || !timing) return row.next_occurrence_at?.getTime();
      if (timing.repeats.length === 0 && timing.scheduled_at === null) {
        throw invalidField('scheduled_at', 'is required for a schedule without repeats');
      }
      const { timezone } = chooseTimeZone(zones[i], ctx.environment.settings.timezone);
      return nextTimes.first(
        {
          repeats: timing.repeats,
          scheduledMs: timing.scheduled_at?.getTime(),
          startMs: timing.starts_at.getTime(),
          endingMs: timing.ending_at?.getTime(),
        },
        { nowMs, lastMs: row.last_occurrence_at?.getTime(), timezone },
      );
    });
    const dataText = change.data === undefined ? null : JSON.stringify(change.data);
    const updated = await tx.query<ScheduleRow>(
      `
      with s as (
        update schedule
        set actor = case when $2 then $3::jsonb else actor end,
            tenant = case when $4 then $5 else tenant end,
            data = coalesce($6::jsonb, data),
            data_size = coalesce($7, data_size),
            repeats = n.repeats,
            scheduled_at = n.scheduled_at,
            starts_at = n.starts_at,
            ending_at = n.ending_at,
            recipient_timezone = case when $15 then n.timezone else recipient_timezone end,
            next_occurrence_at = n.next_at,
            wake_at = case when $15 then n.next_at else wake_at end,
            version = version + 1,
            updated_at = $1
        from unnest($8::uuid[], $9::jsonb[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
                    $13::text[], $14::timestamptz[])
          as n(id, repeats, scheduled_at, starts_at, ending_at, timezone, next_at)
        where schedule.id = n.id
        returning schedule.*
      )
      select ${SCHEDULE_COLUMNS}
      from s
      order by s.id desc`,
      [
        new Date(nowMs).toISOString(),
        change.actor !== undefined,
        change.actor ? JSON.stringify(change.actor) : null,
        change.tenant !== undefined,
        change.tenant ?? null,
        dataText,
        dataText?.length ?? null,
        plainArray(rows.map(({ id }) => id)),
        textArray(timed.map(({ repeats }) => JSON.stringify(repeats))),
        textArray(timed.map((timing) => isoOrNull(timing.scheduled_at))),
        textArray(timed.map((timing) => isoOrNull(timing.starts_at))),
        textArray(timed.map((timing) => isoOrNull(timing.ending_at))),
        textArray(zones),
        textArray(nexts.map((ms) => (ms === undefined ? null : new Date(ms).toISOString()))),
        isTimed,
      ],
    );
    return updated;
  });
}

/** A start without repeats makes it one that fires once. */
function timingOf(row: ScheduleRow, change: ScheduleChange): Timed {
  const { scheduledMs, endingMs } = change;
  const scheduled = scheduledMs === undefined ? row.scheduled_at : dateOrNull(scheduledMs);
  const becomesOnce = scheduledMs !== undefined && scheduledMs !== null && !change.repeats;
  return {
    repeats: becomesOnce ? [] : (change.repeats ?? row.repeats),
    scheduled_at: scheduled,
    starts_at: scheduled ?? row.starts_at,
    ending_at: endingMs === undefined ? row.ending_at : dateOrNull(endingMs),
  };
}

/** Deletes those that exist, with what was handed over and is not done yet, and returns them as they were. */
export async function deleteSchedules(
  ctx: EnvironmentContext,
  input: { readonly ids: readonly string[] },
): Promise<ScheduleRow[]> {
  return ctx.db.query<ScheduleRow>(
    `
    with locked as (
      select s.id
      from schedule s
      where s.environment_id = $1
        and s.id = any ($2::uuid[])
      order by s.id
      for update
    ),
    s as (
      delete from schedule
      using locked
      where schedule.id = locked.id
      returning schedule.*
    ),
    cancelled as (
      insert into cancellation (environment_id, workflow_key, cancellation_key, cancelled_at)
      select s.environment_id, s.workflow_key, '$schedule:' || s.id, $3
      from s
    )
    select ${SCHEDULE_COLUMNS}
    from s
    order by s.id desc`,
    [
      ctx.environment.id,
      plainArray(input.ids),
      // What was handed over a moment ago by a clock that is a little ahead is cancelled too; nothing can follow.
      new Date(ctx.clock.now() + CLOCKS_APART_MS).toISOString(),
    ],
  );
}

const CLOCKS_APART_MS = 60_000;

function refuseMissing(ids: readonly string[], rows: readonly ScheduleRow[]): void {
  const found = new Set(rows.map(({ id }) => id));
  const missing = ids.find((id) => !found.has(id.toLowerCase()));
  if (missing === undefined) return;
  throw new BelfryError('resource_missing', `There is no schedule ${JSON.stringify(missing)}`);
}

function dateOrNull(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}

function isoOrNull(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
