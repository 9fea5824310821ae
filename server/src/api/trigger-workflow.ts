import type { EnvironmentContext } from '../context.ts';
import type { PublishedWorkflow } from '../control/published-workflows.ts';
import type { TriggerAnswer, TriggerRequest } from '../engine/engine.ts';
import { parseTriggerBody } from '../engine/trigger-body.ts';
import { BelfryError } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { identifyMany } from '../recipients/identify.ts';
import type { Services } from './services.ts';

type TriggerInput = {
  readonly workflowKey: string;
  /** As a caller sent it. */
  readonly body: unknown;
  readonly apiKeyId?: number | undefined;
  readonly idempotency?: TriggerRequest['idempotency'] | undefined;
};

/** The engine's answer, and for how many recipients it is. */
type TriggerOutcome = { readonly answer: TriggerAnswer; readonly runs: number };

/** Runs the published workflow: reads the body, identifies whom it brings along, accepts the run. */
export async function triggerWorkflow(
  services: Pick<Services, 'engine' | 'workflows'>,
  ctx: EnvironmentContext,
  { workflowKey, body, apiKeyId, idempotency }: TriggerInput,
): Promise<TriggerOutcome> {
  const { identify, ...trigger } = parseTriggerBody(body);
  const workflow = await requireActive(services, ctx.environment.id, workflowKey, trigger.data);
  if (identify.length > 0) await identifyMany(ctx, identify);
  const answer = await services.engine.trigger({
    ...trigger,
    environmentId: ctx.environment.id,
    workflowKey,
    versionId: workflow.versionId,
    ...(apiKeyId !== undefined && { apiKeyId }),
    ...(idempotency && { idempotency }),
  });
  return { answer, runs: trigger.recipients.length };
}

/** The published version that would run with this data; 404, or 422 for an inactive one or data that does not fit. */
export async function requireActive(
  services: Pick<Services, 'workflows'>,
  environmentId: number,
  key: string,
  data: JsonObject,
): Promise<PublishedWorkflow> {
  const workflow = await requirePublished(services, environmentId, key);
  if (!workflow.active) {
    throw new BelfryError(
      'workflow_inactive',
      `Workflow ${JSON.stringify(key)} is not active; set "active": true in its workflow.json and push it`,
    );
  }
  refuseBadData(workflow, data);
  return workflow;
}

/** The published version of a workflow, or a 404. */
export async function requirePublished(
  services: Pick<Services, 'workflows'>,
  environmentId: number,
  key: string,
): Promise<PublishedWorkflow> {
  const workflow = await services.workflows.published(environmentId, key);
  if (workflow) return workflow;
  throw new BelfryError(
    'workflow_missing',
    `There is no published workflow ${JSON.stringify(key.slice(0, 200))} in this environment; publish it with: belfry push DIR`,
  );
}

/** 422 when data does not fit the workflow's `trigger_data_json_schema`. */
export function refuseBadData(workflow: PublishedWorkflow, data: JsonObject): void {
  const problems = workflow.dataProblems?.(data) ?? [];
  const fields = problems.map(({ path, reason }) => ({ field: path, message: reason }));
  const [first] = fields;
  if (!first) return;
  throw new BelfryError(
    'invalid_params',
    `The data does not fit the workflow's JSON schema: ${first.field} ${first.message}`,
    { fields },
  );
}
