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

/** The trace of a run as events, oldest first. */
export function runEvents(
  runId: string,
  segments: readonly Segment[],
  messages: readonly RunMessage[],
): RunEvent[] {
  return segments.flatMap(({ segment, executed_at, steps }) =>
    steps.map((step, index) => ({
      __typename: 'WorkflowRecipientRunEvent' as const,
      id: `${runId}-${segment}-${index}`,
      event: EVENTS[step.outcome] ?? step.outcome,
      status: step.outcome === 'error' ? ('error' as const) : ('ok' as const),
      step_ref: step.step_ref,
      step_type: step.step_type,
      attempt: step.attempt ?? 1,
      data: eventData(step, messages),
      inserted_at: executed_at.toISOString(),
    })),
  );
}

function eventData(step: StepRecord, messages: readonly RunMessage[]): JsonObject {
  const data: Record<string, Json> = {};
  if (step.reason !== undefined) data.reason = step.reason;
  const message =
    step.outcome === 'message'
      ? messages.find(({ step_ref }) => step_ref === step.step_ref)
      : undefined;
  if (message) {
    data.message_id = ksuidFromUuid(message.id);
    data.channel_type = message.channel_type;
  }
  return data;
}
