import { Type } from 'typebox';
import type { StepDefinition } from '../step.ts';
import { channelStepProblems, channelStepSchema, compileChannelStep } from './channel-step.ts';
import { compileRequest, requestFields, requestProblems } from './request-template.ts';
import { objectField } from './step-template.ts';

/** A webhook: `method`, `url`, `headers` and `query_params` as lists of pairs, `body`. */
export const httpStep: StepDefinition = {
  type: 'channel/http',
  schema: channelStepSchema('http', Type.Object(requestFields)),

  problems: (step, path, environment) => [
    ...channelStepProblems(step, path, environment, 'http'),
    ...requestProblems(objectField(step, 'template'), `${path}.template`, environment),
  ],

  compile: (step, environment) => {
    const contentFor = compileRequest(objectField(step, 'template'), environment);
    return compileChannelStep(step, environment, 'http', ({ scope }) => contentFor(scope));
  },
};
