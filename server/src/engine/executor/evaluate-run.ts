import type { PackPolicy } from '../../bodies/packs.ts';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
import type { Memberships } from '../../recipients/memberships.ts';
import { preferenceRefusal } from '../../recipients/preference-decision.ts';
import { effectivePreferences, tenantPreferenceSet } from '../../recipients/preference-layers.ts';
import type { CompiledWorkflow } from '../../workflows/compiled-workflow.ts';
import { conditionListOf } from '../../workflows/condition-cache.ts';
import { explainConditions } from '../../workflows/conditions.ts';
import { type BatchScope, runScope } from '../../workflows/scope.ts';
import type { BatchOfRun, Effect, Question, RunScope } from '../../workflows/step.ts';
import type { StepSecrets } from '../../workflows/step-secrets.ts';
import {
  type ChunkRun,
  type ChunkTrigger,
  dataOfRun,
  type FanOut,
  isResumed,
  mayBeStopped,
  type ObjectReference,
  type RunState,
} from '../log/chunk.ts';
import { RUN_STATUS, type RunStatus } from '../status.ts';
import { type Advanced, advanceRun, type RunResult, type StepRecord } from './advance-run.ts';
import type { EnvironmentDefaults } from './environment-defaults.ts';
import type { MessageRefs } from './load-message-status.ts';
import { collectionOf, idOf, type LoadedRecipient } from './load-recipients.ts';
import type { LookUps, WantedIn } from './look-ups.ts';
import { type RecipientLinks, withLinks } from './recipient-links.ts';

/** What the runs of an assignment need beside the slices; looked up, never waited for. */
export type Surroundings = RecipientLinks & {
  readonly nowMs: number;
  /** The number of the orders that the slices' triggers were compared with. */
  readonly ordersVersion: number;
  readonly workflow: (versionId: number) => CompiledWorkflow | Error;
  /** Contents leave their messages for an object store; absent: they stay. */
  readonly bodies?: PackPolicy;
  /** With the recipient's preferences for a tenant, where the run has one. */
  readonly recipient: (
    environmentId: number,
    collection: string,
    id: string,
    tenant: string | null,
  ) => LoadedRecipient;
  /** What templates see as `vars`, without a tenant's branding. */
  readonly vars: (environmentId: number) => JsonObject;
  /** What requests have beside them. */
  readonly secrets: (environmentId: number) => StepSecrets | undefined;
  readonly environmentDefaults: (environmentId: number) => EnvironmentDefaults;
  /** Why a run that was paused must not go on, or undefined. */
  readonly stopped: (
    environmentId: number,
    trigger: ChunkTrigger,
    run: ChunkRun,
  ) => string | undefined;
  /** Audiences of those that conditions ask about; absent: none asks. */
  readonly memberships?: Memberships;
  /** What resumed runs find of the messages of their steps; absent: none asks. */
  readonly messageRefs?: MessageRefs;
  /** Whom templates name by id. */
  readonly lookUps: LookUps;
  readonly loadLookUps: (wants: readonly WantedIn[]) => Promise<void>;
  /** What a closed batch holds; read for every run that is in one. */
  readonly batch: (batch: BatchOfRun) => BatchScope;
  /** The objects of a trigger that somebody subscribes to. */
  readonly legs: (fan: FanOut) => readonly ObjectReference[];
  /** Lets the process answer others; called when evaluation has taken long. */
  readonly breathe: () => Promise<void>;
  /** Called before each run is evaluated, in careful work only. */
  readonly announce?: (stream: number, sequence: number, index: number) => void;
};

/** Who asks something, or wants to change something. */
export type Asker = {
  readonly environmentId: number;
  /** Where work that comes of it belongs. */
  readonly laneId: number;
  readonly flow: number;
  readonly trigger: ChunkTrigger;
  readonly recipient: ChunkRun[1];
  readonly runId: string;
  /** The step's. */
  readonly ref: string;
};

/** Answers to what runs ask, in their order. What it grants is taken in the transaction of the results. */
export type Ask = (questions: readonly Asked<Question>[]) => Promise<readonly JsonObject[]>;

export type Asked<About extends Question | Effect> = {
  readonly by: Asker;
  readonly about: About;
  /** Of an effect of a run that is parked now: how. */
  readonly parked?: ParkedRun;
};

/** A run that waits, and where its work belongs. */
export type ParkedRun = {
  readonly laneId: number;
  readonly flow: number;
  readonly trigger: ChunkTrigger;
  readonly recipient: ChunkRun[1];
  readonly state: RunState;
};

/** What is computed once for all recipients of a trigger. */
export type SharedByTrigger = {
  readonly trigger: ChunkTrigger;
  readonly environmentId: number;
  readonly workflow: CompiledWorkflow | Error;
  /** Audiences are for conditions; templates do without. */
  readonly scopeFor: (recipient: JsonObject, state: RunState, audiences?: JsonObject) => RunScope;
  readonly defaults: EnvironmentDefaults;
  /** The tenant's default set. */
  readonly tenantPreferences: JsonObject | undefined;
};

export function shareTrigger(
  trigger: ChunkTrigger,
  environmentId: number,
  around: Surroundings,
): SharedByTrigger {
  const workflow = around.workflow(trigger.version);
  const actor =
    trigger.actor === null
      ? null
      : around.recipient(environmentId, collectionOf(trigger.actor), idOf(trigger.actor), null)
          .scope;
  const tenant =
    trigger.tenant === null
      ? null
      : around.recipient(environmentId, '$tenants', trigger.tenant, null).scope;
  const vars = withBranding(around.vars(environmentId), tenant);
  const lookup = around.lookUps.of(environmentId);
  const timestamp = new Date(around.nowMs).toISOString();
  const workflowScope = workflow instanceof Error ? {} : workflow.scope;
  const listsActivity = !(workflow instanceof Error) && workflow.looksAtActivities === true;
  return {
    trigger,
    environmentId,
    workflow,
    defaults: around.environmentDefaults(environmentId),
    tenantPreferences: tenant === null ? undefined : tenantPreferenceSet(tenant),
    scopeFor: (recipient, state, audiences) =>
      runScope({
        recipient: state.sub
          ? withSubscription(recipient, state.sub, environmentId, around)
          : recipient,
        actor,
        tenant,
        data: dataOfRun(trigger, state),
        workflow: workflowScope,
        vars,
        timestamp,
        listsActivity,
        ...refsOf(state, around),
        ...(audiences ? { audiences } : {}),
        lookup,
        ...(state.batch ? { batch: around.batch(state.batch) } : {}),
      }),
  };
}

/** A tenant's branding over the account's, field by field. */
function withBranding(vars: JsonObject, tenant: JsonObject | null): JsonObject {
  const settings = tenant?.settings;
  if (!isJsonObject(settings) || !isJsonObject(settings.branding)) return vars;
  const { branding } = vars;
  const own = Object.entries(settings.branding).filter(([, value]) => value !== null);
  return {
    ...vars,
    branding: { ...(isJsonObject(branding) ? branding : {}), ...Object.fromEntries(own) },
  };
}

/** A run, from where it stands as far as it goes without asking anybody. */
export function evaluateRun(
  run: ChunkRun,
  state: RunState,
  common: SharedByTrigger,
  around: Surroundings,
): Advanced {
  const { trigger, environmentId, workflow } = common;
  if (workflow instanceof Error) {
    const record = {
      step_ref: 'run',
      step_type: 'run',
      outcome: 'error',
      reason: workflow.message,
    } as const;
    return claimed(state, ended(RUN_STATUS.completed, 1, [record]));
  }
  const { tenant } = trigger;
  const recipient = around.recipient(environmentId, collectionOf(run[1]), idOf(run[1]), tenant);
  const isNobodys = wasDeleted(recipient, trigger, state);
  const stopped =
    (mayBeStopped(trigger, state) ? around.stopped(environmentId, trigger, run) : undefined) ??
    (isNobodys ? 'recipient_deleted' : undefined);
  if (stopped !== undefined) {
    const record = {
      step_ref: 'run',
      step_type: 'run',
      outcome: 'halted',
      reason: stopped,
    } as const;
    const result = ended(RUN_STATUS.cancelled, 0, [record]);
    return claimed(state, isNobodys ? { ...result, isNobodys } : result);
  }
  const preferences = effectivePreferences({
    environment: common.defaults.preferences,
    tenant: common.tenantPreferences,
    recipient: recipient.preferences,
    recipientForTenant: recipient.tenantPreferences,
  });
  const { key: workflowKey, categories } = workflow;
  const isCommercial = workflow.scope.commercial === true;
  const scope = common.scopeFor(recipient.scope, state, audiencesOf(run, common, around));
  const secrets = around.secrets(environmentId);
  const advanced = advanceRun({
    workflow,
    scope: withLinks(scope, { environmentId, recipient: run[1], workflow }, around),
    settings: trigger.settings,
    isFirst: !isResumed(state),
    step: state.step ?? 0,
    attempt: state.attempt ?? 0,
    ...(state.answer ? { answer: state.answer } : {}),
    isOfBatch: state.batch !== undefined,
    ...(state.merged === undefined ? {} : { merged: state.merged }),
    nowMs: around.nowMs,
    ...(recipient.channelData ? { channelData: recipient.channelData } : {}),
    ...(secrets ? { secrets } : {}),
    timezone: common.defaults.timezone,
    refusal: (channel, seen, isOfBatch) =>
      preferenceRefusal({
        preferences,
        tenant,
        workflowKey,
        categories,
        channelType: channel.type,
        channelId: channel.id,
        isCommercial,
        falseCondition: (conditions) =>
          explainConditions(
            conditionListOf(conditions),
            isOfBatch ? { ...seen, data: firstData(seen, state, trigger) } : seen,
          ),
      }),
  });
  return claimed(state, advanced);
}

/** After the trigger; deletions until a batch was closed took their activities out of it. */
function wasDeleted(
  { deletedMs }: LoadedRecipient,
  trigger: ChunkTrigger,
  state: RunState,
): boolean {
  return deletedMs !== undefined && trigger.at < deletedMs && deletedMs > settledUntil(state);
}

/** Until when cancellations of a run are accounted for: by the batch that it is in, or came out of. */
export function settledUntil(state: RunState | undefined): number {
  if (state?.answer?.batch_window !== undefined) return Number.POSITIVE_INFINITY;
  return state?.batch?.closedMs ?? Number.NEGATIVE_INFINITY;
}

/**
 * A result as it is, where nobody else can have woken the run; otherwise after the claim is asked. A step that was
 * woken asks by itself.
 */
export function claimed({ claim }: RunState, advanced: Advanced): Advanced {
  if (!claim) return advanced;
  if (advanced.kind === 'needing') {
    return { ...advanced, go: () => claimed({ claim }, advanced.go()) };
  }
  if (advanced.kind !== 'result') return advanced;
  return {
    kind: 'asking',
    stepRef: claim.ref,
    question: claim.question,
    go: (reply) => (reply.taken === true ? advanced : { kind: 'gone' }),
  };
}

/** The data of a batch's first activity; where that was not read, of the trigger that opened the batch. */
function firstData(
  { activities, run }: RunScope,
  state: RunState,
  trigger: ChunkTrigger,
): JsonObject {
  const isRead = state.batch?.order === 'asc' || activities.length === run.total_activities;
  const data = isRead ? activities[0]?.data : undefined;
  return isJsonObject(data) ? data : trigger.data;
}

function refsOf(state: RunState, around: Surroundings): { readonly refs?: JsonObject } {
  if (state.messages && around.messageRefs) {
    return { refs: { ...state.refs, ...around.messageRefs(state) } };
  }
  return state.refs ? { refs: state.refs } : {};
}

/** In which of the audiences that the workflow asks for the recipient and the actor are. */
export function audiencesOf(
  run: ChunkRun,
  { trigger, environmentId }: SharedByTrigger,
  { memberships }: Surroundings,
): JsonObject | undefined {
  if (!memberships) return undefined;
  const { actor, tenant } = trigger;
  const of = (reference: ChunkRun[1]): JsonObject =>
    memberships(environmentId, collectionOf(reference), idOf(reference), tenant);
  return { recipient: of(run[1]), actor: actor === null ? {} : of(actor) };
}

/** `recipient.subscription`: its properties, and the object. */
function withSubscription(
  recipient: JsonObject,
  [[collection, id], properties]: NonNullable<RunState['sub']>,
  environmentId: number,
  around: Surroundings,
): JsonObject {
  const object = around.recipient(environmentId, collection, id, null).scope;
  return { ...recipient, subscription: { ...properties, object } };
}

/** A run that was not taken through its steps. */
export function ended(
  status: RunStatus,
  errorCount: number,
  steps: readonly StepRecord[],
): RunResult {
  return { kind: 'result', status, errorCount, steps, messages: [], effects: [] };
}
