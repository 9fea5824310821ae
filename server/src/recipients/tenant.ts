import { invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { type InlineRecipient, parseInline } from './inline.ts';
import { parsePreferences } from './preference-set.ts';
import { parseId, type RecipientKey, TENANTS } from './reference.ts';

/** A tenant id or an inline tenant. Without properties it becomes a stub if it does not exist. */
export function parseTenant(value: unknown, field: string): InlineRecipient {
  if (typeof value === 'string') {
    return { collection: TENANTS, id: parseId(value, field), properties: {} };
  }
  if (!isJsonObject(value)) {
    throw invalidField(field, 'must be a tenant id, or an object with an id');
  }
  const key = { collection: TENANTS, id: parseId(value.id, `${field}.id`) };
  return parseTenantBody(key, value, field);
}

/** What a request sets of a tenant; its preference set is checked and freed of its strategy. */
export function parseTenantBody(
  key: RecipientKey,
  body: JsonObject,
  field: string,
): InlineRecipient {
  const inline = parseInline(key, body, field);
  const settings = inline.properties.settings;
  if (settings === undefined || settings === null) return inline;
  const path = field === '' ? 'settings' : `${field}.settings`;
  if (!isJsonObject(settings)) throw invalidField(path, 'must be an object');
  const set = settings.preference_set;
  if (set === undefined || set === null) return inline;
  const preferences: { readonly [key: string]: Json } = {
    id: 'default',
    ...parsePreferences(set, `${path}.preference_set`),
  };
  const replaces = isJsonObject(set) && set.__persistence_strategy__ === 'replace';
  return {
    ...inline,
    properties: {
      ...inline.properties,
      settings: { ...settings, preference_set: preferences },
    },
    ...(replaces ? { replacesPreferences: true } : {}),
  };
}
