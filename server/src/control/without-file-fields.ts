import type { JsonObject } from '../lib/json.ts';

/** Fields that belong to files and not to what they hold. */
const FILE_FIELDS = new Set(['$schema', '__readonly', '__annotation']);

/** A workflow's or resource's content without what only its file needs. */
export function withoutFileFields(content: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(content).filter(([name]) => !FILE_FIELDS.has(name)));
}
