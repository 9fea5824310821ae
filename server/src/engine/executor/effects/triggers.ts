import { plainArray, textArray } from '../../../db/array-literal.ts';
import type { Queryable } from '../../../db/database.ts';
import { BelfryError } from '../../../lib/errors.ts';
import type { Json, JsonObject } from '../../../lib/json.ts';
import type { Effect, TriggerQuestion } from '../../../workflows/step.ts';
import { compileTriggerDataSchema, triggerDataProblems } from '../../../workflows/trigger-data.ts';
import type { TriggerRequest } from '../../engine.ts';
import type { NewChunk } from '../../log/chunk.ts';
import { layOutTriggers, type SerialisedTrigger } from '../../log/layout.ts';
import { parseTriggerBody, type TriggerBody } from '../../trigger-body.ts';
import type { ChunkPlace } from '../dialogue.ts';
import type { Asked } from '../evaluate-run.ts';

type Published = {
  readonly version_id: number;
  readonly active: boolean;
  readonly schema: JsonObject | null;
};

/** What a trigger effect holds, beside its kind. */
type TriggerEffect = Omit<TriggerBody, 'identify' | 'settings'> & {
  readonly workflowKey: string;
  readonly versionId: number;
  readonly fanOut: boolean;
};

/**
 * Reads what steps want to trigger, as requests of the API are read: answers with the effects that do it, or with what is
 * wrong. Whom it brings along is identified with the run's other changes of recipients.
 */
export async function answerTriggers(
  tx: Queryable,
  _nowMs: number,
  questions: readonly Asked<TriggerQuestion>[],
): Promise<readonly JsonObject[]> {
  const published = await loadPublished(tx, questions);
  return questions.map(({ by, about }): JsonObject => {
    const { workflowKey, fanOut } = about;
    try {
      const { identify, settings: _, ...trigger } = parseTriggerBody(about.request);
      const workflow = published.get(nameOf(by.environmentId, workflowKey));
      const error = whyNot(workflowKey, workflow, trigger.data);
      if (!workflow || error !== undefined) return { error: error ?? '' };
      const versionId = workflow.version_id;
      const effect: TriggerEffect = { ...trigger, workflowKey, versionId, fanOut };
      const effects = [
        ...identify.map(({ collection, id, properties }) => {
          return { kind: 'recipient', collection, id, properties };
        }),
        { kind: 'trigger', ...effect },
      ];
      return { workflowKey, runs: trigger.recipients.length, effects };
    } catch (error) {
      if (error instanceof BelfryError) return { error: error.message };
      throw error;
    }
  });
}

/** Lays the triggers out as accepted work: in the lane of the runs that they come of, under the keys of those. */
export async function writeTriggers(
  _tx: Queryable,
  _nowMs: number,
  effects: readonly Asked<Effect>[],
  place: ChunkPlace,
): Promise<readonly NewChunk[]> {
  const crowded = new Set<number>();
  const triggers = effects.map(({ by, about }): SerialisedTrigger => {
    const { kind: _, ...effect } = about as unknown as TriggerEffect & { readonly kind: string };
    const { settings, by: apiKeyId } = by.trigger;
    if (by.flow !== 0) crowded.add(by.laneId);
    const request: TriggerRequest = {
      ...effect,
      environmentId: by.environmentId,
      settings: { ...settings, depth: (settings.depth ?? 0) + 1 },
      ...(apiKeyId === undefined ? {} : { apiKeyId }),
    };
    return { request, dataText: JSON.stringify(effect.data), laneId: by.laneId };
  });
  const { stream, sequence, nowMs } = place;
  return layOutTriggers(triggers, stream, sequence, nowMs, (laneId) => crowded.has(laneId)).chunks;
}

async function loadPublished(
  tx: Queryable,
  questions: readonly Asked<TriggerQuestion>[],
): Promise<ReadonlyMap<string, Published>> {
  const wanted = new Map(
    questions.map(({ by: { environmentId }, about: { workflowKey: key } }) => {
      return [nameOf(environmentId, key), { environmentId, key }] as const;
    }),
  );
  const list = [...wanted.values()];
  const rows = await tx.query<Published & { environment_id: number; key: string }>(
    `select w.environment_id, w.key, v.id as version_id, w.active,
            v.content -> 'trigger_data_json_schema' as schema
     from unnest($1::int[], $2::text[]) as wanted(environment_id, key)
     join workflow w using (environment_id, key)
     join workflow_version v on v.id = w.published_version_id`,
    [
      plainArray(list.map(({ environmentId }) => environmentId)),
      textArray(list.map(({ key }) => key)),
    ],
  );
  return new Map(rows.map((row) => [nameOf(row.environment_id, row.key), row]));
}

function nameOf(environmentId: number, key: string): string {
  return `${environmentId} ${key}`;
}

function whyNot(
  key: string,
  workflow: Published | undefined,
  data: JsonObject,
): string | undefined {
  if (!workflow) return `there is no published workflow "${key.slice(0, 200)}"`;
  if (!workflow.active) return `the workflow "${key}" is not active`;
  const content: { readonly [field: string]: Json } = { trigger_data_json_schema: workflow.schema };
  const schema = compileTriggerDataSchema(content);
  const [problem] = schema ? triggerDataProblems(schema, data) : [];
  if (!problem) return undefined;
  return `the data does not fit the JSON schema of "${key}": ${problem.path} ${problem.reason}`;
}
