import { Type } from 'typebox';
import { conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import type { StepDefinition, StepOutcome } from '../step.ts';
import { parseDuration } from '../timestamps.ts';
import { compiledConditions, stepFields } from './channel-step.ts';
import { objectField } from './step-template.ts';
import { compileWindow, durationSetting, windowProblems } from './window-setting.ts';

const FIELDS = { duration: 'delay_for', path: 'delay_until_field_path', maxDays: 365 };
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
      delay_for: nullable(durationSetting),
      delay_until_field_path: nullable(Type.String()),
    }),
  }),

  problems: (step, path) => [
    ...conditionProblems(step.conditions, `${path}.conditions`),
    ...windowProblems(objectField(step, 'settings'), `${path}.settings`, FIELDS),
  ],

  compile: (step) => {
    const settings = objectField(step, 'settings');
    const end = compileWindow(parseDuration(settings.delay_for), settings.delay_until_field_path);
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
