import type { EnvironmentContext } from '../context.ts';
import type { JsonObject } from '../lib/json.ts';
import { recipientAnswer } from '../recipients/answer.ts';
import { findRecipients } from '../recipients/recipient.ts';
import { type RecipientKey, USERS } from '../recipients/reference.ts';
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
  if (row === null) return missingRecipient(reference, seenAt);
  return recipientAnswer({
    ...row,
    created_at: new Date(row.created_at),
    updated_at: new Date(row.updated_at),
  });
}

/** Shows a recipient as `embeddedRecipient` does, whoever of them was read before. */
export type ShowRecipient = (reference: unknown, seenAt: Date) => JsonObject | undefined;

/** Reads the recipients that these references name, each once: a page names the same few again and again. */
export async function readRecipients(
  ctx: EnvironmentContext,
  references: readonly unknown[],
): Promise<ShowRecipient> {
  const keys = new Map(
    references.flatMap((reference) => {
      const key = keyOf(reference);
      return key === undefined ? [] : [[nameOf(key), key] as const];
    }),
  );
  const rows = await findRecipients(ctx, [...keys.values()]);
  const answers = new Map(rows.map((row) => [nameOf(row), recipientAnswer(row)]));
  return (reference, seenAt) => {
    const key = keyOf(reference);
    if (key === undefined) return undefined;
    return answers.get(nameOf(key)) ?? missingRecipient(reference, seenAt);
  };
}

function missingRecipient(reference: unknown, seenAt: Date): JsonObject | undefined {
  const key = keyOf(reference);
  return key && recipientAnswer({ ...key, properties: {}, created_at: seenAt, updated_at: seenAt });
}

function keyOf(reference: unknown): RecipientKey | undefined {
  const known = referenceFromJson(reference);
  return typeof known === 'string' ? { collection: USERS, id: known } : known;
}

function nameOf({ collection, id }: RecipientKey): string {
  return `${collection}\u0000${id}`;
}
