import { isJsonObject, type Json, type JsonObject } from '../../lib/json.ts';
import type { RunScope } from '../step.ts';
import { StepError } from '../step-error.ts';

/** What a message's content says of its attachments; the files stay in the run's data, where a delivery reads them. */
export type Attachments = {
  /** Where the files are in the data. */
  readonly path: readonly string[];
  readonly files: readonly AttachedFile[];
};

export type AttachedFile = {
  readonly name: string;
  readonly content_type: string;
  /** Of a picture that the HTML shows as `cid:`. */
  readonly content_id?: string;
  /** Bytes. */
  readonly size: number;
};

const DEFAULT_KEY = 'attachments';
const MAX_FILES = 20;
const MAX_FILE_BYTES = 10 * 1024 * 1024;

/** All runs of a trigger share its data: what was looked at once is not looked at again. */
const known = new WeakMap<JsonObject, AttachedFile>();

/**
 * Finds the files that a mail carries: `[{name, content_type, content}]` or one of these, the content in base64. The
 * function throws a StepError that says which one is no file, and undefined is a mail without.
 */
export function attachmentsOf(
  key: string | undefined,
): (scope: RunScope) => Attachments | undefined {
  const path = (key ?? DEFAULT_KEY).replace(/^data\./, '').split('.');
  return ({ data }) => {
    const value = at(data, path);
    if (value === undefined || value === null) return undefined;
    const list: readonly Json[] = Array.isArray(value) ? value : [value];
    // Data that happens to be under the name that nobody chose.
    if (key === undefined && !list.some((item) => isJsonObject(item) && 'content' in item)) {
      return undefined;
    }
    if (list.length === 0) return undefined;
    if (list.length > MAX_FILES) {
      throw refused(`there are ${list.length} attachments, at most ${MAX_FILES} are sent`);
    }
    return { path, files: list.map((item, index) => fileOf(item, `${path.join('.')}[${index}]`)) };
  };
}

function fileOf(item: Json, path: string): AttachedFile {
  if (!isJsonObject(item)) throw refused(`data.${path} must be an object with name and content`);
  const seen = known.get(item);
  if (seen) return seen;
  const { name, content_type: type, content, content_id: id } = item;
  if (typeof name !== 'string' || !/^[^\p{Cc}]{1,255}$/u.test(name)) {
    throw refused(`data.${path}.name must be the name of a file, of 1 to 255 characters`);
  }
  if (
    typeof type !== 'string' ||
    !/^[\w.+-]{1,127}\/[\w.+-]{1,127}(?:;[^\p{Cc}]{0,200})?$/u.test(type)
  ) {
    throw refused(`data.${path}.content_type must be a media type such as "application/pdf"`);
  }
  if (typeof content !== 'string' || !isBase64(content)) {
    throw refused(`data.${path}.content must be base64`);
  }
  if (
    id !== undefined &&
    id !== null &&
    (typeof id !== 'string' || !/^[\w.@+-]{1,255}$/.test(id))
  ) {
    throw refused(`data.${path}.content_id must be letters, digits, and . @ + -`);
  }
  const size = Buffer.byteLength(content, 'base64');
  if (size > MAX_FILE_BYTES) {
    throw refused(`data.${path} has ${size} bytes, an attachment has at most ${MAX_FILE_BYTES}`);
  }
  const file = { name, content_type: type, size, ...(id ? { content_id: id } : {}) };
  known.set(item, file);
  return file;
}

/** Whether a text is base64, also in lines. No expression here looks at a character twice: texts may have megabytes. */
function isBase64(text: string): boolean {
  if (/[^A-Za-z0-9+/\-_\s=]/.test(text)) return false;
  const padding = text.indexOf('=');
  return padding < 0 || /^==?$/.test(text.slice(padding).replace(/\s/g, ''));
}

function at(data: JsonObject, path: readonly string[]): Json | undefined {
  let value: Json | undefined = data;
  for (const name of path) {
    if (!isJsonObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

function refused(reason: string): StepError {
  return new StepError('attachment_invalid', reason);
}
