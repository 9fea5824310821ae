import { invalidField } from '../lib/errors.ts';
import { unstorable } from '../lib/text.ts';

/** The collections that are not the caller's: users and tenants are recipients like objects. */
export const USERS = '$users';
export const TENANTS = '$tenants';

/** Which recipient: `collection` is `$users` for users, `$tenants` for tenants. */
export type RecipientKey = { readonly collection: string; readonly id: string };

const ID_CHARACTERS = 256;

/** The text as an id: 1 to 256 characters without "/" and "#". `field` is what an error names. */
export function parseId(value: unknown, field: string): string {
  if (value === undefined || value === null) throw invalidField(field, 'is required');
  if (typeof value !== 'string') throw invalidField(field, 'must be a string');
  if (value.trim() === '') throw invalidField(field, 'must not be empty');
  if (value.length > ID_CHARACTERS) {
    throw invalidField(field, `must have at most ${ID_CHARACTERS} characters`);
  }
  if (value.includes('/') || value.includes('#')) {
    throw invalidField(field, 'must not contain "/" or "#"');
  }
  const problem = unstorable(value);
  if (problem) throw invalidField(field, problem);
  return value;
}

/** The text as the name of a collection. Of names that begin with "$" only our own exist. */
export function parseCollection(value: unknown, field: string): string {
  const collection = parseId(value, field);
  if (collection.startsWith('$') && collection !== USERS && collection !== TENANTS) {
    throw invalidField(field, 'must not begin with "$": such collections are reserved');
  }
  return collection;
}

/** A text that is the same for two keys exactly when they name the same recipient. */
export function keyText({ collection, id }: RecipientKey): string {
  // Neither part can contain "/".
  return `${collection}/${id}`;
}
