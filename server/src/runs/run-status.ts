/** States of a recipient run, in the order of their numbers in `recipient_run.status` (from 0). */
export const runStatuses = ['queued', 'processing', 'paused', 'completed', 'cancelled'] as const;

export type RunStatusName = (typeof runStatuses)[number];

const PAUSED = runStatuses.indexOf('paused');
const CANCELLED = runStatuses.indexOf('cancelled');

/**
 * SQL for a run's status as callers see it, over `recipient_run r`, `workflow_run w` and the last
 * segment `last`. A paused run stops when it resumes, so one that was cancelled meanwhile is only
 * known by its cancellation.
 */
export const STATUS_SQL = `case
      when coalesce(last.status, r.status) = ${PAUSED} and w.cancellation_key is not null and exists (
        select 1
        from cancellation c
        where c.environment_id = r.environment_id
          and c.workflow_key = w.workflow_key
          and c.cancellation_key = w.cancellation_key
          and c.cancelled_at >= w.accepted_at
          and (c.recipient_id is null
            or (c.recipient_id = r.recipient_id and c.collection = r.collection))
      ) then ${CANCELLED}
      else coalesce(last.status, r.status)
    end`;

export function runStatusName(number: number): RunStatusName {
  return runStatuses[number] ?? 'queued';
}

export function runStatusNumber(name: RunStatusName): number {
  return runStatuses.indexOf(name);
}
