import { Type } from 'typebox';
import { conditionProblems } from '../conditions.ts';
import type { StepDefinition, StepOutcome } from '../step.ts';
import { StepError } from '../step-error.ts';
import { compiledConditions, stepFields } from './channel-step.ts';
import { objectField } from './step-template.ts';

/** Makes the run's recipient a member of a static audience, with the run's tenant, or one no more. */
export const updateAudienceStep: StepDefinition = {
  type: 'update_audience',
  schema: Type.Object({
    ...stepFields,
    type: Type.Literal('update_audience'),
    settings: Type.Object({
      audience_key: Type.String({ minLength: 1 }),
      action: Type.Enum(['add', 'remove']),
    }),
  }),

  problems: (step, path, environment) => {
    const key = String(objectField(step, 'settings').audience_key);
    const reason = `the environment has no audience "${key}"`;
    return [
      ...conditionProblems(step.conditions, `${path}.conditions`),
      ...(environment.audience(key) ? [] : [{ path: `${path}.settings.audience_key`, reason }]),
    ];
  },

  compile: (step) => {
    const { audience_key: key, action } = objectField(step, 'settings');
    return {
      ref: String(step.ref),
      type: 'update_audience',
      ...compiledConditions(step),
      execute: ({ scope }): StepOutcome => {
        const { recipient, tenant } = scope;
        if (typeof recipient.id !== 'string' || recipient.collection !== undefined) {
          throw new StepError('no_target', 'the recipient is no user; only users are in audiences');
        }
        return {
          kind: 'continue',
          reason: action === 'add' ? `is in "${key}"` : `is not in "${key}" any more`,
          effects: [
            {
              kind: 'audience',
              key: String(key),
              action: String(action),
              userId: recipient.id,
              tenant: typeof tenant?.id === 'string' ? tenant.id : null,
            },
          ],
        };
      },
    };
  },
};
