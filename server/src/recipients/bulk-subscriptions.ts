import type { EnvironmentContext } from '../context.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { parseId, type RecipientKey } from './reference.ts';
import { subscribe, unsubscribe } from './subscriptions.ts';

const OBJECT_LIMIT = 1_000;

export type ManySubscriptions = {
  readonly count: number;
  /** Objects whose part of the request was refused, as their own request would have been. */
  readonly refused: readonly RecipientKey[];
};

/** `subscribe` for up to 1,000 objects of a collection, one after the other: what one refuses keeps none of the others. */
export function subscribeMany(
  ctx: EnvironmentContext,
  input: { readonly collection: string; readonly subscriptions: unknown },
): Promise<ManySubscriptions> {
  return forEachObject(input, async (object, { recipients, properties }) => {
    if (properties !== undefined && properties !== null && !isJsonObject(properties)) {
      throw invalidField('properties', 'must be an object');
    }
    await subscribe(ctx, { object, recipients, properties });
  });
}

/** `unsubscribe` for up to 1,000 objects of a collection. */
export function unsubscribeMany(
  ctx: EnvironmentContext,
  input: { readonly collection: string; readonly subscriptions: unknown },
): Promise<ManySubscriptions> {
  return forEachObject(input, async (object, { recipients }) => {
    await unsubscribe(ctx, { object, recipients });
  });
}

async function forEachObject(
  input: { readonly collection: string; readonly subscriptions: unknown },
  change: (object: RecipientKey, entry: JsonObject) => Promise<void>,
): Promise<ManySubscriptions> {
  const { collection, subscriptions } = input;
  if (!Array.isArray(subscriptions)) throw invalidField('subscriptions', 'must be a list');
  if (subscriptions.length > OBJECT_LIMIT) {
    throw invalidField(
      'subscriptions',
      `must have at most ${OBJECT_LIMIT} objects, not ${subscriptions.length}`,
    );
  }
  const entries = subscriptions.map((entry: unknown, index) => {
    const field = `subscriptions[${index}]`;
    if (!isJsonObject(entry)) throw invalidField(field, 'must be an object');
    return { object: { collection, id: parseId(entry.id, `${field}.id`) }, entry };
  });
  const refused: RecipientKey[] = [];
  for (const { object, entry } of entries) {
    try {
      await change(object, entry);
    } catch (error) {
      if (!(error instanceof BelfryError)) throw error;
      refused.push(object);
    }
  }
  return { count: entries.length, refused };
}
