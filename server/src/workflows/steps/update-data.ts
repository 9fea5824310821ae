import { Type } from 'typebox';
import { deepMerge } from '../../lib/json.ts';
import { conditionProblems } from '../conditions.ts';
import type { StepDefinition, StepOutcome } from '../step.ts';
import { StepError } from '../step-error.ts';
import { compiledConditions, stepFields } from './channel-step.ts';
import { jsonTemplate } from './json-template.ts';
import { MERGED_TOO_MUCH, mergedSize } from './merged-size.ts';
import { objectField, templateProblems } from './step-template.ts';

/** As much as the answer of a request may be. */
const MAX_CHARACTERS = 256 * 1024;

/** Merges what a template renders as JSON into the run's data, at every depth. */
export const updateDataStep: StepDefinition = {
  type: 'update_data',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('update_data'),
    settings: Type.Object({ data: Type.String({ minLength: 1 }) }),
  }),

  problems: (step, path, environment) => [
    ...conditionProblems(step.conditions, `${path}.conditions`),
    ...templateProblems(objectField(step, 'settings'), 'data', `${path}.settings`, environment),
  ],

  compile: (step, environment) => {
    const patchFor = jsonTemplate(objectField(step, 'settings'), 'data', environment);
    return {
      ref: String(step.ref),
      type: 'update_data',
      ...compiledConditions(step),
      execute: ({ scope, merged: before }): StepOutcome => {
        const patch = patchFor(scope);
        if (!patch) return { kind: 'continue', reason: 'there is nothing to merge' };
        // What was there before may be larger: files for e-mails are data, too.
        if (JSON.stringify(patch).length > MAX_CHARACTERS) {
          const reason = `what is merged is larger than ${MAX_CHARACTERS} characters`;
          throw new StepError('too_large', reason);
        }
        const merged = mergedSize(before, patch);
        if (merged === undefined) throw new StepError('too_large', MERGED_TOO_MUCH);
        const data = deepMerge(scope.data, patch);
        return { kind: 'continue', reason: named(patch), data, merged };
      },
    };
  },
};

/** What a trace says of merged keys. */
export function named(patch: object): string {
  return `sets ${Object.keys(patch).slice(0, 10).join(', ')}`;
}
