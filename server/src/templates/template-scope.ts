import type { Json, JsonObject } from '../lib/json.ts';
import type { Wanted } from './recipient-needed.ts';

/** Where a scope has its `Lookup`; templates cannot read it, and JSON leaves it out. */
export const lookup: unique symbol = Symbol('lookup');

/** What the filters `user`, `object`, `tenant` and `subscriptions` find. */
export type Lookup = {
  /** Null is nobody, undefined is not known yet. */
  readonly find: (want: Wanted) => Json | undefined;
  /** Those whom the template that is being rendered did not find; it ends with a RecipientNeeded of them all. */
  readonly missed: Wanted[];
};

/**
 * What a template can see. A name that the scope itself lacks is looked up in `data`, so data keys
 * are usable at the top level without being copied there and without shadowing anything.
 */
export type TemplateScope = {
  readonly data?: JsonObject;
  readonly [lookup]?: Lookup | undefined;
  readonly [name: string]: Json | undefined;
};
