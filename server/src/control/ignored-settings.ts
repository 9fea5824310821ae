import { isJsonObject, type Json } from '../lib/json.ts';

/** Settings that workflows of Knock may have and that do nothing here, with what happens instead. */
const IGNORED = new Map([['goal_attachment', 'does nothing here yet: no goals are counted']]);

/** Where a published workflow, whose depth is bounded, says what is ignored: JSON paths, and why. */
export function ignoredSettings(
  content: Json,
  path = '$',
): { readonly path: string; readonly reason: string }[] {
  if (Array.isArray(content)) {
    return content.flatMap((one, index) => ignoredSettings(one, `${path}[${index}]`));
  }
  if (!isJsonObject(content)) return [];
  return Object.entries(content).flatMap(([name, value]) => {
    const at = `${path}.${name}`;
    const reason = IGNORED.get(name);
    if (reason !== undefined) return value === null || value === '' ? [] : [{ path: at, reason }];
    // Trigger data, whose names are the customer's own.
    return name === 'trigger_data_json_schema' ? [] : ignoredSettings(value ?? null, at);
  });
}
