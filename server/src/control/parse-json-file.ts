import type { Json } from '../lib/json.ts';
import { jsonErrorOffset } from './json-error-offset.ts';

export type ParsedJson = { readonly value: Json } | { readonly reason: string };

/** The JSON of a file, or where and why it is none. */
export function parseJsonFile(text: string): ParsedJson {
  const source = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  try {
    return { value: JSON.parse(source) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const before = source.slice(0, jsonErrorOffset(source)).split('\n');
    const column = (before.at(-1)?.length ?? 0) + 1;
    const reason = message.replace(/(, .* is not valid JSON| in JSON at position .*)$/s, '');
    return { reason: `not JSON: ${reason} (line ${before.length}, column ${column})` };
  }
}
