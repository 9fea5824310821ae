import { randomUUID } from 'node:crypto';
import { Agent, request } from 'undici';
import { seededRandom } from '../random.ts';
import { waitMs, wallClockMs } from '../wall-clock.ts';
import type { Caller, LoadOptions, LoadPhase, LoadSummary, SampleRow } from './protocol.ts';

const RETRY_MS = 250;
const GIVE_UP_MS = 60_000;
const TICK_MS = 1;

/** A trigger and what became of it. */
export type Sample = {
  /** Its place among all that this sender sent; its data has it as `drill`. */
  readonly number: number;
  readonly phase: string;
  readonly caller: number;
  readonly dueMs: number;
  readonly sentMs: number;
  readonly runs: number;
  answeredMs: number | null;
  deliveredMs: number | null;
  refusals: number;
  refusedBecause: string | null;
  workflowRunId: string | null;
};

export type Sender = {
  readonly run: (phase: LoadPhase) => Promise<LoadSummary>;
  /** Ends the phase that is running. */
  readonly stop: () => void;
  readonly close: () => Promise<void>;
};

/**
 * Open loop: each trigger has its time on a timetable that knows nothing of the answers, and its latency
 * counts from there, so that a stall of the server, or of this process, is not hidden by sending later.
 */
export function createSender(
  options: LoadOptions,
  hooks: {
    readonly sending: (sample: Sample) => void;
    readonly accepted: (sample: Sample) => void;
    /** It will not be delivered. */
    readonly givenUp: (sample: Sample) => void;
  },
): Sender {
  const agent = new Agent({ connections: options.connections, pipelining: 1 });
  let numbered = 0;
  const nextUser = options.callers.map(() => 0);
  let underWay = 0;
  let stopped = false;

  const send = async (sample: Sample, caller: Caller): Promise<void> => {
    const first = nextUser[sample.caller] ?? 0;
    nextUser[sample.caller] = (first + sample.runs) % caller.users;
    const body = triggerBody(caller, first, sample);
    const key = options.careful ? randomUUID() : undefined;
    for (;;) {
      const answer = await post(caller, body, key);
      if (answer.accepted !== undefined) {
        sample.answeredMs = wallClockMs();
        sample.workflowRunId = answer.accepted;
        hooks.accepted(sample);
        return;
      }
      sample.refusals += 1;
      sample.refusedBecause = answer.refused;
      if (!options.careful || wallClockMs() - sample.dueMs > GIVE_UP_MS) break;
      await waitMs(RETRY_MS);
    }
    hooks.givenUp(sample);
  };

  /** The workflow run's id, or why there is none: the error's code. */
  const post = async (
    caller: Caller,
    body: string,
    idempotencyKey: string | undefined,
  ): Promise<PostAnswer> => {
    try {
      const response = await request(`${options.url}/v1/workflows/${caller.workflowKey}/trigger`, {
        method: 'POST',
        dispatcher: agent,
        headers: {
          authorization: `Bearer ${caller.secretKey}`,
          'content-type': 'application/json',
          ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        },
        body,
      });
      const answer = JSON.parse(await response.body.text()) as {
        readonly workflow_run_id?: string;
        readonly code?: string;
      };
      return {
        accepted: response.statusCode === 200 ? answer.workflow_run_id : undefined,
        refused: `${response.statusCode} ${answer.code}`,
      };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : error;
      return { accepted: undefined, refused: String(code) };
    }
  };

  return {
    run: async (phase) => {
      stopped = false;
      const random = seededRandom(phase.seed);
      const startedMs = wallClockMs();
      const count = Math.round(phase.perSecond * (phase.seconds ?? Number.POSITIVE_INFINITY));
      const pending = new Set<Promise<void>>();
      let sent = 0;
      let unsent = 0;
      let n = 0;
      for (; n < count && !stopped; n++) {
        // A place within its share of the second, so that the timetable has no beat.
        const dueMs = startedMs + ((n + random()) * 1_000) / phase.perSecond;
        while (!stopped && wallClockMs() < dueMs) await waitMs(TICK_MS);
        const position = n % options.callers.length;
        const caller = options.callers[position];
        if (stopped || !caller) break;
        if (underWay >= options.maxUnderWay) {
          unsent += 1;
          // A turn of the event loop, in which answers come in.
          if (unsent % 64 === 0) await waitMs(TICK_MS);
          continue;
        }
        const sample: Sample = {
          number: numbered++,
          phase: phase.name,
          caller: position,
          dueMs,
          sentMs: wallClockMs(),
          runs: phase.runs,
          answeredMs: null,
          deliveredMs: null,
          refusals: 0,
          refusedBecause: null,
          workflowRunId: null,
        };
        hooks.sending(sample);
        sent += 1;
        underWay += 1;
        const work = send(sample, caller).finally(() => {
          underWay -= 1;
          pending.delete(work);
        });
        pending.add(work);
      }
      const endedMs = wallClockMs();
      const due = Math.floor(((endedMs - startedMs) * phase.perSecond) / 1_000);
      unsent += Math.max(0, Math.min(due, count) - n);
      await Promise.all(pending);
      return { phase: phase.name, startedMs, endedMs, sent, unsent };
    },
    stop: () => {
      stopped = true;
    },
    close: () => agent.close(),
  };
}

type PostAnswer = { readonly accepted: string | undefined; readonly refused: string };

/** What a trigger carries: a few fields of data and its recipients by id. */
function triggerBody(caller: Caller, first: number, { runs, number }: Sample): string {
  const recipients = Array.from(
    { length: runs },
    (_, i) => `${caller.recipientPrefix}-${((first + i) % caller.users) + 1}`,
  );
  return JSON.stringify({
    recipients,
    data: { amount: 42, actor_name: 'Ada', drill: number },
  });
}

export function sampleRow(sample: Sample): SampleRow {
  const { phase, caller, dueMs, sentMs, answeredMs, deliveredMs } = sample;
  const { refusals, refusedBecause, runs, workflowRunId } = sample;
  return [
    ...([phase, caller, dueMs, sentMs, answeredMs, deliveredMs] as const),
    ...([refusals, refusedBecause, runs, workflowRunId] as const),
  ];
}
