import type { Queryable } from '../../../db/database.ts';
import { deepMerge, isJsonObject, type JsonObject } from '../../../lib/json.ts';
import { mergeProperties, type PropertyMerge } from '../../../recipients/merge-properties.ts';
import type { Effect } from '../../../workflows/step.ts';
import type { Asked } from '../evaluate-run.ts';

/** Merges properties into recipients; what several runs set of one is merged in their order. */
export async function writeRecipients(
  tx: Queryable,
  _nowMs: number,
  effects: readonly Asked<Effect>[],
): Promise<readonly never[]> {
  const merges = new Map<string, PropertyMerge>();
  for (const { by, about } of effects) {
    const { environmentId } = by;
    const collection = String(about.collection);
    const id = String(about.id);
    const properties: JsonObject = isJsonObject(about.properties) ? about.properties : {};
    const key = JSON.stringify([environmentId, collection, id]);
    const earlier = merges.get(key);
    merges.set(key, {
      environmentId,
      collection,
      id,
      properties: earlier ? deepMerge(earlier.properties, properties) : properties,
    });
  }
  await mergeProperties(tx, [...merges.values()]);
  return [];
}
