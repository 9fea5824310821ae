import type { Json } from '../lib/json.ts';
import { scheduleOf } from '../lib/schedule-source.ts';
import { USERS } from '../recipients/reference.ts';
import { type RunStatusName, runStatusName, STATUS_SQL } from './run-status.ts';

/** One workflow for one recipient, as the wire has it. */
export type RecipientRun = {
  readonly __typename: 'WorkflowRecipientRun';
  readonly id: string;
  readonly workflow_run_id: string;
  readonly workflow: string;
  readonly recipient: Json;
  readonly actor: Json;
  readonly tenant: string | null;
  readonly status: RunStatusName;
  readonly error_count: number;
  readonly trigger_source: TriggerSource;
  readonly inserted_at: string;
  readonly updated_at: string;
};

export type TriggerSource =
  | { readonly type: 'api'; readonly cancellation_key: string | null }
  | { readonly type: 'schedule'; readonly schedule_id: string };

export type RunRow = {
  readonly id: string;
  readonly workflow_run_id: string;
  readonly workflow_key: string;
  readonly collection: string;
  readonly recipient_id: string;
  readonly actor: Json;
  readonly tenant: string | null;
  readonly status: number;
  readonly error_count: number;
  readonly cancellation_key: string | null;
  readonly accepted_at: Date;
  readonly updated_at: Date;
};

export const RUN_COLUMNS = `r.id, r.workflow_run_id, w.workflow_key, r.collection, r.recipient_id,
    w.actor, w.tenant, w.cancellation_key, w.accepted_at,
    r.error_count + coalesce(later.error_count, 0) as error_count,
    coalesce(last.executed_at, r.executed_at) as updated_at,
    ${STATUS_SQL} as status`;

/**
 * A run is its first execution and the segments after each pause; the last one says where it is. `runs` may be a part of
 * recipient_run.
 */
export function runTables(runs = 'recipient_run'): string {
  return `${runs} r
  join workflow_run w on w.id = r.workflow_run_id
  left join lateral (
    select s.status, s.executed_at
    from recipient_run_segment s
    where s.recipient_run_id = r.id
    order by s.segment desc
    limit 1
  ) last on true
  left join lateral (
    select sum(s.error_count)::int as error_count
    from recipient_run_segment s
    where s.recipient_run_id = r.id
  ) later on true`;
}

export function runJson(row: RunRow): RecipientRun {
  return {
    __typename: 'WorkflowRecipientRun',
    id: row.id,
    workflow_run_id: row.workflow_run_id,
    workflow: row.workflow_key,
    recipient: recipientJson(row.collection, row.recipient_id),
    actor: row.actor,
    tenant: row.tenant,
    status: runStatusName(row.status),
    error_count: row.error_count,
    trigger_source: triggerSource(row.cancellation_key),
    inserted_at: row.accepted_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** Where a run comes from, by its cancellation key. */
export function triggerSource(cancellationKey: string | null): TriggerSource {
  const schedule = scheduleOf(cancellationKey);
  return schedule === undefined
    ? { type: 'api', cancellation_key: cancellationKey }
    : { type: 'schedule', schedule_id: schedule };
}

function recipientJson(collection: string, id: string): Json {
  return collection === USERS ? id : { id, collection };
}
