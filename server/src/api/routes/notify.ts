import { Type } from 'typebox';
import { parseCancelBody } from '../../engine/trigger-body.ts';
import { BelfryError, invalidField } from '../../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../../lib/json.ts';
import { environmentContext } from '../access.ts';
import { callerOf, refuseQuarantined } from '../budget.ts';
import { countAccepted, countRefused } from '../count-traffic.ts';
import type { App } from '../route.ts';
import { answers, NoContent, Nullable, openObject } from '../schemas.ts';
import type { Services } from '../services.ts';
import { requirePublished, triggerWorkflow } from '../trigger-workflow.ts';

const tags = ['Workflows'];
const Recipient = Type.Union([Type.String(), Type.Object({ id: Type.String() }, openObject)]);
const name = Type.String({ description: 'Key of the workflow.' });

const NotifyBody = Type.Object(
  {
    name,
    actor: Recipient,
    recipients: Type.Array(Recipient, { minItems: 1, maxItems: 1_000 }),
    data: Type.Optional(Nullable(Type.Object({}, openObject))),
    cancellation_key: Type.Optional(Nullable(Type.String())),
  },
  {
    examples: [
      {
        name: 'new-comment',
        actor: 'jonas',
        recipients: ['mara'],
        data: { comment: 'Shall we open with it?' },
      },
    ],
  },
);

const CancelBody = Type.Object(
  {
    name,
    cancellation_key: Type.String(),
    recipients: Type.Optional(Nullable(Type.Array(Recipient, { maxItems: 1_000 }))),
  },
  { examples: [{ name: 'reminder', cancellation_key: 'comment-17' }] },
);

export const NotifyAnswer = Type.Object({
  result_id: Type.String({ format: 'uuid', description: 'The id of the workflow run.' }),
});

// Read by hand, as the trigger's body is; the schemas document.
const unchecked = () => () => true as const;

/** The first form of trigger and cancel, which names the workflow in the body. */
export function notifyRoutes(app: App, services: Services): void {
  app.post(
    '/v1/notify',
    {
      config: {
        errors: [
          'workflow_missing',
          'workflow_inactive',
          'channel_invalid',
          'actor_missing',
          'idempotency_conflict',
        ],
      },
      validatorCompiler: unchecked,
      onRequest: refuseQuarantined(services),
      onResponse: countRefused(services),
      schema: {
        summary: 'Trigger workflow (first form)',
        description:
          'Deprecated: use `POST /v1/workflows/{key}/trigger`. Runs the published workflow that `name` names. An actor is needed; `Idempotency-Key` is not read.',
        deprecated: true,
        tags,
        body: NotifyBody,
        response: answers({ 200: NotifyAnswer }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const { workflowKey, body } = named(request.body);
      if ((body.actor ?? null) === null) {
        throw new BelfryError(
          'actor_missing',
          'actor is required here; POST /v1/workflows/{key}/trigger does without one',
        );
      }
      const { answer, runs } = await triggerWorkflow(services, ctx, {
        workflowKey,
        body,
        apiKeyId: callerOf(request.access)?.keyId,
      });
      if (answer.kind === 'conflict') throw new Error('a conflict without an idempotency key');
      countAccepted(services, request, { workflowKey, runs });
      return reply.send({ result_id: answer.workflowRunId });
    },
  );

  app.post(
    '/v1/notify/cancel',
    {
      config: { errors: ['workflow_missing'] },
      validatorCompiler: unchecked,
      schema: {
        summary: 'Cancel workflow (first form)',
        description:
          'Deprecated: use `POST /v1/workflows/{key}/cancel`. Cancels the paused runs of the workflow that `name` names.',
        deprecated: true,
        tags,
        body: CancelBody,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      const { environment } = environmentContext(services, request);
      const { workflowKey, body } = named(request.body);
      const cancel = parseCancelBody(body);
      await requirePublished(services, environment.id, workflowKey);
      await services.engine.cancel({ ...cancel, environmentId: environment.id, workflowKey });
      return reply.status(204).send();
    },
  );
}

function named(body: unknown): { readonly workflowKey: string; readonly body: JsonObject } {
  if (!isJsonObject(body)) throw invalidField('body', 'must be a JSON object');
  if (typeof body.name !== 'string' || body.name === '') {
    throw invalidField('name', 'must be the key of a workflow');
  }
  return { workflowKey: body.name, body };
}
