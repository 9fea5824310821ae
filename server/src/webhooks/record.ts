import { nextAttemptDelayMs } from '../channels/retry-schedule.ts';
import type { Queryable } from '../db/database.ts';
import { DELIVERY_STATE, type DueDelivery } from './delivery.ts';
import type { Answer } from './requests.ts';

/** What became of a row that was due; without an answer what it is about was gone. */
export type Outcome = {
  readonly delivery: DueDelivery;
  readonly answer: Answer | undefined;
  readonly atMs: number;
};

export const SUSPEND_AFTER_FAILURES = 20;
export const SUSPEND_AFTER_MS = 24 * 3_600_000;
const MAX_LOG_ENTRIES = 24;

/**
 * Records outcomes in the order in which they came, and how the endpoints do: one that failed for a day, or says that it
 * is gone, is suspended. A row counts only while it waits with the attempts that it was read with.
 */
export async function recordOutcomes(
  db: Queryable,
  outcomes: readonly Outcome[],
  options: { readonly nowMs: number; readonly random: () => number },
): Promise<void> {
  const { nowMs, random } = options;
  const rows = outcomes.map((outcome) => rowOf(outcome, random));
  const endpoints = endpointsOf(outcomes);
  await db.query({ name: 'record_webhooks', text: RECORD }, [
    rows.map((row) => row.id),
    rows.map((row) => row.attempts),
    rows.map((row) => row.state),
    rows.map((row) => row.dueAt),
    rows.map((row) => row.entry),
    endpoints.map((endpoint) => endpoint.id),
    endpoints.map((endpoint) => endpoint.hadSuccess),
    endpoints.map((endpoint) => endpoint.failures),
    endpoints.map((endpoint) => endpoint.error),
    endpoints.map((endpoint) => endpoint.isGone),
    new Date(nowMs),
  ]);
}

function rowOf({ delivery, answer, atMs }: Outcome, random: () => number) {
  const attempts = delivery.attempts + 1;
  const entry = {
    at: new Date(atMs).toISOString(),
    attempt: attempts,
    status: answer?.status ?? null,
    duration_ms: answer?.durationMs ?? 0,
    error: answer ? answer.error : 'what it is about was deleted; nothing was sent',
  };
  const common = { id: delivery.id, attempts: delivery.attempts, entry: JSON.stringify(entry) };
  const over = (state: number) => ({ ...common, state, dueAt: new Date(atMs) });
  if (answer === undefined) return over(DELIVERY_STATE.dropped);
  if (answer.isDelivered) return over(DELIVERY_STATE.delivered);
  const delayMs = nextAttemptDelayMs(attempts, random());
  if (delayMs === undefined) return over(DELIVERY_STATE.failed);
  const dueMs = atMs + Math.max(delayMs, answer.afterMs ?? 0);
  return { ...common, state: DELIVERY_STATE.waiting, dueAt: new Date(dueMs) };
}

type EndpointHealth = {
  readonly id: number;
  hadSuccess: boolean;
  /** After the last success. */
  failures: number;
  error: string | null;
  isGone: boolean;
};

function endpointsOf(outcomes: readonly Outcome[]): EndpointHealth[] {
  const byId = new Map<number, EndpointHealth>();
  for (const { delivery, answer } of outcomes) {
    if (!answer) continue;
    const id = delivery.endpoint_id;
    const known = byId.get(id) ?? {
      id,
      hadSuccess: false,
      failures: 0,
      error: null,
      isGone: false,
    };
    byId.set(id, known);
    if (answer.isDelivered) {
      Object.assign(known, { hadSuccess: true, failures: 0, error: null });
    } else {
      known.failures += 1;
      known.error = answer.error;
      known.isGone ||= answer.isGone;
    }
  }
  return [...byId.values()];
}

const FAILURES = 'case when h.had_success then h.failures else w.failures + h.failures end';
const SINCE =
  'case when h.had_success then $11::timestamptz else coalesce(w.failing_since, $11::timestamptz) end';
const IS_OVER = `(h.is_gone or ${FAILURES} >= ${SUSPEND_AFTER_FAILURES}
      and ${SINCE} <= $11::timestamptz - interval '${SUSPEND_AFTER_MS} milliseconds')`;

/** An endpoint that does well is not written. */
const RECORD = `with outcome as (
  select *
  from unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::timestamptz[], $5::jsonb[])
    as o (id, attempts, state, due_at, entry)
), recorded as (
  update webhook_delivery d
  set state = o.state,
    attempts = d.attempts + 1,
    due_at = o.due_at,
    log = case
      when jsonb_array_length(d.log) >= ${MAX_LOG_ENTRIES} then (d.log - 0) || jsonb_build_array(o.entry)
      else coalesce(d.log, '[]') || jsonb_build_array(o.entry)
    end
  from outcome o
  where d.id = o.id
    and d.state = ${DELIVERY_STATE.waiting}
    and d.attempts = o.attempts
), health as (
  select *
  from unnest($6::int[], $7::bool[], $8::int[], $9::text[], $10::bool[])
    as h (endpoint_id, had_success, failures, error, is_gone)
)
update webhook_endpoint w
set failures = ${FAILURES},
  failing_since = case when h.failures > 0 then ${SINCE} end,
  last_error = h.error,
  state = case when ${IS_OVER} then 'suspended' else w.state end,
  stopped_at = case when ${IS_OVER} then $11 else w.stopped_at end,
  reason = case
    when h.is_gone then 'it answered 410 Gone; enable it when it is back'
    when ${IS_OVER} then format(
      'no attempt succeeded since %s UTC: %s in a row failed, the last: %s',
      to_char(${SINCE} at time zone 'utc', 'YYYY-MM-DD HH24:MI'), ${FAILURES}, h.error
    )
    else w.reason
  end
from health h
where w.id = h.endpoint_id
  and w.state = 'enabled'
  and (h.failures > 0 or w.failures > 0)`;
