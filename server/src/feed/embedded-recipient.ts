import type { JsonObject } from '../lib/json.ts';
import { recipientAnswer } from '../recipients/answer.ts';
import { USERS } from '../recipients/reference.ts';
import { referenceFromJson } from './recipient-reference.ts';

/** A row of `recipient`, as `embeddedColumns` makes it. */
export type EmbeddedRow = {
  readonly collection: string;
  readonly id: string;
  readonly properties: JsonObject;
  readonly created_at: string;
  readonly updated_at: string;
};

/** The row of the recipient table with this alias as one JSON column, null when there is none. */
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
 * A recipient in full, as feed items embed it. One that was deleted since, or never identified, keeps its id only
 * and was last seen at `seenAt`.
 */
export function embeddedRecipient(
  reference: unknown,
  row: EmbeddedRow | null,
  seenAt: Date,
): JsonObject | undefined {
  const known = referenceFromJson(reference);
  if (known === undefined) return undefined;
  if (row) {
    return recipientAnswer({
      ...row,
      created_at: new Date(row.created_at),
      updated_at: new Date(row.updated_at),
    });
  }
  const key = typeof known === 'string' ? { collection: USERS, id: known } : known;
  return recipientAnswer({ ...key, properties: {}, created_at: seenAt, updated_at: seenAt });
}
