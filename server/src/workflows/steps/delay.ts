import { Type } from 'typebox';
import { conditionProblems } from '../conditions.ts';
import { parsePath, resolvePath } from '../paths.ts';
import { nullable } from '../schema-problems.ts';
import type { Problem, RunScope, StepDefinition, StepOutcome } from '../step.ts';
import {
  addDuration,
  type Duration,
  durationUnits,
  parseDuration,
  parseTimestamp,
} from '../timestamps.ts';
import { compiledConditions, isSet, stepFields } from './channel-step.ts';
import { objectField } from './step-template.ts';

const MAX_DELAY_MS = 365 * 86_400_000;

/**
 * Waits: for a duration, until a time that a path leads to, or until that time plus a duration.
 * Without a usable time, or with one that has passed, the run goes on at once and says why.
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
    const untilPath = until === undefined ? undefined : parsePath(until);
    return {
      ref: String(step.ref),
      type: 'delay',
      ...compiledConditions(step),
      execute: ({ scope, nowMs, settings: { skip_delay: skip } }): StepOutcome => {
        if (skip) return { kind: 'continue', reason: 'the trigger skips delays' };
        const time =
          until === undefined
            ? addDuration(nowMs, duration ?? { unit: 'seconds', value: 0 })
            : timeAt(untilPath ?? [], scope, nowMs, duration);
        if (time === undefined) {
          return { kind: 'continue', reason: `"${until}" is neither a timestamp nor a duration` };
        }
        if (time <= nowMs) return { kind: 'continue', reason: 'the time to wait for has passed' };
        if (time - nowMs > MAX_DELAY_MS) {
          return { kind: 'continue', reason: 'the delay is longer than 365 days' };
        }
        return { kind: 'wait', untilMs: time };
      },
    };
  },
};

function timeAt(
  path: readonly string[],
  scope: RunScope,
  nowMs: number,
  offset: Duration | undefined,
): number | undefined {
  const value = resolvePath(path, scope);
  const duration = parseDuration(value);
  const time = duration ? addDuration(nowMs, duration) : parseTimestamp(value);
  return time === undefined || !offset ? time : addDuration(time, offset);
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
