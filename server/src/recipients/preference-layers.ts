import { deepMerge, isJsonObject, type Json, type JsonObject } from '../lib/json.ts';

/** One of the sets that apply, and whose it is. */
export type PreferenceLayer = {
  readonly of: 'recipient' | 'recipient for tenant' | 'tenant' | 'environment';
  readonly set: JsonObject;
};

/** The sets that decide on a recipient's messages, the most particular first. */
export type EffectivePreferences = {
  readonly layers: readonly PreferenceLayer[];
  /** Those that `commercial_subscribed` is read from; it belongs to default sets. */
  readonly commercial: readonly PreferenceLayer[];
};

export type StoredPreferences = {
  readonly environment?: JsonObject | undefined;
  /** Of the tenant: `settings.preference_set`. */
  readonly tenant?: JsonObject | undefined;
  /** The recipient's own: `default`, and the one for the tenant. */
  readonly recipient?: JsonObject | undefined;
  readonly recipientForTenant?: JsonObject | undefined;
};

export type PreferencePart = 'workflows' | 'categories' | 'channel_types' | 'channels';

const NONE: EffectivePreferences = { layers: [], commercial: [] };

/**
 * Which sets apply. Without a tenant the recipient's default over the environment's. With one the recipient's set
 * for it, over the tenant's default, over the environment's; when neither of the first two exists, as without.
 */
export function effectivePreferences(stored: StoredPreferences): EffectivePreferences {
  const { environment, tenant, recipient, recipientForTenant } = stored;
  if (!environment && !tenant && !recipient && !recipientForTenant) return NONE;
  const base: PreferenceLayer[] = environment ? [{ of: 'environment', set: environment }] : [];
  const commercial: PreferenceLayer[] = recipient
    ? [{ of: 'recipient', set: recipient }, ...base]
    : base;
  if (!tenant && !recipientForTenant) return { layers: commercial, commercial };
  const layers: PreferenceLayer[] = [];
  if (recipientForTenant) layers.push({ of: 'recipient for tenant', set: recipientForTenant });
  if (tenant) layers.push({ of: 'tenant', set: tenant });
  layers.push(...base);
  return { layers, commercial };
}

/** The default set in a tenant's properties, or undefined. */
export function tenantPreferenceSet(properties: JsonObject | undefined): JsonObject | undefined {
  const settings = properties?.settings;
  const set = isJsonObject(settings) ? settings.preference_set : undefined;
  return isJsonObject(set) ? set : undefined;
}

/**
 * What the sets say together of one workflow, category, channel or channel type; undefined: nothing. A tenant's
 * entry with `"__strategy__": "replace"` stands alone.
 */
export function entryOf(
  layers: readonly PreferenceLayer[],
  part: PreferencePart,
  key: string,
): Json | undefined {
  let merged: Json | undefined;
  for (let i = layers.length - 1; i >= 0; i--) {
    const layer = layers[i];
    const map = layer?.set[part];
    if (!layer || !isJsonObject(map) || !Object.hasOwn(map, key)) continue;
    const value = map[key];
    if (value === undefined || value === null) continue;
    if (replaces(layer, value)) return value;
    merged = isJsonObject(value) && isJsonObject(merged) ? deepMerge(merged, value) : value;
  }
  return merged;
}

/** The most particular set that has something at a path, such as `['workflows', 'comment', 'conditions']`. */
export function layerOf(
  layers: readonly PreferenceLayer[],
  path: readonly string[],
): PreferenceLayer | undefined {
  const [part = '', key = ''] = path;
  const alone = layers.find((layer) => {
    const entry = at(layer.set, [part, key]);
    return entry !== undefined && replaces(layer, entry);
  });
  return alone ?? layers.find(({ set }) => (at(set, path) ?? null) !== null);
}

/** The sets as one, as answers show it. */
export function resolvePreferences({ layers, commercial }: EffectivePreferences): JsonObject {
  const resolved: Record<string, Json> = {};
  for (const part of ['workflows', 'categories', 'channel_types', 'channels'] as const) {
    const keys = new Set(layers.flatMap(({ set }) => keysOf(set[part])));
    if (keys.size === 0) continue;
    resolved[part] = Object.fromEntries(
      [...keys].map((key) => [key, withoutStrategy(entryOf(layers, part, key) ?? null)]),
    );
  }
  const subscribed = commercialSubscribed(commercial);
  if (subscribed !== undefined) resolved.commercial_subscribed = subscribed;
  return resolved;
}

export function commercialSubscribed(layers: readonly PreferenceLayer[]): Json | undefined {
  for (const { set } of layers) {
    const value = set.commercial_subscribed;
    if (value !== undefined && value !== null) return value;
  }
  return undefined;
}

function replaces(layer: PreferenceLayer, entry: Json): boolean {
  return layer.of === 'tenant' && isJsonObject(entry) && entry.__strategy__ === 'replace';
}

function withoutStrategy(entry: Json): Json {
  if (!isJsonObject(entry) || entry.__strategy__ === undefined) return entry;
  const { __strategy__: _, ...rest } = entry;
  return rest;
}

function keysOf(map: Json | undefined): string[] {
  return isJsonObject(map) ? Object.keys(map) : [];
}

function at(set: JsonObject, path: readonly string[]): Json | undefined {
  let value: Json | undefined = set;
  for (const key of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}
