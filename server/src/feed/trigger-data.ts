import { invalidField } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';
import { type RawParameters, rawParameter } from './query-reader.ts';

type Scalar = string | number | boolean | null;
export type TriggerData = readonly (readonly [key: string, value: Scalar])[];

/** Longer texts are compared by their beginning. */
export const COMPARED_CHARACTERS = 256;
const MAX_PAIRS = 20;

/** The `trigger_data` filter: flat pairs, as a JSON object or the text of one. */
export function triggerDataParameter(parameters: RawParameters): TriggerData | undefined {
  const raw = rawParameter(parameters, 'trigger_data');
  if (raw === undefined) return undefined;
  const value = typeof raw === 'string' ? parse(raw) : raw;
  if (!isJsonObject(value)) throw invalidField('trigger_data', 'must be a JSON object');
  const entries = Object.entries(value);
  if (entries.length > MAX_PAIRS) {
    throw invalidField('trigger_data', `may have at most ${MAX_PAIRS} keys`);
  }
  return entries.map(([key, item]) => {
    if (item !== null && typeof item === 'object') {
      throw invalidField(
        `trigger_data.${key}`,
        'must not be nested: only flat values can be compared',
      );
    }
    if (key.includes('\0') || (typeof item === 'string' && item.includes('\0'))) {
      throw invalidField('trigger_data', 'must not contain a NUL character');
    }
    return [key, item];
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidField('trigger_data', 'must be a JSON object');
  }
}
