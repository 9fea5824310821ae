import { isJsonObject } from '../lib/json.ts';

/** A recipient as people write it: `ann`, or `projects/belfry` for an object. */
export function referenceText(value: unknown): string {
  if (isJsonObject(value)) return `${String(value.collection ?? '$users')}/${String(value.id)}`;
  return typeof value === 'string' ? value : '';
}
