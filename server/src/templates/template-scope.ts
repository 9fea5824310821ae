import type { Json, JsonObject } from '../lib/json.ts';

/**
 * What a template can see. A name that the scope itself lacks is looked up in `data`, so data keys
 * are usable at the top level without being copied there and without shadowing anything.
 */
export type TemplateScope = {
  readonly data?: JsonObject;
  readonly [name: string]: Json | undefined;
};
