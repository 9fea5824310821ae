export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * `patch` merged into `base`: objects key by key at every depth, anything else replaces.
 * null replaces too; keys are never removed. The same rule as `jsonb_deep_merge` in the database.
 */
export function deepMerge(base: JsonObject, patch: JsonObject): JsonObject {
  const merged: Record<string, Json> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    const current = merged[key];
    merged[key] = isJsonObject(value) && isJsonObject(current) ? deepMerge(current, value) : value;
  }
  return merged;
}
