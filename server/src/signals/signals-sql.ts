/**
 * An insert that tells every run that waits for one of `events`, to be part of the statement that makes them happen: so
 * an event that is committed is a signal that is committed. While nobody waits for anything it costs one look at an
 * empty table for the statement, and the events are not even read.
 *
 * `events` is a query with the columns environment_id (int), collection, recipient_id, kind, source, event (text) and
 * detail (jsonb). A kind is message, workflow, recipient or audience; a source is the workflow that messages or runs are
 * of, the key of an audience, or nothing.
 */
export function signalsSql(events: string): string {
  return `insert into event_signal (run_id, ref, detail)
  select w.run_id, w.ref, e.detail
  from (${events}) as e
  join event_wait w
    on w.environment_id = e.environment_id
   and w.recipient_id = e.recipient_id
   and w.collection = e.collection
   and w.kind = e.kind
   and w.source = e.source
   and w.event = e.event
  where (select exists (select from event_wait))`;
}
