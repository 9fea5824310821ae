import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { recipientAnswer } from '../recipients/answer.ts';
import type { RecipientRow } from '../recipients/recipient.ts';
import { keyText, type RecipientKey, USERS } from '../recipients/reference.ts';
import type { ScheduleRow } from './schedule.ts';

/** Schedules as the wire has them, with recipients and actors in full; who was never identified has an id only. */
export async function scheduleAnswers(
  ctx: EnvironmentContext,
  rows: readonly ScheduleRow[],
): Promise<JsonObject[]> {
  const keys = new Map<string, RecipientKey>();
  for (const row of rows) {
    for (const key of [recipientKey(row), actorKey(row.actor)]) {
      if (key) keys.set(keyText(key), key);
    }
  }
  const known = await loadRecipients(ctx, [...keys.values()]);
  const inFull = (key: RecipientKey, row: ScheduleRow): JsonObject =>
    recipientAnswer(
      known.get(keyText(key)) ?? {
        ...key,
        properties: {},
        created_at: row.inserted_at,
        updated_at: row.updated_at,
      },
    );
  return rows.map((row) => {
    const actor = actorKey(row.actor);
    return {
      __typename: 'Schedule',
      id: row.id,
      workflow: row.workflow_key,
      recipient: inFull(recipientKey(row), row),
      actor: actor ? inFull(actor, row) : null,
      tenant: row.tenant,
      data: Object.keys(row.data).length > 0 ? row.data : null,
      repeats: row.repeats.map((repeat) => ({ __typename: 'ScheduleRepeat', ...repeat })),
      scheduled_at: isoOrNull(row.scheduled_at),
      ending_at: isoOrNull(row.ending_at),
      last_occurrence_at: isoOrNull(row.last_occurrence_at),
      next_occurrence_at: isoOrNull(row.next_occurrence_at),
      inserted_at: row.inserted_at.toISOString(),
      updated_at: row.updated_at.toISOString(),
    };
  });
}

async function loadRecipients(
  ctx: EnvironmentContext,
  keys: readonly RecipientKey[],
): Promise<ReadonlyMap<string, RecipientRow>> {
  const rows = await ctx.db.query<RecipientRow>(
    `
    select r.collection, r.id, r.properties, r.created_at, r.updated_at
    from unnest($2::text[], $3::text[]) as wanted(collection, id)
    join recipient r
      on r.environment_id = $1
     and r.collection = wanted.collection
     and r.id = wanted.id`,
    [
      ctx.environment.id,
      textArray(keys.map(({ collection }) => collection)),
      textArray(keys.map(({ id }) => id)),
    ],
  );
  return new Map(rows.map((row) => [keyText(row), row]));
}

function recipientKey({ collection, recipient_id: id }: ScheduleRow): RecipientKey {
  return { collection, id };
}

function actorKey(actor: Json): RecipientKey | undefined {
  if (typeof actor === 'string') return { collection: USERS, id: actor };
  if (!isJsonObject(actor)) return undefined;
  return { collection: String(actor.collection), id: String(actor.id) };
}

function isoOrNull(time: Date | null): string | null {
  return time === null ? null : time.toISOString();
}
