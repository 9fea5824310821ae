import type { Json } from '../../lib/json.ts';

/** Characters of JSON that all steps of a run together may put into its data, besides the bound of each. */
const MAX_MERGED = 1024 * 1024;

/** Why a step does not put more into it. */
export const MERGED_TOO_MUCH = `the steps of the run would have put more than ${MAX_MERGED} characters into its data`;

/** What steps put into a run's data before, and what this one adds: characters, or undefined past the bound. */
export function mergedSize(before = 0, added: Json): number | undefined {
  const size = before + JSON.stringify(added).length;
  return size > MAX_MERGED ? undefined : size;
}
