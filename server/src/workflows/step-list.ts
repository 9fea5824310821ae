import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';

/** The items of a list of steps that are objects. */
export function stepList(value: Json | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}
