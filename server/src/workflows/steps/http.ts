import { Type } from 'typebox';
import type { StepDefinition } from '../step.ts';
import { mayReadSecrets, withSecrets } from '../step-secrets.ts';
import { channelStepProblems, channelStepSchema, compileChannelStep } from './channel-step.ts';
import { compileRequest, requestFields, requestProblems } from './request-template.ts';
import { objectField } from './step-template.ts';

/**
 * A webhook: `method`, `url`, `headers` and `query_params` as lists of pairs, `body`. Where secrets are in it these have
 * masks, and `sealed` is the request itself.
 */
export const httpStep: StepDefinition = {
  type: 'channel/http',
  schema: channelStepSchema('http', Type.Object(requestFields)),

  problems: (step, path, environment) => [
    ...channelStepProblems(step, path, environment, 'http'),
    ...requestProblems(objectField(step, 'template'), `${path}.template`, environment),
  ],

  compile: (step, environment) => {
    const template = objectField(step, 'template');
    const contentFor = compileRequest(template, environment);
    const readsSecrets = mayReadSecrets(template);
    return compileChannelStep(step, environment, 'http', ({ scope, secrets }) => {
      if (!secrets || !readsSecrets || Object.keys(secrets.values).length === 0)
        return contentFor(scope);
      const shown = contentFor(withSecrets(scope, secrets.masks));
      const request = contentFor(withSecrets(scope, secrets.values));
      const isOpen = JSON.stringify(shown) === JSON.stringify(request);
      return isOpen ? shown : { ...shown, sealed: secrets.seal(request) };
    });
  },
};
