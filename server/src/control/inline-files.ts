import { readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { parseJsonFile } from './parse-json-file.ts';

/** A defect in a resource's directory: `path` is a JSON path in `file`, empty for the whole file. */
export type FileProblem = { readonly file: string; readonly path: string; readonly reason: string };

/** The file that stands for a field of a workflow, so that a problem can name it. */
export type InlinedFile = { readonly path: string; readonly file: string };

export type Inlined = {
  readonly value: Json;
  readonly files: readonly InlinedFile[];
  readonly problems: readonly FileProblem[];
};

const MAX_FILE_BYTES = 1024 * 1024;
const MAX_FILES = 500;
const MAX_DEPTH = 64;

/** The extracted files that hold JSON for the workflow and not text. */
const JSON_FILES = new Set(['visual_blocks.json']);

type Place = {
  /** JSON path in the workflow, and in the file that is being read. */
  readonly path: string;
  readonly file: string;
  readonly pathInFile: string;
};

/**
 * Puts the content of files into the fields that name them: `"html_body@": "email/body.html"`
 * becomes `"html_body": "..."`, at any depth. Paths are relative to the file that holds them and
 * must stay inside `root`, symbolic links followed; a file serves one field.
 */
export async function inlineFiles(content: Json, root: string, file: string): Promise<Inlined> {
  const files: InlinedFile[] = [];
  const problems: FileProblem[] = [];
  const used = new Map<string, string>();
  const realRoot = await realpath(root);

  const problem = (place: Place, reason: string): undefined => {
    problems.push({ file: place.file, path: place.pathInFile, reason });
  };

  const walk = async (value: Json, place: Place, depth: number): Promise<Json> => {
    if (depth > MAX_DEPTH) {
      problem(place, `nests more than ${MAX_DEPTH} levels`);
      return null;
    }
    if (Array.isArray(value)) {
      const items: Json[] = [];
      for (const [index, item] of value.entries()) {
        items.push(await walk(item, inside(place, `[${index}]`), depth + 1));
      }
      return items;
    }
    return isJsonObject(value) ? walkObject(value, place, depth) : value;
  };

  const walkObject = async (value: JsonObject, place: Place, depth: number): Promise<Json> => {
    const entries: [string, Json][] = [];
    for (const [key, item] of Object.entries(value)) {
      if (!key.endsWith('@')) {
        entries.push([key, await walk(item, inside(place, `.${key}`), depth + 1)]);
        continue;
      }
      const name = key.slice(0, -1);
      if (Object.hasOwn(value, name)) {
        problem(inside(place, `.${key}`), `"${name}" is there too; keep one of the two`);
        continue;
      }
      const target = { ...inside(place, `.${key}`), path: `${place.path}.${name}` };
      const inlined = await readField(item, target, depth);
      if (inlined !== undefined) entries.push([name, inlined]);
    }
    // fromEntries defines own properties, also one named __proto__.
    return Object.fromEntries(entries);
  };

  const readField = async (named: Json, place: Place, depth: number): Promise<Json | undefined> => {
    if (typeof named !== 'string' || named === '') return problem(place, 'must name a file');
    const found = await locate(named, place.file, root, realRoot);
    if ('reason' in found) return problem(place, found.reason);
    const earlier = used.get(found.real);
    if (earlier) return problem(place, `"${named}" is the file of ${earlier} already`);
    if (used.size >= MAX_FILES) return problem(place, `more than ${MAX_FILES} files`);
    used.set(found.real, place.path);
    files.push({ path: place.path, file: found.file });
    const text = await readFile(found.real, 'utf8');
    if (!JSON_FILES.has(basename(found.file))) return text;
    const parsed = parseJsonFile(text);
    const start = { path: place.path, file: found.file, pathInFile: '$' };
    if ('reason' in parsed) return problem({ ...start, pathInFile: '' }, parsed.reason);
    return walk(parsed.value, start, depth + 1);
  };

  const value = await walk(content, { path: '$', file, pathInFile: '$' }, 0);
  return { value, files, problems };
}

function inside(place: Place, step: string): Place {
  return { ...place, path: place.path + step, pathInFile: place.pathInFile + step };
}

async function locate(
  named: string,
  from: string,
  root: string,
  realRoot: string,
): Promise<{ readonly file: string; readonly real: string } | { readonly reason: string }> {
  const outside = { reason: `"${named}" is outside of the directory ${basename(root)}` };
  if (isAbsolute(named) || named.includes('\0')) return outside;
  const file = resolve(join(dirname(from), named));
  if (!isWithin(file, resolve(root))) return outside;
  try {
    const real = await realpath(file);
    if (!isWithin(real, realRoot)) return outside;
    const { size } = await stat(real);
    if (size > MAX_FILE_BYTES) {
      return { reason: `"${named}" has ${size} bytes, at most ${MAX_FILE_BYTES} are allowed` };
    }
    return { file, real };
  } catch {
    return { reason: `there is no readable file "${named}"` };
  }
}

function isWithin(file: string, root: string): boolean {
  const path = relative(root, file);
  return path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}
