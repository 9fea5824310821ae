/**
 * Wakes the schedules of recipients whose time zone is another one, to be part of the statement that identifies them:
 * their next occurrences are by another clock. `written` is a query with `environment_id`, `collection`, `id` and
 * `timezone`. While nobody has schedules it costs one look at an empty table for the statement.
 */
export function movedZonesSql(written: string): string {
  return `update schedule
  set wake_at = 'epoch',
      version = schedule.version + 1
  from (
    select s.id
    from (${written}) as w
    join schedule s
      on s.environment_id = w.environment_id
     and s.collection = w.collection
     and s.recipient_id = w.id
    where (select exists (select from schedule))
      and s.wake_at is not null
      and s.repeats <> '[]'
      and s.recipient_timezone is distinct from w.timezone
    order by s.id
    for update of s
  ) moved
  where schedule.id = moved.id`;
}
