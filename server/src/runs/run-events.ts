import type { Json, JsonObject } from '../lib/json.ts';
import { ksuidFromUuid } from '../lib/ksuid.ts';

/** What happened at one step of a run. */
export type RunEvent = {
  readonly __typename: 'WorkflowRecipientRunEvent';
  readonly id: string;
  readonly event: string;
  readonly status: 'ok' | 'error';
  readonly step_ref: string | null;
  readonly step_type: string | null;
  readonly attempt: number;
  readonly data: JsonObject;
  readonly inserted_at: string;
};

/** What one execution of a run wrote: its first one is segment 0. */
export type Segment = {
  readonly segment: number;
  readonly executed_at: Date;
  readonly steps: readonly StepRecord[];
};

export type StepRecord = {
  readonly step_ref: string;
  readonly step_type: string;
  readonly outcome: string;
  readonly reason?: string;
  readonly attempt?: number;
};

export type RunMessage = {
  readonly id: string;
  readonly step_ref: string;
  readonly channel_type: string;
  readonly inserted_at: Date;
  readonly deliveries: readonly Delivery[];
};

/** One call of a message's provider. */
export type Delivery = {
  readonly attempt: number;
  /** As the message's status after it: `sent`, `delivery_attempted`. */
  readonly status: string;
  readonly provider: string;
  readonly detail: Json;
  readonly attempted_at: Date;
};

/** Names of outcomes on the wire. */
const EVENTS: Readonly<Record<string, string>> = {
  message: 'message_enqueued',
  skipped: 'step_skipped',
  waiting: 'step_waiting',
  continued: 'step_completed',
  halted: 'run_halted',
  error: 'step_failed',
};

/**
 * The trace of a run as events, oldest first: what its steps did, a message each where they sent several, and every
 * delivery of its messages.
 */
export function runEvents(
  runId: string,
  segments: readonly Segment[],
  messages: readonly RunMessage[],
): RunEvent[] {
  const events = segments.flatMap(({ segment, executed_at, steps }) =>
    steps.flatMap((step, index) => {
      const sent =
        step.outcome === 'message'
          ? messages.filter(({ step_ref: ref }) => ref === step.step_ref)
          : [];
      return (sent.length > 0 ? sent : [undefined]).map(
        (message, n): RunEvent => ({
          __typename: 'WorkflowRecipientRunEvent',
          id: `${runId}-${segment}-${index}${n === 0 ? '' : `-${n}`}`,
          event: EVENTS[step.outcome] ?? step.outcome,
          status: step.outcome === 'error' ? 'error' : 'ok',
          step_ref: step.step_ref,
          step_type: step.step_type,
          attempt: step.attempt ?? 1,
          data: eventData(step, message),
          inserted_at: executed_at.toISOString(),
        }),
      );
    }),
  );
  const deliveries = messages.flatMap(deliveryEvents);
  // Stable: what happened at the same millisecond stays in the order of the steps.
  return [...events, ...deliveries].sort((a, b) =>
    a.inserted_at < b.inserted_at ? -1 : a.inserted_at > b.inserted_at ? 1 : 0,
  );
}

function eventData(step: StepRecord, message: RunMessage | undefined): JsonObject {
  return {
    ...(step.reason === undefined ? {} : { reason: step.reason }),
    ...(message
      ? { message_id: ksuidFromUuid(message.id), channel_type: message.channel_type }
      : {}),
  };
}

const FAILURES = new Set(['delivery_attempted', 'undelivered', 'bounced']);

function deliveryEvents(message: RunMessage): RunEvent[] {
  const messageId = ksuidFromUuid(message.id);
  return message.deliveries.map(({ attempt, status, provider, detail, attempted_at: at }) => ({
    __typename: 'WorkflowRecipientRunEvent',
    id: `${messageId}-${attempt}`,
    event: `message_${status}`,
    status: FAILURES.has(status) ? 'error' : 'ok',
    step_ref: message.step_ref,
    step_type: 'channel',
    attempt,
    data: { message_id: messageId, channel_type: message.channel_type, provider, detail },
    inserted_at: at.toISOString(),
  }));
}
