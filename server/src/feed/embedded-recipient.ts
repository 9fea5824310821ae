import type { Json, JsonObject } from '../lib/json.ts';
import { referenceFromJson } from './recipient-reference.ts';

/** A row of `recipient`, as `to_json` puts it. */
export type EmbeddedRow = {
  readonly collection: string;
  readonly id: string;
  readonly properties: JsonObject;
  readonly created_at: string;
  readonly updated_at: string;
};

/** The columns of an embedded row of the table with this alias, or null when there is none. */
export function embeddedColumns(alias: string): string {
  return `case when ${alias}.id is not null then json_build_object(
    'collection', ${alias}.collection,
    'id', ${alias}.id,
    'properties', ${alias}.properties,
    'created_at', ${alias}.created_at,
    'updated_at', ${alias}.updated_at
  ) end`;
}

/**
 * A recipient in full, as feed items embed it: a user's properties at the top level, an object's
 * under `properties`. One that was deleted since keeps its id only.
 */
export function embeddedRecipient(
  reference: Json,
  row: EmbeddedRow | null,
): { readonly [field: string]: unknown } | undefined {
  const known = referenceFromJson(reference);
  if (known === undefined) return undefined;
  if (typeof known === 'string') {
    return row
      ? { ...userDefaults, ...row.properties, __typename: 'User', id: row.id, ...times(row) }
      : { __typename: 'MissingUser', id: known };
  }
  return row
    ? {
        __typename: 'Object',
        id: row.id,
        collection: row.collection,
        properties: row.properties,
        ...times(row),
      }
    : { __typename: 'MissingObject', id: known.id, collection: known.collection };
}

const userDefaults = { avatar: null, email: null, name: null, phone_number: null, timezone: null };

function times(row: EmbeddedRow): { readonly created_at: string; readonly updated_at: string } {
  return {
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}
