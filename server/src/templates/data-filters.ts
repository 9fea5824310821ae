import { type Liquid, toValue } from 'liquidjs';
import type { Json } from '../lib/json.ts';
import { type FilterCall, toText } from './filters.ts';
import { RecipientNeeded, type Wanted } from './recipient-needed.ts';
import { rootOf } from './setting.ts';
import { type Lookup, lookup } from './template-scope.ts';

/**
 * `user`, `object`, `tenant` and `subscriptions`: what the database has of somebody. Nobody is null, and so is, for
 * now, who is not in memory: rendering does no I/O. It goes on to learn whom else it needs, and ends with a
 * RecipientNeeded.
 */
export function registerDataFilters(liquid: Liquid): void {
  liquid.registerFilter('user', function (this: FilterCall, id: unknown) {
    return find(this, 'recipient', '$users', id);
  });
  liquid.registerFilter('tenant', function (this: FilterCall, id: unknown) {
    return find(this, 'recipient', '$tenants', id);
  });
  liquid.registerFilter('object', function (this: FilterCall, id: unknown, collection: unknown) {
    const name = toText(collection);
    if (name === '') {
      throw new Error('the filter "object" needs a collection: {{ id | object: "projects" }}');
    }
    return find(this, 'recipient', name, id);
  });
  liquid.registerFilter('subscriptions', function (this: FilterCall, id: unknown) {
    return find(this, 'subscriptions', '$users', id) ?? [];
  });
}

/** A template that needs more at once is not rendered further. */
const MAX_MISSED = 100;

/** Longer ids than these exist nowhere. */
const MAX_ID_LENGTH = 1_000;

function find(call: FilterCall, kind: Wanted['kind'], collection: string, id: unknown): Json {
  const plain: unknown = toValue(id);
  if (plain === null || plain === undefined || plain === '') return null;
  const text = toText(plain);
  if (text.length > MAX_ID_LENGTH || collection.length > MAX_ID_LENGTH) return null;
  const root: { readonly [lookup]?: Lookup } = rootOf(call.context);
  const look = root[lookup];
  if (!look) throw new Error(`"${kind}" can be looked up in the templates of workflows only`);
  const want = { kind, collection, id: text };
  const found = look.find(want);
  if (found !== undefined) return found;
  const isKnown = look.missed.some(
    (other) => other.kind === kind && other.collection === collection && other.id === text,
  );
  if (!isKnown && look.missed.push(want) > MAX_MISSED) throw new RecipientNeeded(look.missed);
  return null;
}
