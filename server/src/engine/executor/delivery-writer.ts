import type { DeliveryOutcome } from '../../channels/provider.ts';
import { MAX_ATTEMPTS, nextAttemptDelayMs } from '../../channels/retry-schedule.ts';
import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Statement } from '../../db/database.ts';
import { messageEventNames, messageEventTypes } from '../../feed/message-event-type.ts';
import { faultPoint } from '../../lib/fault-point.ts';
import { timeOrderedUuid } from '../../lib/uuid.ts';
import { signalsSql } from '../../signals/signals-sql.ts';
import { webhookEventsSql } from '../../signals/webhook-events-sql.ts';
import { DELIVERIES, type NewChunk } from '../log/chunk.ts';
import { CHUNK_PARAMETERS, insertChunksSql } from '../log/insert-chunks.ts';
import { MESSAGE_STATUS } from '../status.ts';
import { receiptsSql } from './receipts.ts';
import { type DeliveryAside, deliveriesAside } from './set-aside.ts';
import {
  createSliceWriter,
  type SliceRecord,
  type SliceWriter,
  type SliceWriterOptions,
  type SliceWrites,
} from './slice-writer.ts';

/** What became of one attempt, and the slice whose receipt it is. */
export type DeliveryRecord = SliceRecord & {
  readonly laneId: number;
  readonly messageId: string;
  /** Undefined: the message is gone, only the receipt is written. */
  readonly environmentId: number | undefined;
  readonly attempt: number;
  readonly provider: string;
  readonly outcome: DeliveryOutcome | DeliveryAside;
};

export type DeliveryWriter = SliceWriter<DeliveryRecord>;

export type DeliveryWriterOptions = SliceWriterOptions & { readonly random: () => number };

/** Retries fall due on whole seconds, so that those of one lane share a chunk. */
const RETRY_GRAIN_MS = 1_000;

/** Group commit of delivery outcomes: receipts, attempts, events and retries in one statement a slot. */
export function createDeliveryWriter(options: DeliveryWriterOptions): DeliveryWriter {
  return createSliceWriter<DeliveryRecord>(options, {
    statement: recordDeliveries,
    ordersOf,
    bare: (record) => ({ ...record, environmentId: undefined }),
    committed: () => faultPoint('delivery.after-record'),
    writes: (records, nowMs) => writesOf(records, nowMs, options.random),
  });
}

function writesOf(
  records: readonly DeliveryRecord[],
  nowMs: number,
  random: () => number,
): SliceWrites {
  const verdicts = records.map(({ outcome, attempt }) =>
    outcome.kind === 'aside' ? undefined : verdictOf(outcome, attempt, nowMs, random),
  );
  const told = records.flatMap((record, i) => {
    const verdict = verdicts[i];
    const { environmentId, outcome } = record;
    return environmentId === undefined || !verdict || outcome.kind === 'aside'
      ? []
      : [{ record, outcome, verdict }];
  });
  return {
    chunks: [...retryChunks(records, verdicts), ...deliveriesAside(records)],
    done: verdicts.map((verdict) => (verdict && verdict.final !== 'failed' ? 1 : 0)),
    failed: verdicts.map((verdict) => (verdict?.final === 'failed' ? 1 : 0)),
    rest: [
      plainArray(told.map(({ record }) => record.messageId)),
      plainArray(told.map(({ record }) => record.environmentId)),
      plainArray(told.map(({ record }) => record.attempt)),
      plainArray(told.map(({ verdict }) => MESSAGE_STATUS[verdict.status])),
      textArray(told.map(({ record }) => record.provider)),
      textArray(told.map(({ outcome }) => detailText(outcome))),
      plainArray(told.map(() => timeOrderedUuid(nowMs))),
      plainArray(told.map(({ verdict }) => messageEventTypes[verdict.status])),
      textArray(
        told.map(({ record, outcome, verdict }) => eventText(outcome, record.attempt, verdict)),
      ),
    ],
  };
}

/** The number of the orders that set it aside; null for what a provider was asked for. */
function ordersOf({ outcome }: DeliveryRecord): number | null {
  return outcome.kind === 'aside' ? outcome.ordersVersion : null;
}

type Verdict = {
  readonly status: 'sent' | 'delivered' | 'delivery_attempted' | 'undelivered' | 'bounced';
  readonly final: 'done' | 'failed' | 'again';
  readonly retryAtMs?: number;
};

function verdictOf(
  outcome: DeliveryOutcome,
  attempt: number,
  nowMs: number,
  random: () => number,
): Verdict {
  switch (outcome.kind) {
    case 'sent':
    case 'delivered':
      return { status: outcome.kind, final: 'done' };
    case 'bounced':
      return { status: 'bounced', final: 'failed' };
    case 'rejected':
      return { status: 'undelivered', final: 'failed' };
    case 'retry': {
      const delayMs = nextAttemptDelayMs(attempt, random());
      if (delayMs === undefined) return { status: 'undelivered', final: 'failed' };
      const dueMs = nowMs + Math.max(delayMs, outcome.afterMs ?? 0);
      const retryAtMs = Math.ceil(dueMs / RETRY_GRAIN_MS) * RETRY_GRAIN_MS;
      return { status: 'delivery_attempted', final: 'again', retryAtMs };
    }
  }
}

function retryChunks(
  records: readonly DeliveryRecord[],
  verdicts: readonly (Verdict | undefined)[],
): NewChunk[] {
  const groups = new Map<
    string,
    { laneId: number; dueMs: number; deliveries: [string, number][] }
  >();
  records.forEach((record, i) => {
    const dueMs = verdicts[i]?.retryAtMs;
    if (dueMs === undefined) return;
    const key = `${record.laneId} ${dueMs}`;
    const group = groups.get(key) ?? { laneId: record.laneId, dueMs, deliveries: [] };
    group.deliveries.push([record.messageId, record.attempt + 1]);
    groups.set(key, group);
  });
  return [...groups.values()].map(({ laneId, dueMs, deliveries }) => ({
    laneId,
    kind: DELIVERIES,
    runCount: deliveries.length,
    dueMs,
    body: JSON.stringify({ deliveries }),
  }));
}

function detailText(outcome: DeliveryOutcome): string {
  const code = 'code' in outcome ? { code: outcome.code } : {};
  return JSON.stringify({ ...outcome.detail, ...code });
}

/** Event data as the wire contract has it for each kind of outcome. */
function eventText(outcome: DeliveryOutcome, attempt: number, verdict: Verdict): string | null {
  switch (verdict.status) {
    case 'delivery_attempted':
      return JSON.stringify({ attempt, max_attempts: MAX_ATTEMPTS, retryable: true });
    case 'undelivered': {
      const reason = outcome.kind === 'retry' ? 'retries_exhausted' : 'fatal_error';
      return JSON.stringify({ failure_reason: reason, failure_details: outcome.detail });
    }
    case 'bounced':
      return JSON.stringify({
        failure_reason: outcome.kind === 'bounced' ? outcome.code : 'bounced',
        failure_details: outcome.detail,
      });
    default:
      return null;
  }
}

const FIRST = CHUNK_PARAMETERS + 1;
const p = (offset: number): string => `$${FIRST + offset}`;
const NOW = '$2::timestamptz';

/** What runs can wait for, of what the statement writes. */
const EVENTS = `
    select m.environment_id, m.collection, m.recipient_id, 'message' as kind, m.workflow_key as source,
           (${messageEventNames})[a.event_type] as event,
           jsonb_build_object('message_uuid', m.id, 'workflow_run_id', m.workflow_run_id, 'workflow', m.workflow_key,
                              'step_ref', m.step_ref) as detail
    from attempt a
    join message m on m.id = a.message_id`;

/** What webhooks tell of, likewise. */
const TOLD = `
    select environment_id, event_type as type, event_id, message_id as subject, null::json as content
    from attempt`;

// Nothing is kept of a message that was deleted during the call. Asked for each as a scalar: a join might be planned
// as a scan of all messages.
const TEXT = `with ${receiptsSql(FIRST, FIRST + 15)}, attempt as (
  select *
  from unnest(${p(6)}::uuid[], ${p(7)}::int[], ${p(8)}::smallint[], ${p(9)}::smallint[], ${p(10)}::text[], ${p(11)}::json[],
              ${p(12)}::uuid[], ${p(13)}::smallint[], ${p(14)}::json[])
    as a(message_id, environment_id, attempt, status, provider, detail, event_id, event_type, event_data)
), kept as (
  select a.*
  from attempt a
  where (select true from message m where m.id = a.message_id)
), deliveries as (
  insert into delivery (message_id, attempt, status, provider, detail, attempted_at)
  select message_id, attempt, status, provider, detail, ${NOW}
  from kept
), events as (
  insert into message_event (id, message_id, environment_id, type, data, inserted_at)
  select event_id, message_id, environment_id, event_type, event_data, ${NOW}
  from kept
), signals as (
  ${signalsSql(EVENTS)}
), webhooks as (
  ${webhookEventsSql(TOLD, NOW)}
), chunks as (
  ${insertChunksSql(1)}
)
select 1`;

function recordDeliveries(slot: number): Statement {
  return { name: `record_deliveries_${slot}`, text: TEXT.replaceAll('SLOT', String(slot)) };
}
