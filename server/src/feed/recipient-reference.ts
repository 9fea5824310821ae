import { isJsonObject } from '../lib/json.ts';
import { USERS } from '../recipients/reference.ts';

/** How a recipient is named on the wire: a user by its id, an object by id and collection. */
export type RecipientReference = string | { readonly id: string; readonly collection: string };

export function recipientReference(collection: string, id: string): RecipientReference {
  return collection === USERS ? id : { id, collection };
}

/** The reference in a JSON column, or undefined when it holds none. */
export function referenceFromJson(value: unknown): RecipientReference | undefined {
  if (typeof value === 'string') return value;
  if (!isJsonObject(value) || typeof value.id !== 'string') return undefined;
  return typeof value.collection === 'string'
    ? recipientReference(value.collection, value.id)
    : value.id;
}
