import type { EnvironmentContext } from '../context.ts';
import { plainArray, textArray } from '../db/array-literal.ts';
import type { RecipientReference } from '../engine/engine.ts';
import type { JsonObject } from '../lib/json.ts';
import { timeOrderedUuid } from '../lib/uuid.ts';
import type { RecipientKey } from '../recipients/reference.ts';
import { chooseTimeZone } from '../workflows/time-zone.ts';
import { createNextTimes } from './next-time.ts';
import { SCHEDULE_COLUMNS, type ScheduleRow } from './schedule.ts';
import { timeZonesOf } from './time-zones.ts';

export type NewSchedule = {
  readonly workflowKey: string;
  readonly recipient: RecipientKey;
  readonly actor: RecipientReference | null;
  readonly tenant: string | null;
  readonly data: JsonObject;
  /** As `parseRepeats` returns them. */
  readonly repeats: readonly JsonObject[];
  readonly scheduledMs: number | undefined;
  readonly endingMs: number | undefined;
};

/** Creates schedules whose recipients are identified already, all or none, and returns them in their order. */
export async function createSchedules(
  ctx: EnvironmentContext,
  input: { readonly schedules: readonly NewSchedule[]; readonly apiKeyId?: number | undefined },
): Promise<ScheduleRow[]> {
  const { schedules } = input;
  const nowMs = ctx.clock.now();
  const zones = await timeZonesOf(
    ctx.db,
    ctx.environment.id,
    schedules.map(({ recipient }) => recipient),
  );
  const nextTimes = createNextTimes();
  const texts = schedules.map(({ data }) => JSON.stringify(data));
  const ids = schedules.map(() => timeOrderedUuid(nowMs));
  const nexts = schedules.map(({ repeats, scheduledMs, endingMs }, i) => {
    const timing = { repeats, scheduledMs, endingMs, startMs: scheduledMs ?? nowMs };
    const { timezone } = chooseTimeZone(zones[i], ctx.environment.settings.timezone);
    return nextTimes.first(timing, { nowMs, lastMs: undefined, timezone });
  });
  const rows = await ctx.db.query<ScheduleRow>(
    `
    with s as (
      insert into schedule
        (id, environment_id, workflow_key, collection, recipient_id, actor, tenant, data, data_size, repeats,
         scheduled_at, starts_at, ending_at, recipient_timezone, next_occurrence_at, wake_at, api_key_id,
         inserted_at, updated_at)
      select n.id, $1, n.workflow_key, n.collection, n.recipient_id, n.actor, n.tenant, n.data, n.data_size,
             n.repeats, n.scheduled_at, coalesce(n.scheduled_at, $2), n.ending_at, n.timezone, n.next_at, n.next_at,
             $3, $2, $2
      from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::text[], $10::jsonb[],
                  $11::int[], $12::jsonb[], $13::timestamptz[], $14::timestamptz[], $15::text[],
                  $16::timestamptz[])
        as n(id, workflow_key, collection, recipient_id, actor, tenant, data, data_size, repeats, scheduled_at,
             ending_at, timezone, next_at)
      returning *
    )
    select ${SCHEDULE_COLUMNS}
    from s`,
    [
      ctx.environment.id,
      new Date(nowMs).toISOString(),
      input.apiKeyId ?? null,
      plainArray(ids),
      textArray(schedules.map(({ workflowKey }) => workflowKey)),
      textArray(schedules.map(({ recipient }) => recipient.collection)),
      textArray(schedules.map(({ recipient }) => recipient.id)),
      textArray(schedules.map(({ actor }) => (actor === null ? null : JSON.stringify(actor)))),
      textArray(schedules.map(({ tenant }) => tenant)),
      textArray(texts),
      plainArray(texts.map(({ length }) => length)),
      textArray(schedules.map(({ repeats }) => JSON.stringify(repeats))),
      textArray(schedules.map(({ scheduledMs }) => isoOrNull(scheduledMs))),
      textArray(schedules.map(({ endingMs }) => isoOrNull(endingMs))),
      textArray(zones),
      textArray(nexts.map(isoOrNull)),
    ],
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.flatMap((id) => byId.get(id) ?? []);
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
