import Po from 'pofile';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';

/** Characters of a translation's content. */
export const MAX_TRANSLATION_LENGTH = 1024 * 1024;
const MAX_NESTING = 20;

/**
 * The texts of a translation's content, by key. JSON is an object of texts and objects; in PO the `msgid` is the key,
 * and one with plurals has `one` and `other`. Throws an Error that says what is wrong, and never has the text itself.
 */
export function parseTranslation(format: 'json' | 'po', content: string): JsonObject {
  if (content.length > MAX_TRANSLATION_LENGTH) {
    throw new Error(
      `a translation has at most ${MAX_TRANSLATION_LENGTH} characters, this one has ${content.length}`,
    );
  }
  return format === 'po' ? parsePo(content) : parseJson(content);
}

function parseJson(content: string): JsonObject {
  let value: Json;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw new Error(`the content is no JSON: ${error instanceof Error ? error.message : ''}`);
  }
  if (!isJsonObject(value)) throw new Error('the content must be a JSON object of texts');
  checkTexts(value, '', 0);
  return value;
}

function checkTexts(holder: JsonObject, path: string, depth: number): void {
  if (depth > MAX_NESTING) throw new Error(`"${path}" nests more than ${MAX_NESTING} objects`);
  for (const [key, value] of Object.entries(holder)) {
    const at = path === '' ? key : `${path}.${key}`;
    if (isJsonObject(value)) checkTexts(value, at, depth + 1);
    else if (typeof value !== 'string') throw new Error(`"${at}" must be a text or an object`);
  }
}

function parsePo(content: string): JsonObject {
  const texts: Record<string, Json> = Object.create(null);
  for (const { msgid, msgid_plural: plural, msgstr, obsolete } of Po.parse(content).items) {
    if (obsolete || msgid === '') continue;
    // A language of one plural form has that one for every number.
    const [one = '', other = one] = msgstr;
    if (one === '' && other === '') continue;
    texts[msgid] = plural ? { one, other: msgstr.at(-1) || other } : one;
  }
  return { ...texts };
}
