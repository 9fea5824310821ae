import { Type } from 'typebox';
import { conditionProblems } from '../conditions.ts';
import { parsePath, resolvePath } from '../paths.ts';
import { nullable } from '../schema-problems.ts';
import type { Problem, StepDefinition, StepInput, StepOutcome } from '../step.ts';
import { chooseTimeZone } from '../time-zone.ts';
import { addDuration, type Duration, durationUnits, parseDuration } from '../timestamps.ts';
import { resolveWindow } from '../window.ts';
import { compiledConditions, isSet, stepFields } from './channel-step.ts';
import { objectField } from './step-template.ts';

const MAX_DELAY_MS = 365 * 86_400_000;
/** Twelve months may have a leap day in them. */
const MAX_YEAR_MS = 366 * 86_400_000;

/**
 * Waits: for a duration, until the end that a path leads to (a time, a duration or a window rule), or until that
 * plus a duration. Without a usable end, or with one that has passed, the run goes on at once and says why.
 */
export const delayStep: StepDefinition = {
  type: 'delay',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('delay'),
    settings: Type.Object({
      delay_for: nullable(
        Type.Object({ unit: Type.Enum([...durationUnits]), value: Type.Integer() }),
      ),
      delay_until_field_path: nullable(Type.String()),
    }),
  }),

  problems: (step, path) => [
    ...conditionProblems(step.conditions, `${path}.conditions`),
    ...settingsProblems(objectField(step, 'settings'), `${path}.settings`),
  ],

  compile: (step) => {
    const settings = objectField(step, 'settings');
    const duration = parseDuration(settings.delay_for);
    const until = isSet(settings.delay_until_field_path)
      ? String(settings.delay_until_field_path)
      : undefined;
    const end =
      until === undefined
        ? ({ nowMs }: StepInput) => ({
            untilMs: addDuration(nowMs, duration ?? { unit: 'seconds', value: 0 }),
            note: undefined,
          })
        : endOfPath(until, duration);
    return {
      ref: String(step.ref),
      type: 'delay',
      ...compiledConditions(step),
      execute: (input): StepOutcome => {
        if (input.settings.skip_delay) {
          return { kind: 'continue', reason: 'the trigger skips delays' };
        }
        const resolved = end(input);
        if ('reason' in resolved) return { kind: 'continue', reason: resolved.reason };
        if (resolved.untilMs - input.nowMs > MAX_YEAR_MS) {
          return { kind: 'continue', reason: 'the delay is longer than 365 days' };
        }
        const { untilMs, note } = resolved;
        if (note === undefined) return { kind: 'wait', untilMs };
        return {
          kind: 'wait',
          untilMs,
          reason: `until ${new Date(untilMs).toISOString()} ${note}`,
        };
      },
    };
  },
};

type DelayEnd =
  | { readonly untilMs: number; readonly note: string | undefined }
  | { readonly reason: string };

function endOfPath(text: string, offset: Duration | undefined): (input: StepInput) => DelayEnd {
  const path = parsePath(text) ?? [];
  return ({ scope, nowMs, timezone: environments }) => {
    const { timezone, unknown } = chooseTimeZone(scope.recipient.timezone, environments);
    const resolved = resolveWindow(resolvePath(path, scope), {
      nowMs,
      timezone,
      ...(offset ? { offset } : {}),
    });
    if ('reason' in resolved) return { reason: `"${text}": ${resolved.reason}` };
    const { untilMs, byRule } = resolved;
    if (!byRule) return { untilMs, note: undefined };
    const instead = unknown === undefined ? '' : `, as ${JSON.stringify(unknown)} is no time zone`;
    return { untilMs, note: `by the clocks of ${timezone}${instead}` };
  };
}

function settingsProblems(settings: ReturnType<typeof objectField>, path: string): Problem[] {
  const { delay_for: delayFor, delay_until_field_path: until } = settings;
  const duration = parseDuration(delayFor);
  if (!duration && !isSet(until)) {
    return [{ path, reason: 'lacks "delay_for" and "delay_until_field_path"; one must be set' }];
  }
  const problems: Problem[] = [];
  if (isSet(until) && !parsePath(String(until))) {
    const reason = 'must be a path such as "data.due_at" or "recipient.renews_at"';
    problems.push({ path: `${path}.delay_until_field_path`, reason });
  }
  if (duration) {
    const length = addDuration(0, duration);
    if (Math.abs(length) > MAX_DELAY_MS) {
      problems.push({ path: `${path}.delay_for`, reason: 'must be at most 365 days' });
    }
    if (!isSet(until) && duration.value < 1) {
      problems.push({ path: `${path}.delay_for.value`, reason: 'must be at least 1' });
    }
  }
  return problems;
}
