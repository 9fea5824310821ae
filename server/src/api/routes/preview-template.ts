import { Type } from 'typebox';
import { findAccountEnvironment } from '../../control/find-account-environment.ts';
import type { PreviewAnswer } from '../../engine/engine.ts';
import { parseShared } from '../../engine/trigger-body.ts';
import { BelfryError } from '../../lib/errors.ts';
import type { JsonObject } from '../../lib/json.ts';
import { parseRecipient } from '../../recipients/inline.ts';
import { USERS } from '../../recipients/reference.ts';
import { serviceOf } from '../access.ts';
import type { App } from '../route.ts';
import type { Services } from '../services.ts';

const Body = Type.Object({
  recipient: Type.Unknown({
    description: 'A user id, or a recipient whose properties are used and not stored',
  }),
  actor: Type.Optional(Type.Unknown()),
  tenant: Type.Optional(Type.Unknown()),
  data: Type.Optional(Type.Unknown()),
});

const Preview = Type.Object({
  result: Type.String({ enum: ['success', 'error'] }),
  content_type: Type.String(),
  template: Type.Record(Type.String(), Type.Unknown()),
  errors: Type.Optional(Type.Array(Type.Object({ message: Type.String() }))),
});

/** What a channel step would say, without saying it. */
export function previewTemplateRoutes(app: App, services: Services): void {
  app.post(
    '/v1/workflows/:workflow_key/steps/:step_ref/preview_template',
    {
      config: { access: 'service', errors: ['resource_missing', 'workflow_missing'] },
      schema: {
        description:
          'Renders a channel step of the published workflow for a recipient. Nothing is sent, recorded or changed.',
        tags: ['Control'],
        params: Type.Object({ workflow_key: Type.String(), step_ref: Type.String() }),
        querystring: Type.Object({
          environment: Type.Optional(Type.String({ description: 'Default: development' })),
        }),
        body: Body,
        response: { 200: Preview },
      },
    },
    async (request) => {
      const { workflow_key: key, step_ref: stepRef } = request.params;
      const { body } = request;
      const slug = request.query.environment ?? 'development';
      const { accountId } = serviceOf(request);
      const environment = await findAccountEnvironment(services.db, accountId, slug);
      if (!environment) throw missing(`The account has no environment ${named(slug)}`);
      const workflow = await services.workflows.published(environment.id, key);
      if (!workflow) throw missing(`The environment ${named(slug)} has no workflow ${named(key)}`);
      const { key: who, inline } = parseRecipient(body.recipient, 'recipient');
      const { actor, tenant, data } = parseShared(body);
      const answer = await services.engine.preview?.({
        environmentId: environment.id,
        workflowKey: key,
        versionId: workflow.versionId,
        stepRef,
        recipient: who.collection === USERS ? who.id : who,
        properties: inline?.properties ?? {},
        actor,
        tenant,
        data,
      });
      return previewJson(answer ?? { kind: 'missing' }, key, stepRef);
    },
  );
}

function previewJson(
  answer: PreviewAnswer,
  workflow: string,
  stepRef: string,
): {
  result: string;
  content_type: string;
  template: JsonObject;
  errors?: { message: string }[];
} {
  const step = `${named(stepRef)} of the workflow ${named(workflow)}`;
  switch (answer.kind) {
    case 'missing':
      throw missing(`There is no step ${step}`);
    case 'no_message':
      throw new BelfryError(
        'invalid_params',
        `The step ${step} sends nothing, so it renders nothing`,
      );
    case 'error':
      return {
        result: 'error',
        content_type: '',
        template: {},
        errors: [{ message: answer.reason }],
      };
    case 'rendered': {
      const [first] = answer.messages;
      if (!first) throw missing(`No channel of the step ${step} applies to this recipient`);
      return { result: 'success', content_type: first.channelType, template: first.content };
    }
  }
}

function missing(message: string): BelfryError {
  return new BelfryError('resource_missing', message);
}

function named(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
