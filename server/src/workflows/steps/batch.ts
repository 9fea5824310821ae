import { Type } from 'typebox';
import type { JsonObject } from '../../lib/json.ts';
import { conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import { activityOf } from '../scope.ts';
import type {
  BatchQuestion,
  ClosedBatch,
  Effect,
  Problem,
  RunScope,
  StepDefinition,
  StepOutcome,
} from '../step.ts';
import { StepError } from '../step-error.ts';
import { addDuration, parseDuration } from '../timestamps.ts';
import { compiledConditions, isSet, stepFields } from './channel-step.ts';
import { compileKeySetting, keySettingProblems } from './key-setting.ts';
import { objectField } from './step-template.ts';
import { compileWindow, durationSetting, windowProblems } from './window-setting.ts';

const MAX_DAYS = 365;
/** Twelve months may have a leap day in them. */
const MAX_MS = (MAX_DAYS + 1) * 86_400_000;
const FIELDS = { duration: 'batch_window', path: 'batch_until_field_path', maxDays: MAX_DAYS };
const RENDERED = 10;

/**
 * Collects what happens to a recipient in a window that the first run opens. That run waits for its end and goes on
 * with all that joined; the others end. Without a usable window the step is skipped.
 */
export const batchStep: StepDefinition = {
  type: 'batch',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('batch'),
    settings: Type.Object({
      batch_window: nullable(durationSetting),
      batch_until_field_path: nullable(Type.String()),
      batch_key: nullable(Type.String()),
      batch_window_type: nullable(Type.Enum(['fixed', 'sliding'])),
      batch_window_extension_limit: nullable(durationSetting),
      batch_order: nullable(Type.Enum(['asc', 'desc'])),
      batch_execution_mode: nullable(Type.Enum(['accumulate', 'flush_leading'])),
      batch_items_max_limit: nullable(Type.Integer({ minimum: 2, maximum: 1000 })),
      batch_items_render_limit: nullable(Type.Integer({ minimum: 1, maximum: 100 })),
      workflow_version_mode: nullable(Type.Enum(['pinned', 'latest'])),
    }),
  }),

  problems: (step, path, environment) => {
    const settings = objectField(step, 'settings');
    return [
      ...conditionProblems(step.conditions, `${path}.conditions`),
      ...windowProblems(settings, `${path}.settings`, FIELDS),
      ...slidingProblems(settings, `${path}.settings`),
      ...keySettingProblems(settings, 'batch_key', `${path}.settings`, environment),
    ];
  },

  compile: (step, environment) => {
    const settings = objectField(step, 'settings');
    const ref = String(step.ref);
    const duration = parseDuration(settings.batch_window);
    const end = compileWindow(duration, settings.batch_until_field_path);
    // The end that a path gives is never moved.
    const slides =
      settings.batch_window_type === 'sliding' && !isSet(settings.batch_until_field_path);
    const extension = slides ? parseDuration(settings.batch_window_extension_limit) : undefined;
    const limit = settings.batch_items_max_limit;
    const isShortening =
      extension !== undefined &&
      duration !== undefined &&
      addDuration(0, extension) < addDuration(0, duration);
    const keyOf = compileKeySetting(settings, 'batch_key', environment);
    // A step that says nothing is pinned: so the management spec has it.
    const isPinned = settings.workflow_version_mode !== 'latest';
    const join = {
      kind: 'batch',
      op: 'join',
      isPinned,
      isLeadingFlushed: settings.batch_execution_mode === 'flush_leading',
      ...(extension ? { extension } : {}),
      ...(typeof limit === 'number' ? { limit } : {}),
    } as const;
    const close = {
      kind: 'batch',
      op: 'close',
      order: settings.batch_order === 'desc' ? 'desc' : 'asc',
      limit: Number(settings.batch_items_render_limit ?? RENDERED),
    } as const;
    const waits = { ref, isPinned, mayCloseEarly: join.limit !== undefined || isShortening };
    return {
      ref,
      type: 'batch',
      ...compiledConditions(step),
      execute: (input): StepOutcome => {
        const window = end(input);
        if ('reason' in window) throw new StepError('window_missing', window.reason);
        const { untilMs } = window;
        if (untilMs - input.nowMs > MAX_MS) {
          throw new StepError('window_missing', `the window is longer than ${MAX_DAYS} days`);
        }
        const key = keyOf(input.scope);
        const { data } = input.scope;
        return { kind: 'ask', question: { ...join, key, closesMs: untilMs, data } };
      },
      answer: ({ scope }, answer): StepOutcome => {
        if (answer.batch_window !== undefined) {
          const window = Number(answer.batch_window);
          const hasCarrier = answer.has_carrier === true && answer.is_woken !== true;
          return {
            kind: 'ask',
            question: { ...close, window, hasCarrier, isAbandoned: false },
          };
        }
        if (isClosed(answer)) return goOn(answer);
        return answerToJoin(scope, answer, waits);
      },
    };
  },
};

/** After a batch; nobody needs to hear of one from which everything was taken out. */
function goOn({ batch, activities, data }: ClosedBatch): StepOutcome {
  const { totalActivities } = batch;
  if (totalActivities === 0) {
    return { kind: 'halt', reason: 'every activity of the batch was cancelled' };
  }
  const reason = `the batch is closed with ${totalActivities} activities`;
  return { kind: 'continue', reason, batch, activities, data };
}

type Waits = { readonly ref: string; readonly isPinned: boolean; readonly mayCloseEarly: boolean };

/** What a run does that has joined, or came too early to close. */
function answerToJoin(scope: RunScope, answer: JsonObject, waits: Waits): StepOutcome {
  if (answer.isGone === true) return { kind: 'gone' };
  if (answer.isEarly === true) return park(answer, answer.hasCarrier === true, waits, []);
  if (answer.leads === true) {
    const activities = [activityOf(scope.data, scope.actor, scope.recipient)];
    const actors = scope.actor ? [scope.actor] : [];
    return {
      kind: 'continue',
      reason: 'the first of a batch goes on at once',
      activities: { activities, actors, totalActivities: 1, totalActors: actors.length },
    };
  }
  const effects = wakesOf(answer);
  if (answer.joined !== undefined) {
    return { kind: 'halt', reason: 'joined the batch', effects };
  }
  return park(answer, waits.mayCloseEarly && answer.isDone !== true, waits, effects);
}

/** Waits for the end of a window. `hasCarrier`: until then somebody else may wake the run. */
function park(
  answer: JsonObject,
  hasCarrier: boolean,
  { ref, isPinned }: Waits,
  effects: readonly Effect[],
): StepOutcome {
  const window = Number(answer.carries);
  const untilMs = Number(answer.untilMs);
  const claim: BatchQuestion = {
    kind: 'batch',
    op: 'close',
    window,
    order: 'asc',
    limit: 0,
    hasCarrier,
    isAbandoned: true,
  };
  return {
    kind: 'wait',
    untilMs,
    reason: `for more activities until ${new Date(untilMs).toISOString()}`,
    answer: {
      batch_window: window,
      ...(hasCarrier ? { has_carrier: true } : {}),
      ...(isPinned ? {} : { latest: ref }),
    },
    claim,
    effects: hasCarrier ? [...effects, { kind: 'batch', op: 'park', window }] : effects,
  };
}

function wakesOf({ wakes }: JsonObject): Effect[] {
  if (!Array.isArray(wakes)) return [];
  return wakes.map((wake: JsonObject) => ({
    kind: 'batch',
    op: 'wake',
    window: wake.window ?? null,
    dueMs: wake.dueMs ?? null,
  }));
}

function isClosed(answer: JsonObject): answer is JsonObject & ClosedBatch {
  return answer.batch !== undefined;
}

function slidingProblems(settings: JsonObject, path: string): Problem[] {
  if (settings.batch_window_type !== 'sliding') return [];
  const limit = parseDuration(settings.batch_window_extension_limit);
  const at = `${path}.batch_window_extension_limit`;
  if (!limit) {
    return [{ path: at, reason: 'a sliding window needs it: how long it can be open at most' }];
  }
  const length = addDuration(0, limit);
  if (length > 0 && length <= MAX_MS) return [];
  return [{ path: at, reason: `must be from 1 second to ${MAX_DAYS} days` }];
}
