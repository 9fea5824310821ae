import type { Queryable } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { PreviewAnswer, PreviewRequest } from '../engine.ts';
import {
  type ChunkTrigger,
  laneOf,
  NORMAL,
  RUNS,
  type RunsBody,
  wireReference,
} from '../log/chunk.ts';
import type { DecodedChunk } from './chunk-cache.ts';
import { shareTrigger } from './evaluate-run.ts';
import { collectionOf, idOf } from './load-recipients.ts';
import { withLookUps } from './look-ups.ts';
import { type LoadServices, loadSurroundings } from './surroundings.ts';

/**
 * What a channel step renders for a recipient, as a run would: nothing is sent, recorded or changed. Here, because
 * templates are never rendered in the process that answers everybody.
 */
export async function previewStep(
  services: LoadServices,
  db: Queryable,
  request: PreviewRequest,
): Promise<PreviewAnswer> {
  const { environmentId, versionId } = request;
  const recipient = wireReference(request.recipient);
  const trigger: ChunkTrigger = {
    id: '',
    key: request.workflowKey,
    version: versionId,
    actor: request.actor === null ? null : wireReference(request.actor),
    tenant: request.tenant,
    data: request.data,
    cancel: null,
    settings: {},
    at: services.clock.now(),
  };
  const chunk: DecodedChunk<RunsBody> = {
    laneId: laneOf(environmentId, NORMAL),
    flow: 0,
    acceptedMs: trigger.at,
    kind: RUNS,
    dueMs: undefined,
    orderId: undefined,
    source: undefined,
    size: 0,
    body: { triggers: [trigger], runs: [[0, recipient]] },
  };
  const around = await loadSurroundings(
    services,
    db,
    [{ chunk, from: 0, to: 1, governed: new Map() }],
    0,
  );
  const workflow = around.workflow(versionId);
  if (workflow instanceof Error) return { kind: 'error', reason: workflow.message };
  const step = workflow.steps.find(({ ref }) => ref === request.stepRef);
  if (!step) return { kind: 'missing' };
  const stored = around.recipient(
    environmentId,
    collectionOf(recipient),
    idOf(recipient),
    trigger.tenant,
  );
  const properties: JsonObject = { ...stored.scope, ...request.properties };
  const secrets = around.secrets(environmentId);
  const scope = shareTrigger(trigger, environmentId, around).scopeFor(properties, {});
  try {
    const outcome = await withLookUps(around.loadLookUps, environmentId, () =>
      step.execute({
        scope,
        nowMs: around.nowMs,
        settings: {},
        attempt: 0,
        refusal: () => undefined,
        // Masks only: what nobody keeps, somebody reads.
        ...(secrets ? { secrets: { ...secrets, values: secrets.masks } } : {}),
      }),
    );
    if (outcome.kind !== 'message') return { kind: 'no_message' };
    return {
      kind: 'rendered',
      messages: outcome.messages.map(({ channelType, content: { sealed: _, ...content } }) => ({
        channelType,
        content,
      })),
    };
  } catch (error) {
    return { kind: 'error', reason: error instanceof Error ? error.message : String(error) };
  }
}
