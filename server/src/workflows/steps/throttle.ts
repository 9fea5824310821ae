import { Type } from 'typebox';
import { conditionProblems } from '../conditions.ts';
import { nullable } from '../nullable.ts';
import type { StepDefinition, StepOutcome } from '../step.ts';
import { StepError } from '../step-error.ts';
import { parseDuration } from '../timestamps.ts';
import { compiledConditions, stepFields } from './channel-step.ts';
import { compileKeySetting, keySettingProblems } from './key-setting.ts';
import { objectField } from './step-template.ts';
import { compileWindow, durationSetting, windowProblems } from './window-setting.ts';

const MAX_DAYS = 31;
const MAX_MS = MAX_DAYS * 86_400_000;
const FIELDS = {
  duration: 'throttle_window',
  path: 'throttle_window_field_path',
  maxDays: MAX_DAYS,
};

/**
 * Lets so many runs of a recipient pass until a window closes that the first one opens; the others end here. Without a
 * usable window the step is skipped.
 */
export const throttleStep: StepDefinition = {
  type: 'throttle',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('throttle'),
    settings: Type.Object({
      throttle_key: nullable(Type.String()),
      throttle_limit: nullable(Type.Integer({ minimum: 1 })),
      throttle_window: nullable(durationSetting),
      throttle_window_field_path: nullable(Type.String()),
    }),
  }),

  problems: (step, path, environment) => {
    const settings = objectField(step, 'settings');
    return [
      ...conditionProblems(step.conditions, `${path}.conditions`),
      ...windowProblems(settings, `${path}.settings`, FIELDS),
      ...keySettingProblems(settings, 'throttle_key', `${path}.settings`, environment),
    ];
  },

  compile: (step, environment) => {
    const settings = objectField(step, 'settings');
    const limit = typeof settings.throttle_limit === 'number' ? settings.throttle_limit : 1;
    const keyOf = compileKeySetting(settings, 'throttle_key', environment);
    const end = compileWindow(
      parseDuration(settings.throttle_window),
      settings.throttle_window_field_path,
    );
    return {
      ref: String(step.ref),
      type: 'throttle',
      ...compiledConditions(step),
      execute: (input): StepOutcome => {
        const window = end(input);
        if ('reason' in window) throw new StepError('window_missing', window.reason);
        const { untilMs } = window;
        if (untilMs - input.nowMs > MAX_MS) {
          throw new StepError('window_missing', `the window is longer than ${MAX_DAYS} days`);
        }
        const key = keyOf(input.scope);
        return { kind: 'ask', question: { kind: 'throttle', key, limit, closesMs: untilMs } };
      },
      answer: (_input, { passes, closesMs }): StepOutcome => {
        if (passes === true) return { kind: 'continue' };
        const until = new Date(Number(closesMs)).toISOString();
        return { kind: 'halt', reason: `throttled: more than ${limit} until ${until}` };
      },
    };
  },
};
