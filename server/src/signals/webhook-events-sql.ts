import { webhookEventTypes } from './webhook-event-types.ts';

/**
 * An insert that tells webhooks of `events`, to be part of the statement that makes them happen: so an event that is
 * committed is told, sooner or later. While there is no endpoint it costs one look at an empty table for the
 * statement, and the events are not even read.
 *
 * `events` is a query with the columns environment_id (int), type (a number of `webhookEventTypes`, others are left
 * out), event_id (uuid, the same for every endpoint), subject (uuid of the message or run, or null) and content (json,
 * null for those with a subject). `now` is SQL for the time at which all of it happened.
 */
export function webhookEventsSql(events: string, now: string): string {
  return `insert into webhook_delivery (endpoint_id, type, event_id, subject, content, created_at, due_at)
  select w.id, e.type, e.event_id, e.subject, e.content, ${now}, ${now}
  from (${events}) as e
  join webhook_endpoint w
    on w.environment_id = e.environment_id
   and w.state <> 'disabled'
   and e.type = any(w.types)
  where (select exists (select from webhook_endpoint where state <> 'disabled'))`;
}

/**
 * The events of runs, from a query `run` with the columns environment_id, id, segment, status and error_count: begun,
 * completed (with that status), gone wrong. Ids are made of what happened, so that all endpoints see the same.
 */
export function runEventsSql(run: string, completed: number): string {
  return `select environment_id, e.type, md5(id::text || ' ' || segment || ' ' || e.type)::uuid as event_id,
           id as subject, null::json as content
    from ${run},
    lateral (
      select ${webhookEventTypes['workflow_recipient_run.started']} where segment = 0
      union all
      select ${webhookEventTypes['workflow_recipient_run.completed']} where status = ${completed}
      union all
      select ${webhookEventTypes['workflow_recipient_run.error']} where error_count > 0
    ) as e(type)`;
}
