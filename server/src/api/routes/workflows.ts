import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { parseCancelBody, requestHash } from '../../engine/trigger-body.ts';
import { BelfryError, invalidField } from '../../lib/errors.ts';
import { environmentContext } from '../access.ts';
import { callerOf, refuseQuarantined } from '../budget.ts';
import { countAccepted, countRefused } from '../count-traffic.ts';
import type { App } from '../route.ts';
import { answers, NoContent, Nullable, openObject } from '../schemas.ts';
import type { Services } from '../services.ts';
import { requirePublished, triggerWorkflow } from '../trigger-workflow.ts';

const IDEMPOTENCY_KEY_CHARACTERS = 255;

const tags = ['Workflows'];
const WorkflowParams = Type.Object({ key: Type.String({ description: 'Key of the workflow.' }) });

const Recipient = Type.Union([
  Type.String({ description: 'The id of a user.' }),
  Type.Object(
    { id: Type.String(), collection: Type.Optional(Type.String()) },
    {
      ...openObject,
      description:
        'A user (or, with `collection`, an object) to identify first. `$trigger_data` is merged into the data of this recipient.',
    },
  ),
]);

const TriggerBody = Type.Object(
  {
    recipients: Type.Array(Recipient, { minItems: 1, maxItems: 1_000 }),
    actor: Type.Optional(Nullable(Recipient)),
    tenant: Type.Optional(
      Type.Union([Type.String(), Type.Object({ id: Type.String() }, openObject), Type.Null()]),
    ),
    data: Type.Optional(Nullable(Type.Object({}, openObject))),
    cancellation_key: Type.Optional(Nullable(Type.String())),
    settings: Type.Optional(
      Nullable(
        Type.Object({
          sandbox_mode: Type.Optional(Nullable(Type.Boolean())),
          skip_delay: Type.Optional(Nullable(Type.Boolean())),
        }),
      ),
    ),
  },
  {
    examples: [
      { recipients: ['mara'], actor: 'jonas', data: { comment: 'Shall we open with it?' } },
    ],
  },
);

const CancelBody = Type.Object(
  {
    cancellation_key: Type.String(),
    recipients: Type.Optional(Nullable(Type.Array(Recipient, { maxItems: 1_000 }))),
  },
  { examples: [{ cancellation_key: 'comment-17' }] },
);

export const TriggerAnswer = Type.Object({ workflow_run_id: Type.String({ format: 'uuid' }) });

// These bodies are read by hand (trigger-body.ts); their schemas document.
const unchecked = () => () => true as const;

export function workflowRoutes(app: App, services: Services): void {
  app.post(
    '/v1/workflows/:key/trigger',
    {
      config: {
        errors: [
          'workflow_missing',
          'workflow_inactive',
          'channel_invalid',
          'idempotency_conflict',
        ],
      },
      validatorCompiler: unchecked,
      onRequest: refuseQuarantined(services),
      onResponse: countRefused(services),
      schema: {
        description:
          'Runs the published workflow for 1 to 1,000 recipients. Answers when the trigger is durable. With an `Idempotency-Key` a repetition within 24 hours is answered with the first run.',
        tags,
        params: WorkflowParams,
        headers: Type.Object({
          'idempotency-key': Type.Optional(Type.String({ maxLength: IDEMPOTENCY_KEY_CHARACTERS })),
        }),
        body: TriggerBody,
        response: answers({
          200: TriggerAnswer,
        }),
      },
    },
    async (request, reply) => {
      const ctx = environmentContext(services, request);
      const workflowKey = request.params.key;
      const idempotencyKey = idempotencyKeyOf(request);
      const { answer, runs } = await triggerWorkflow(services, ctx, {
        workflowKey,
        body: request.body,
        apiKeyId: callerOf(request.access)?.keyId,
        idempotency:
          idempotencyKey === undefined
            ? undefined
            : {
                key: idempotencyKey,
                requestHash: requestHash(workflowKey, request.body),
                requestId: request.id,
              },
      });
      switch (answer.kind) {
        case 'accepted':
          countAccepted(services, request, { workflowKey, runs });
          return reply.send({ workflow_run_id: answer.workflowRunId });
        case 'replayed':
          countAccepted(services, request, { workflowKey, runs: 0 });
          return reply
            .header('idempotent-replayed', 'true')
            .header('original-x-request-id', answer.originalRequestId)
            .send({ workflow_run_id: answer.workflowRunId });
        case 'conflict':
          throw new BelfryError(
            'idempotency_conflict',
            `Idempotency key ${JSON.stringify(idempotencyKey)} was used with other parameters; use a new key`,
          );
      }
    },
  );

  app.post(
    '/v1/workflows/:key/cancel',
    {
      config: { errors: ['workflow_missing'] },
      validatorCompiler: unchecked,
      schema: {
        summary: 'Cancels runs that wait in a delay',
        description:
          'Cancels the runs with this cancellation key that are paused in a delay, for everybody or for some recipients.',
        tags,
        params: WorkflowParams,
        body: CancelBody,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      const { environment } = environmentContext(services, request);
      const workflowKey = request.params.key;
      const cancel = parseCancelBody(request.body);
      await requirePublished(services, environment.id, workflowKey);
      await services.engine.cancel({ ...cancel, environmentId: environment.id, workflowKey });
      return reply.status(204).send();
    },
  );
}

function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const header = request.headers['idempotency-key'];
  const key = Array.isArray(header) ? header[0] : header;
  if (key === undefined || key === '') return undefined;
  if (key.length > IDEMPOTENCY_KEY_CHARACTERS) {
    throw invalidField(
      'Idempotency-Key',
      `must have at most ${IDEMPOTENCY_KEY_CHARACTERS} characters`,
    );
  }
  return key;
}
