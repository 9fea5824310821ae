import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import {
  effectivePreferences,
  resolvePreferences,
  tenantPreferenceSet,
} from './preference-layers.ts';
import { preferenceSetAnswer } from './preference-set.ts';
import type { RecipientRow } from './recipient.ts';
import { USERS } from './reference.ts';

/** A recipient as answers show it: a user or an object, which a tenant is too where it is a recipient. */
export function recipientAnswer(row: RecipientRow): JsonObject {
  return row.collection === USERS ? userAnswer(row) : objectAnswer(row);
}

/** Properties of a user are at the top level; `created_at` is the caller's. */
export function userAnswer(row: RecipientRow): JsonObject {
  return {
    created_at: null,
    ...row.properties,
    __typename: 'User',
    id: row.id,
    updated_at: row.updated_at.toISOString(),
  };
}

/** Properties of an object are under `properties`. */
export function objectAnswer(row: RecipientRow): JsonObject {
  return {
    __typename: 'Object',
    id: row.id,
    collection: row.collection,
    properties: row.properties,
    created_at: row.properties.created_at ?? row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** With an environment's default preferences: the tenant's set resolved over them. */
export function tenantAnswer(row: RecipientRow, defaults?: JsonObject): JsonObject {
  const settings = row.properties.settings;
  const given: { readonly [key: string]: Json } = isJsonObject(settings) ? settings : {};
  return {
    ...row.properties,
    __typename: 'Tenant',
    id: row.id,
    name: row.properties.name ?? null,
    settings: {
      branding: null,
      preference_set: null,
      ...given,
      ...(defaults ? { preference_set: resolvedDefault(row.properties, defaults) } : {}),
    },
  };
}

function resolvedDefault(properties: JsonObject, environment: JsonObject): JsonObject {
  const tenant = tenantPreferenceSet(properties);
  const resolved = resolvePreferences(effectivePreferences({ environment, tenant }));
  return { ...preferenceSetAnswer('default', resolved) };
}
