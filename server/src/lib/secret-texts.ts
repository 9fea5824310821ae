import { isJsonObject, type Json, type JsonObject } from './json.ts';

/** What is shown in place of a secret. */
export const MASK = '••••••••';

/** Shorter ones cannot be told from ordinary text. */
const MIN_LENGTH = 4;
/** Of one request: what differs more widely is no secret any more. */
const MAX_TEXTS = 1_000;

/** Secrets by name, each text in them replaced by the mask. */
export function masked(values: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, hidden(value)]));
}

/** The texts of secrets, also as they are in URLs and JSON. */
export function secretTexts(values: Json): string[] {
  if (Array.isArray(values)) return values.flatMap(secretTexts);
  if (isJsonObject(values)) return Object.values(values).flatMap(secretTexts);
  if (values === null || typeof values === 'boolean') return [];
  const text = String(values);
  return [text, encodeURIComponent(text.toWellFormed()), JSON.stringify(text).slice(1, -1)];
}

/** The words that only the real form of something has: secrets however a template wrote them, such as in Base64. */
export function wordsOnlyIn(real: Json, shown: Json): string[] {
  const seen = new Set(words(shown));
  return [...new Set(words(real))].filter((word) => !seen.has(word)).slice(0, MAX_TEXTS);
}

/**
 * Replaces these texts wherever they are in the texts of a JSON value; undefined where there is nothing to replace. Texts of less than
 * four characters are left: they cannot be told from others.
 */
export function createMask(texts: readonly string[]): (<Value>(value: Value) => Value) | undefined {
  const long = [...new Set(texts)].filter((text) => text.length >= MIN_LENGTH);
  if (long.length === 0) return undefined;
  // The longest first: a secret may be a part of another.
  const pattern = new RegExp(
    long
      .toSorted((a, b) => b.length - a.length)
      .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      .join('|'),
    'g',
  );
  const mask = (value: unknown): unknown => {
    if (typeof value === 'string') return value.replace(pattern, MASK);
    if (Array.isArray(value)) return value.map(mask);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key.replace(pattern, MASK), mask(item)]),
    );
  };
  return <Value>(value: Value) => mask(value) as Value;
}

function hidden(value: Json): Json {
  if (Array.isArray(value)) return value.map(hidden);
  return isJsonObject(value) ? masked(value) : MASK;
}

function words(value: Json): string[] {
  if (typeof value === 'string') return value.split(/[\s"'<>&=,;]+/);
  if (Array.isArray(value)) return value.flatMap(words);
  return isJsonObject(value) ? Object.values(value).flatMap(words) : [];
}
