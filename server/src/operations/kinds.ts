import type { EnvironmentContext } from '../context.ts';
import { invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { deleteRecipients } from '../recipients/delete-recipients.ts';
import { identifyMany } from '../recipients/identify.ts';
import { parseInline } from '../recipients/inline.ts';
import { replacePreferences } from '../recipients/preferences.ts';
import { type RecipientKey, TENANTS, USERS } from '../recipients/reference.ts';
import { subscribe, unsubscribe } from '../recipients/subscriptions.ts';
import { parseTenantBody } from '../recipients/tenant.ts';
import { itemId } from './new-operation.ts';

/** What an operation does to its items. */
export type OperationKind = {
  /** Whether these are done together with few statements; otherwise one after the other. */
  readonly isTogether: (items: readonly Json[]) => boolean;
  /** Does all of them or, when it throws, none. */
  readonly apply: (
    ctx: EnvironmentContext,
    input: JsonObject,
    items: readonly Json[],
  ) => Promise<void>;
};

const together = () => true;
const alone = () => false;

const kinds = {
  'users.identify': {
    isTogether: together,
    apply: (ctx, _input, items) =>
      identifyMany(
        ctx,
        items.map((item) => parseInline(keyOf(USERS, item), bodyOf(item), '')),
      ),
  },
  'users.delete': { isTogether: together, apply: deleteAll },
  'users.preferences': {
    isTogether: together,
    apply: (ctx, input, items) =>
      replacePreferences(ctx, {
        collection: USERS,
        ids: items.map(itemId),
        setId: String(input.set_id),
        preferences: bodyOf(input.preferences),
      }),
  },
  'objects.set': {
    isTogether: together,
    apply: (ctx, input, items) =>
      identifyMany(
        ctx,
        items.map((item) => parseInline(keyOf(collectionOf(input), item), bodyOf(item), '')),
      ),
  },
  'objects.delete': { isTogether: together, apply: deleteAll },
  'tenants.set': {
    isTogether: together,
    apply: (ctx, _input, items) =>
      identifyMany(
        ctx,
        items.map((item) => parseTenantBody(keyOf(TENANTS, item), bodyOf(item), '')),
      ),
  },
  'tenants.delete': { isTogether: together, apply: deleteAll },
  'subscriptions.add': {
    isTogether: alone,
    apply: async (ctx, input, items) => {
      for (const item of items) {
        const { recipients, properties } = bodyOf(item);
        if (properties !== undefined && properties !== null && !isJsonObject(properties)) {
          throw invalidField('properties', 'must be an object');
        }
        const object = keyOf(collectionOf(input), item);
        await subscribe(ctx, { object, recipients, properties });
      }
    },
  },
  'subscriptions.delete': {
    isTogether: alone,
    apply: async (ctx, input, items) => {
      for (const item of items) {
        const { recipients } = bodyOf(item);
        await unsubscribe(ctx, { object: keyOf(collectionOf(input), item), recipients });
      }
    },
  },
} as const satisfies { readonly [name: string]: OperationKind };

/** Names of operations on lists of items; those on messages: message-operation.ts. */
export type ItemOperation = keyof typeof kinds;

/** What an operation of this name does; undefined when this version knows none. */
export function kindOf(name: string): OperationKind | undefined {
  return Object.hasOwn(kinds, name) ? kinds[name as ItemOperation] : undefined;
}

/** Where the items are, said of each that is refused; null for users and tenants. */
export function errorCollection(input: JsonObject): string | null {
  const { collection } = input;
  return typeof collection === 'string' && !collection.startsWith('$') ? collection : null;
}

function deleteAll(
  ctx: EnvironmentContext,
  input: JsonObject,
  items: readonly Json[],
): Promise<void> {
  return deleteRecipients(
    ctx,
    items.map((item) => keyOf(collectionOf(input), item)),
  );
}

function keyOf(collection: string, item: Json): RecipientKey {
  return { collection, id: itemId(item) };
}

function collectionOf(input: JsonObject): string {
  return String(input.collection);
}

function bodyOf(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}
