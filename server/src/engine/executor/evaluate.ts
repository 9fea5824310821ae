import { channelTypeNumber } from '../../channels/channel-type.ts';
import { messageEventTypes } from '../../feed/message-event-type.ts';
import { addressesOf, MAX_MESSAGE_PARTS } from '../../lib/address.ts';
import { deepMerge, type JsonObject } from '../../lib/json.ts';
import { decidePreference } from '../../recipients/preference-decision.ts';
import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import { compileConditionList } from '../../workflows/conditions.ts';
import { runScope } from '../../workflows/scope.ts';
import type { RunScope } from '../../workflows/step.ts';
import type { FeedChange } from '../engine.ts';
import {
  type ChunkRun,
  type ChunkTrigger,
  environmentOfLane,
  isResumed,
  type NewChunk,
  type RunState,
  type RunsBody,
  SLICE_RUNS,
  USERS,
} from '../log/chunk.ts';
import { MESSAGE_STATUS, RUN_STATUS } from '../status.ts';
import { advanceRun, type RunResult, type StepRecord } from './advance-run.ts';
import type { DecodedChunk } from './chunk-cache.ts';
import { collectionOf, idOf, type LoadedRecipient } from './load-recipients.ts';
import { PausedRuns, QueuedDeliveries } from './products.ts';
import { Results } from './results.ts';
import { type GovernedTriggers, RunsAside } from './set-aside.ts';

/** A slice with all that its runs need, in the order of the chunk. */
export type PreparedSlice = {
  readonly stream: number;
  readonly sequence: number;
  readonly slice: number;
  readonly chunk: DecodedChunk<RunsBody>;
  readonly skip: readonly number[];
  /** Not evaluated: their runs are set aside. */
  readonly governed: GovernedTriggers;
};

/** What the runs of an assignment need beside the slices; looked up, never waited for. */
export type Surroundings = {
  readonly nowMs: number;
  /** The number of the orders that the slices' triggers were compared with. */
  readonly ordersVersion: number;
  readonly workflow: (versionId: number) => CompiledWorkflow | Error;
  readonly recipient: (environmentId: number, collection: string, id: string) => LoadedRecipient;
  readonly environmentPreferences: (environmentId: number) => JsonObject | undefined;
  /** Why a run that was paused must not go on, or undefined. */
  readonly stopped: (
    environmentId: number,
    trigger: ChunkTrigger,
    run: ChunkRun,
  ) => string | undefined;
  /** Lets the process answer others; called when evaluation has taken long. */
  readonly breathe: () => Promise<void>;
  /** Called before each run is evaluated, in careful work only. */
  readonly announce?: (stream: number, sequence: number, index: number) => void;
};

export type Evaluation = {
  readonly results: Results;
  /** Deliveries, waits, retries, and what is set aside. */
  readonly chunks: readonly NewChunk[];
  readonly feeds: readonly FeedChange[];
};

/**
 * How long evaluation may keep the process from anything else, but for one run's own time. Short, because a
 * small assignment that comes meanwhile has its turn then; it costs microseconds.
 */
const BREATH_MS = 10;

const NO_STATE: RunState = {};
const EVENT_PARTS = MAX_MESSAGE_PARTS / 2;
const POISONED: readonly StepRecord[] = [
  {
    step_ref: 'run',
    step_type: 'run',
    outcome: 'error',
    reason: 'this run could not be evaluated or stored; the log has a line with its id',
  },
];

/** Evaluates slices: no I/O, everything that happens is in the result. */
export async function evaluate(
  slices: readonly PreparedSlice[],
  around: Surroundings,
): Promise<Evaluation> {
  let breathedAtMs = performance.now();
  const results = new Results();
  const feeds: FeedChange[] = [];
  const deliveries = new QueuedDeliveries();
  const paused = new PausedRuns();
  const aside = new RunsAside();

  for (const { stream, sequence, slice, chunk, skip, governed } of slices) {
    const { triggers, runs } = chunk.body;
    const environmentId = environmentOfLane(chunk.laneId);
    const triggerNumbers: number[] = [];
    const shared: (SharedByTrigger | undefined)[] = [];
    const from = slice * SLICE_RUNS;
    const to = Math.min(from + SLICE_RUNS, runs.length);
    const runId = addressesOf(chunk.acceptedMs, stream, sequence);
    const productId = addressesOf(around.nowMs, stream, sequence);
    let failed = 0;
    let setAside = 0;
    for (let index = from; index < to; index++) {
      const run = runs[index];
      const trigger = run && triggers[run[0]];
      if (!run || !trigger) continue;
      if (performance.now() - breathedAtMs > BREATH_MS) {
        await around.breathe();
        breathedAtMs = performance.now();
      }
      const state = run[2] ?? NO_STATE;
      const id = state.id ?? runId(index, 0);
      const rule = governed.get(run[0]);
      if (rule) {
        aside.add(rule, { stream, sequence }, chunk, trigger, run[1], state, id);
        setAside += 1;
        continue;
      }
      around.announce?.(stream, sequence, index);
      shared[run[0]] ??= shareTrigger(trigger, environmentId, around);
      const common = shared[run[0]];
      if (!common) continue;
      const result = skip.includes(index)
        ? { status: RUN_STATUS.completed, errorCount: 1, steps: POISONED, messages: [] }
        : evaluateRun(run, state, common, around);
      if (result.status === RUN_STATUS.completed && result.errorCount > 0) failed += 1;

      triggerNumbers[run[0]] ??= results.addTrigger(trigger, environmentId);
      const collection = collectionOf(run[1]);
      const recipientId = idOf(run[1]);
      const runNumber = results.addRun(
        triggerNumbers[run[0]] ?? 0,
        id,
        collection,
        recipientId,
        result.status,
        result.errorCount,
        JSON.stringify(result.steps),
        state.segment ?? 0,
      );
      result.messages.forEach((message, part) => {
        const messageId = productId(index, part + 1);
        const eventId = productId(index, part + 1 + EVENT_PARTS);
        const inApp = message.channelType === 'in_app_feed';
        const outcome = inApp
          ? 'delivered'
          : trigger.settings.sandbox_mode === true
            ? 'not_sent'
            : 'queued';
        results.addMessage(
          runNumber,
          messageId,
          {
            ref: message.stepRef,
            channelId: message.channelId,
            channelType: channelTypeNumber(message.channelType),
          },
          JSON.stringify(message.content),
          MESSAGE_STATUS[outcome],
          state.data === undefined ? null : JSON.stringify(state.data),
          { id: eventId, type: messageEventTypes[outcome] },
        );
        if (inApp && collection === USERS) {
          feeds.push({ environmentId, channelId: message.channelId, userId: recipientId });
        } else if (outcome === 'queued') {
          deliveries.add(chunk, messageId);
        }
      });
      if (result.resume) paused.add(chunk, trigger, run[1], state, id, result.resume);
    }
    results.addReceipt(stream, sequence, slice, to - from - setAside - failed, failed);
  }
  const chunks = [...deliveries.chunks(), ...paused.chunks(), ...aside.chunks()];
  return { results, feeds, chunks };
}

/** What is computed once for all recipients of a trigger. */
type SharedByTrigger = {
  readonly trigger: ChunkTrigger;
  readonly environmentId: number;
  readonly workflow: CompiledWorkflow | Error;
  readonly scopeFor: (recipient: JsonObject, data: JsonObject | undefined) => RunScope;
  readonly preferences: JsonObject | undefined;
};

function shareTrigger(
  trigger: ChunkTrigger,
  environmentId: number,
  around: Surroundings,
): SharedByTrigger {
  const workflow = around.workflow(trigger.version);
  const actor =
    trigger.actor === null
      ? null
      : around.recipient(environmentId, collectionOf(trigger.actor), idOf(trigger.actor)).scope;
  const tenant =
    trigger.tenant === null
      ? null
      : around.recipient(environmentId, '$tenants', trigger.tenant).scope;
  const timestamp = new Date(around.nowMs).toISOString();
  const workflowScope = workflow instanceof Error ? {} : workflow.scope;
  return {
    trigger,
    environmentId,
    workflow,
    preferences: around.environmentPreferences(environmentId),
    scopeFor: (recipient, data) =>
      runScope({
        recipient,
        actor,
        tenant,
        data: data === undefined ? trigger.data : deepMerge(trigger.data, data),
        workflow: workflowScope,
        vars: {},
        timestamp,
      }),
  };
}

function evaluateRun(
  run: ChunkRun,
  state: RunState,
  common: SharedByTrigger,
  around: Surroundings,
): RunResult {
  const { trigger, environmentId, workflow } = common;
  if (workflow instanceof Error) {
    const record = {
      step_ref: 'run',
      step_type: 'run',
      outcome: 'error',
      reason: workflow.message,
    } as const;
    return { status: RUN_STATUS.completed, errorCount: 1, steps: [record], messages: [] };
  }
  const stopped = isResumed(state) ? around.stopped(environmentId, trigger, run) : undefined;
  if (stopped !== undefined) {
    const record = {
      step_ref: 'run',
      step_type: 'run',
      outcome: 'halted',
      reason: stopped,
    } as const;
    return { status: RUN_STATUS.cancelled, errorCount: 0, steps: [record], messages: [] };
  }
  const recipient = around.recipient(environmentId, collectionOf(run[1]), idOf(run[1]));
  const scope = common.scopeFor(recipient.scope, state.data);
  const sets = preferenceSets(recipient.preferences, common.preferences);
  return advanceRun({
    workflow,
    scope,
    settings: trigger.settings,
    step: state.step ?? 0,
    attempt: state.attempt ?? 0,
    nowMs: around.nowMs,
    refusal: (channel) => {
      const decision = decidePreference({
        sets,
        workflowKey: workflow.key,
        categories: workflow.categories,
        channelType: channel.type,
        channelId: channel.id,
        evaluate: (conditions) => compileConditionList(conditions)(scope),
      });
      return decision.send ? undefined : decision.reason;
    },
  });
}

const NO_SETS: readonly JsonObject[] = [];

/** The most particular first. */
function preferenceSets(
  own: JsonObject | undefined,
  environment: JsonObject | undefined,
): readonly JsonObject[] {
  if (own === undefined) return environment === undefined ? NO_SETS : [environment];
  return environment === undefined ? [own] : [own, environment];
}
