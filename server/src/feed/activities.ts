import type { Queryable } from '../db/database.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';
import { RUN_DATA } from './conditions.ts';
import { type EmbeddedRow, embeddedColumns, embeddedRecipient } from './embedded-recipient.ts';
import { keptActivity } from './kept-activities.ts';
import { mergedData } from './message-json.ts';

/** What a message row keeps of the closed batch that it came out of. */
export type MessageBatch = {
  readonly window: number;
  readonly closedMs: number;
  readonly totalActivities: number;
  readonly totalActors: number;
};

/** A trigger that is in a message. */
export type Activity = {
  readonly __typename: 'Activity';
  readonly id: string;
  readonly actor: JsonObject | null;
  readonly recipient: JsonObject | null;
  readonly data: JsonObject | null;
  readonly inserted_at: string;
  readonly updated_at: string;
};

/** Newest activities in a feed item. */
export const SHOWN_ACTIVITIES = 10;

/** The batch of a message row, or undefined. */
export function batchOf(value: Json): MessageBatch | undefined {
  return isJsonObject(value) && typeof value.window === 'number'
    ? (value as MessageBatch & JsonObject)
    : undefined;
}

export type ActivityRow = {
  readonly id: string;
  /** As the wire has references. */
  readonly actor: Json;
  readonly actor_row: EmbeddedRow | null;
  readonly data: JsonObject | null;
  readonly own_data: JsonObject | null;
  readonly accepted_at: Date;
};

/** A batch keeps actors as the engine's references: an id in JSON, or collection and id. */
export const BATCH_ACTOR = `case when left(a.actor, 1) = '['
    then jsonb_build_object('collection', a.actor::jsonb ->> 0, 'id', a.actor::jsonb ->> 1)
    else a.actor::jsonb end`;

/** The actor of a row `x`. */
export const ACTOR_ROW = `left join recipient ar on ar.environment_id = x.environment_id
  and ar.collection = coalesce(x.actor ->> 'collection', '$users')
  and ar.id = coalesce(x.actor ->> 'id', x.actor #>> '{}')`;

/** Of a row of `message m` and one of `batch_activity a`. */
export const KEPT_ACTIVITY = keptActivity({
  environmentId: 'm.environment_id',
  workflowKey: 'm.workflow_key',
  collection: 'm.collection',
  recipientId: 'm.recipient_id',
  closedAt: "to_timestamp((m.batch ->> 'closedMs')::double precision / 1000)",
});

/** The newest activities of these messages that came out of batches, by message; at most ten each. */
export async function newestActivities(
  db: Queryable,
  messageIds: readonly string[],
): Promise<ReadonlyMap<string, readonly ActivityRow[]>> {
  if (messageIds.length === 0) return new Map();
  const rows = await db.query<ActivityRow & { readonly message_id: string }>(
    `select m.id as message_id, x.*, ${embeddedColumns('ar')} as actor_row
from message m
cross join lateral (
  select a.run_id as id, m.environment_id, ${BATCH_ACTOR} as actor, coalesce(a.data, ${RUN_DATA}) as data, null::jsonb as own_data,
    a.accepted_at
  from batch_activity a
  left join workflow_run r on r.id = a.workflow_run_id
  where a.window_id = (m.batch ->> 'window')::bigint
    and ${KEPT_ACTIVITY}
  order by a.run_id desc
  limit ${SHOWN_ACTIVITIES}
) x
${ACTOR_ROW}
where m.id = any($1::uuid[])
order by m.id, x.id desc`,
    [messageIds],
  );
  const found = new Map<string, ActivityRow[]>();
  for (const row of rows) {
    const of = found.get(row.message_id);
    if (of) of.push(row);
    else found.set(row.message_id, [row]);
  }
  return found;
}

/** Who did the newest activities of these messages, as references; nothing for those that came out of no batch. */
export async function batchActors(
  db: Queryable,
  rows: readonly { readonly id: string; readonly batch: Json }[],
): Promise<ReadonlyMap<string, readonly Json[]>> {
  const ids = rows.flatMap(({ id, batch }) => (batch === null ? [] : [id]));
  const found = await newestActivities(db, ids);
  return new Map([...found].map(([id, activities]) => [id, activities.map(({ actor }) => actor)]));
}

/** An activity as it goes over the wire. */
export function activity(row: ActivityRow, recipient: JsonObject | null): Activity {
  const at = row.accepted_at.toISOString();
  return {
    __typename: 'Activity',
    id: ksuidFromUuid(row.id),
    actor: embeddedRecipient(row.actor, row.actor_row, row.accepted_at) ?? null,
    recipient,
    data: mergedData(row.data, row.own_data),
    inserted_at: at,
    updated_at: at,
  };
}

/** Who did these activities, each once. */
export function actorsOf(activities: readonly Activity[]): JsonObject[] {
  const actors = new Map<string, JsonObject>();
  for (const { actor } of activities) {
    if (actor) actors.set(JSON.stringify([actor.collection ?? null, actor.id]), actor);
  }
  return [...actors.values()];
}
