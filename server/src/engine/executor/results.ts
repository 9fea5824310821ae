import { insertPacksSql, type Packs } from '../../bodies/packs.ts';
import { channelTypeNumber } from '../../channels/channel-type.ts';
import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Statement } from '../../db/database.ts';
import { messageEventNames } from '../../feed/message-event-type.ts';
import { signalsSql } from '../../signals/signals-sql.ts';
import { runEventsSql, webhookEventsSql } from '../../signals/webhook-events-sql.ts';
import type { BatchOfRun } from '../../workflows/step.ts';
import type { ChunkTrigger, WireReference } from '../log/chunk.ts';
import {
  CHUNK_PARAMETERS,
  chunkValues,
  insertChunksSql,
  type PlacedChunk,
} from '../log/insert-chunks.ts';
import { RUN_STATUS } from '../status.ts';
import { receiptsSql } from './receipts.ts';

/**
 * Everything that an assignment produced, as columns: one statement writes it with its receipts, so it
 * counts once or not at all. What many rows share (trigger, step) is sent once and joined there.
 */
export class Results {
  readonly #receipts = {
    streams: [] as number[],
    sequences: [] as number[],
    slices: [] as number[],
  };
  readonly #done: number[] = [];
  readonly #failed: number[] = [];
  readonly #triggers: { trigger: ChunkTrigger; environmentId: number }[] = [];
  readonly #steps = { channels: [] as string[], types: [] as number[], refs: [] as string[] };
  readonly #stepNumbers = new Map<string, number>();
  /** Most runs of a slice did the same: each trace is sent once. */
  readonly #traces: string[] = [];
  readonly #traceNumbers = new Map<string, number>();
  readonly #runs = {
    ids: [] as string[],
    triggers: [] as number[],
    collections: [] as string[],
    recipients: [] as string[],
    statuses: [] as number[],
    errors: [] as number[],
    traces: [] as number[],
    segments: [] as number[],
  };
  readonly #messages = {
    ids: [] as string[],
    runs: [] as number[],
    steps: [] as number[],
    contents: [] as string[],
    statuses: [] as number[],
    data: [] as (string | null)[],
    events: [] as string[],
    eventTypes: [] as number[],
    /** Milliseconds since 1970, or null. */
    scheduled: [] as (number | null)[],
    batches: [] as (string | null)[],
  };

  /** Contents that leave their messages. */
  readonly packs: Packs | undefined;

  constructor(packs?: Packs) {
    this.packs = packs;
  }

  get runCount(): number {
    return this.#runs.ids.length;
  }

  get messageCount(): number {
    return this.#messages.ids.length;
  }

  addReceipt(stream: number, sequence: number, slice: number, done: number, failed: number): void {
    this.#receipts.streams.push(stream);
    this.#receipts.sequences.push(sequence);
    this.#receipts.slices.push(slice);
    this.#done.push(done);
    this.#failed.push(failed);
  }

  /** Returns the trigger's number for `addRun`. Numbers start at 1, as `with ordinality` counts. */
  addTrigger(trigger: ChunkTrigger, environmentId: number): number {
    return this.#triggers.push({ trigger, environmentId });
  }

  /** Segment 0 is a run's first execution. Returns the run's number for `addMessage`. */
  addRun(
    trigger: number,
    id: string,
    collection: string,
    recipientId: string,
    status: number,
    errorCount: number,
    steps: string,
    segment: number,
  ): number {
    const runs = this.#runs;
    runs.triggers.push(trigger);
    runs.collections.push(collection);
    runs.recipients.push(recipientId);
    runs.statuses.push(status);
    runs.errors.push(errorCount);
    runs.traces.push(this.#traceNumber(steps));
    runs.segments.push(segment);
    return runs.ids.push(id);
  }

  addMessage(
    run: number,
    id: string,
    step: { readonly ref: string; readonly channelId: string; readonly channelType: number },
    content: string,
    status: number,
    data: string | null,
    event: { readonly id: string; readonly type: number },
    scheduledMs?: number,
    batch?: BatchOfRun,
  ): void {
    const messages = this.#messages;
    messages.runs.push(run);
    messages.ids.push(id);
    messages.steps.push(this.#stepNumber(step));
    messages.contents.push(content);
    messages.statuses.push(status);
    messages.data.push(data);
    messages.events.push(event.id);
    messages.eventTypes.push(event.type);
    messages.scheduled.push(scheduledMs ?? null);
    messages.batches.push(batch ? JSON.stringify(batch) : null);
  }

  #traceNumber(steps: string): number {
    let number = this.#traceNumbers.get(steps);
    if (number === undefined) {
      number = this.#traces.push(steps);
      this.#traceNumbers.set(steps, number);
    }
    return number;
  }

  #stepNumber(step: { ref: string; channelId: string; channelType: number }): number {
    const key = `${step.channelId} ${step.ref}`;
    let number = this.#stepNumbers.get(key);
    if (number === undefined) {
      this.#steps.channels.push(step.channelId);
      this.#steps.types.push(step.channelType);
      number = this.#steps.refs.push(step.ref);
      this.#stepNumbers.set(key, number);
    }
    return number;
  }

  /** The values for `writeResults`, in order. */
  values(
    nowMs: number,
    appended: { readonly stream: number; readonly chunks: readonly PlacedChunk[] },
    ordersVersion: number,
  ): unknown[] {
    const now = new Date(nowMs).toISOString();
    const receipts = this.#receipts;
    const chunks = new Set(
      receipts.sequences.map((sequence, i) => `${receipts.streams[i]} ${sequence}`),
    );
    const triggers = this.#triggers.map((entry) => entry.trigger);
    const data = triggers.map((trigger) => JSON.stringify(trigger.data));
    return [
      ...chunkValues(appended.stream, now, appended.chunks),
      chunks.size,
      plainArray(receipts.streams),
      plainArray(receipts.sequences),
      plainArray(receipts.slices),
      plainArray(this.#done),
      plainArray(this.#failed),
      plainArray(triggers.map((trigger) => trigger.id)),
      plainArray(this.#triggers.map((entry) => entry.environmentId)),
      textArray(triggers.map((trigger) => trigger.key)),
      plainArray(triggers.map((trigger) => trigger.version)),
      textArray(triggers.map(({ actor }) => (actor === null ? null : referenceText(actor)))),
      textArray(triggers.map((trigger) => trigger.tenant)),
      textArray(data),
      textArray(triggers.map((trigger) => trigger.cancel)),
      plainArray(triggers.map((trigger) => trigger.at)),
      plainArray(this.#runs.ids),
      plainArray(this.#runs.triggers),
      textArray(this.#runs.collections),
      textArray(this.#runs.recipients),
      plainArray(this.#runs.statuses),
      plainArray(this.#runs.errors),
      plainArray(this.#runs.traces),
      plainArray(this.#runs.segments),
      plainArray(this.#messages.ids),
      plainArray(this.#messages.runs),
      plainArray(this.#messages.steps),
      textArray(this.#messages.contents),
      plainArray(this.#messages.statuses),
      textArray(this.#messages.data),
      plainArray(this.#messages.events),
      plainArray(this.#messages.eventTypes),
      plainArray(this.#steps.channels),
      plainArray(this.#steps.types),
      textArray(this.#steps.refs),
      textArray(this.#traces),
      plainArray(data.map((text) => text.length)),
      plainArray(triggers.map((trigger) => trigger.by)),
      ordersVersion,
      plainArray(this.#messages.scheduled),
      textArray(this.#messages.batches),
      ...(hasPacks(this) ? this.packs.values(nowMs) : []),
    ];
  }
}

function hasPacks(results: Results): results is Results & { readonly packs: Packs } {
  return results.packs !== undefined && results.packs.count > 0;
}

/** As the API shows references: a user id, or an object's id and collection. */
function referenceText(reference: WireReference): string {
  if (typeof reference === 'string') return JSON.stringify(reference);
  return JSON.stringify({ id: reference[1], collection: reference[0] });
}

const FIRST = CHUNK_PARAMETERS + 1;
const p = (offset: number): string => `$${FIRST + offset}`;
/** Of `insertChunksSql`: when all of it happened. */
const NOW = '$2::timestamptz';

/** What runs can wait for, of what the statement writes. */
const EVENTS = `
    select environment_id, collection, recipient_id, 'message' as kind, key as source, e.name as event,
           jsonb_build_object('message_uuid', id, 'workflow_run_id', workflow_run_id, 'workflow', key, 'step_ref', ref) as detail
    from new_message,
    lateral (values ('created'), ((${messageEventNames})[event_type])) as e(name)
    union all
    select environment_id, collection, recipient_id, 'workflow', key, e.name,
           jsonb_build_object('workflow_run_id', workflow_run_id, 'workflow', key)
    from run,
    lateral (select 'started' where segment = 0 union all select 'completed' where status = ${RUN_STATUS.completed}) as e(name)`;

/** What webhooks tell of, of what the statement writes. */
const TOLD = `
    select environment_id, event_type as type, event_id, id as subject, null::json as content
    from new_message
    union all
    ${runEventsSql('run', RUN_STATUS.completed)}`;

/** A message of the feed that is scheduled arrives there later. */
const arrivesAt = `case when channel_type = ${channelTypeNumber('in_app_feed')} then coalesce(scheduled_at, ${NOW}) else ${NOW} end`;

const TEXT = `with ${receiptsSql(FIRST, FIRST + 37)}, trigger as (
  select *
  from unnest(${p(6)}::uuid[], ${p(7)}::int[], ${p(8)}::text[], ${p(9)}::int[], ${p(10)}::jsonb[], ${p(11)}::text[],
              ${p(12)}::jsonb[], ${p(13)}::text[], ${p(14)}::double precision[], ${p(35)}::int[],
              ${p(36)}::int[])
    with ordinality
      as t(id, environment_id, key, version_id, actor, tenant, data, cancellation_key, accepted_ms, data_size,
           api_key_id, n)
), workflow_runs as (
  insert into workflow_run
    (id, environment_id, workflow_key, version_id, actor, tenant, data, data_size, cancellation_key, accepted_at,
     api_key_id)
  select id, environment_id, key, version_id, actor, tenant, data, data_size, cancellation_key, to_timestamp(accepted_ms / 1000),
         api_key_id
  from trigger
  on conflict (id) do nothing
), run as (
  select r.*, trace.steps, t.id as workflow_run_id, t.environment_id, t.key, t.version_id, t.tenant
  from unnest(${p(15)}::uuid[], ${p(16)}::int[], ${p(17)}::text[], ${p(18)}::text[], ${p(19)}::smallint[],
              ${p(20)}::smallint[], ${p(21)}::int[], ${p(22)}::smallint[])
    with ordinality as r(id, trigger, collection, recipient_id, status, error_count, trace, segment, n)
  join trigger t on t.n = r.trigger
  join unnest(${p(34)}::json[]) with ordinality as trace(steps, n) on trace.n = r.trace
), runs as (
  insert into recipient_run
    (id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, executed_at)
  select id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, ${NOW}
  from run
  where segment = 0
), segments as (
  insert into recipient_run_segment (recipient_run_id, segment, status, error_count, steps, executed_at)
  select id, segment, status, error_count, steps, ${NOW}
  from run
  where segment > 0
), new_message as (
  select m.id, run.environment_id, step.channel_id, step.channel_type, run.collection, run.recipient_id, run.tenant,
         run.workflow_run_id, run.id as run_id, run.key, run.version_id, step.ref, m.status, m.content, m.data,
         m.event_id, m.event_type, to_timestamp(m.scheduled_ms / 1000) as scheduled_at, m.batch
  from unnest(${p(23)}::uuid[], ${p(24)}::int[], ${p(25)}::int[], ${p(26)}::json[], ${p(27)}::smallint[],
              ${p(28)}::jsonb[], ${p(29)}::uuid[], ${p(30)}::smallint[], ${p(38)}::double precision[],
              ${p(39)}::jsonb[])
    as m(id, run, step, content, status, data, event_id, event_type, scheduled_ms, batch)
  join run on run.n = m.run
  join unnest(${p(31)}::uuid[], ${p(32)}::smallint[], ${p(33)}::text[])
    with ordinality as step(channel_id, channel_type, ref, n) on step.n = m.step
), messages as (
  insert into message
    (id, environment_id, channel_id, channel_type, collection, recipient_id, tenant, workflow_run_id,
     recipient_run_id, workflow_key, version_id, step_ref, status, content, trigger_data, inserted_at, scheduled_at,
     batch)
  select id, environment_id, channel_id, channel_type, collection, recipient_id, tenant, workflow_run_id,
         run_id, key, version_id, ref, status, content, data, ${arrivesAt}, scheduled_at, batch
  from new_message
), events as (
  insert into message_event (id, message_id, environment_id, type, inserted_at)
  select event_id, id, environment_id, event_type, ${NOW}
  from new_message
), signals as (
  ${signalsSql(EVENTS)}
), webhooks as (
  ${webhookEventsSql(TOLD, NOW)}
), chunks as (
  ${insertChunksSql(1)}
)
select 1`;

const TEXT_WITH_PACKS = TEXT.replace(
  /select 1$/,
  () => `, packs as (
  ${insertPacksSql(FIRST + 40)}
)
select 1`,
);

/**
 * The statement that writes `Results` of one slot. It fails with 22012 when one of its chunks is gone, or when
 * the orders in force are not those that it was evaluated under.
 */
export function writeResults(slot: number, results: Results): Statement {
  if (hasPacks(results)) {
    const text = TEXT_WITH_PACKS.replaceAll('SLOT', String(slot));
    return { name: `write_results_packs_${slot}`, text };
  }
  return { name: `write_results_${slot}`, text: TEXT.replaceAll('SLOT', String(slot)) };
}
