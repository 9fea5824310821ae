import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { workflowKeyProblem } from '../workflows/workflow-problems.ts';
import { type FileProblem, type InlinedFile, inlineFiles } from './inline-files.ts';
import { parseJsonFile } from './parse-json-file.ts';
import { readTranslations } from './read-translations.ts';
import { resourceKeyProblem } from './resource-problems.ts';
import type { ResourceKind } from './resources.ts';
import { withoutFileFields } from './without-file-fields.ts';

/** A workflow or resource as its directory has it, extracted files inlined. */
export type ThingFiles = {
  readonly kind: 'workflow' | ResourceKind;
  readonly key: string;
  readonly content: JsonObject;
  /** Its JSON file, as seen from the directory that was read; of a translation its one file. */
  readonly file: string;
  readonly files: readonly InlinedFile[];
};

export type DirectoryContent = {
  readonly workflows: readonly ThingFiles[];
  readonly resources: readonly (ThingFiles & { readonly kind: ResourceKind })[];
  readonly problems: readonly FileProblem[];
  /** What is there and cannot be used yet. */
  readonly warnings: readonly { readonly file: string; readonly reason: string }[];
  /** It holds `workflows/`, `layouts/` or the like, not one thing or one of these alone. */
  readonly isWhole: boolean;
};

/** What one directory holds: `<directory>/<key>/<file>`. */
type Layout = {
  readonly kind: Exclude<ThingFiles['kind'], 'translation'>;
  readonly directory: string;
  readonly file: string;
};

const LAYOUTS: readonly Layout[] = [
  { kind: 'workflow', directory: 'workflows', file: 'workflow.json' },
  { kind: 'layout', directory: 'layouts', file: 'layout.json' },
  { kind: 'partial', directory: 'partials', file: 'partial.json' },
  { kind: 'channel_group', directory: 'channel-groups', file: 'channel_group.json' },
  { kind: 'guide', directory: 'guides', file: 'guide.json' },
  { kind: 'guide_group', directory: 'guide-groups', file: 'guide_group.json' },
];

const TRANSLATIONS = 'translations';
const MAX_THINGS = 2000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Resource directories of the wire contract that come later. */
const LATER = ['audiences', 'broadcasts', 'message-types', 'schemas'];

/**
 * Reads a directory in the layout of Knock's CLI. `directory` may be the one that holds `workflows/`, `layouts/` and
 * the others, one of these itself, or the directory of one workflow, layout, partial, guide or group.
 */
export async function readDirectory(directory: string): Promise<DirectoryContent> {
  const root = resolve(directory);
  const names = await entries(root);
  if (!names) {
    const reason = 'there is no such directory, or it cannot be read';
    return {
      workflows: [],
      resources: [],
      problems: [{ file: directory, path: '', reason }],
      warnings: [],
      isWhole: false,
    };
  }
  const things: ThingFiles[] = [];
  const problems: FileProblem[] = [];
  const found = await places(root, names);
  for (const place of found.slice(0, MAX_THINGS)) {
    const read = await readThing(place.layout, place.path, root);
    problems.push(...read.problems);
    if (read.thing) things.push(read.thing);
  }
  const translations = await readTranslations(root, names.includes(TRANSLATIONS));
  problems.push(...translations.problems);
  const resources = [...things, ...translations.things].filter(isResource);
  const count = found.length + translations.things.length + translations.problems.length;
  if (count > MAX_THINGS) {
    const reason = `holds ${count} workflows and resources, at most ${MAX_THINGS} go in one push`;
    problems.push({ file: directory, path: '', reason });
  }
  if (count === 0) {
    const reason = `holds no workflow; expected workflows/<key>/workflow.json`;
    problems.push({ file: directory, path: '', reason });
  }
  const warnings = LATER.filter((name) => names.includes(name)).map((name) => ({
    file: name,
    reason: `${name} are not supported yet; they were left out`,
  }));
  const workflows = things.filter(({ kind }) => kind === 'workflow');
  const isWhole = [TRANSLATIONS, ...LAYOUTS.map((layout) => layout.directory)].some((name) =>
    names.includes(name),
  );
  return { workflows, resources, problems, warnings, isWhole };
}

/**
 * Where a problem of a pushed thing is: the extracted file whose field it is in, with the line where the reason says
 * one, or its JSON file and the JSON path.
 */
export function locateProblem(
  thing: ThingFiles,
  path: string,
  reason: string,
): { readonly file: string; readonly path: string; readonly reason: string } {
  const inlined = thing.files.find(
    (file) =>
      path === file.path || path.startsWith(`${file.path}.`) || path.startsWith(`${file.path}[`),
  );
  if (!inlined) return { file: thing.file, path, reason };
  const position = path === inlined.path ? / \(line (\d+), column (\d+)\)$/.exec(reason) : null;
  if (!position) return { file: inlined.file, path, reason };
  const file = `${inlined.file}:${position[1]}:${position[2]}`;
  return { file, path, reason: reason.slice(0, position.index) };
}

function isResource(thing: ThingFiles): thing is ThingFiles & { readonly kind: ResourceKind } {
  return thing.kind !== 'workflow';
}

type Found = { readonly layout: Layout; readonly path: string };

async function places(root: string, names: readonly string[]): Promise<Found[]> {
  const itself = LAYOUTS.find(({ file }) => names.includes(file));
  if (itself) return [{ layout: itself, path: root }];
  const found: Found[] = [];
  for (const layout of LAYOUTS) {
    const parent = join(root, layout.directory);
    for (const path of names.includes(layout.directory) ? await children(parent) : []) {
      found.push({ layout, path });
    }
  }
  if (LAYOUTS.some(({ directory }) => names.includes(directory))) return found;
  // One of these directories itself; what has no such file is none of ours.
  for (const path of await children(root)) {
    const files = (await entries(path)) ?? [];
    const layout = LAYOUTS.find(({ file }) => files.includes(file));
    if (layout) found.push({ layout, path });
  }
  return found;
}

/** The directories in a directory, by name. */
async function children(parent: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of ((await entries(parent)) ?? []).sort()) {
    const path = join(parent, name);
    if (await entries(path)) found.push(path);
  }
  return found;
}

async function readThing(
  { kind, file: fileName }: Layout,
  directory: string,
  root: string,
): Promise<{ readonly thing?: ThingFiles; readonly problems: readonly FileProblem[] }> {
  const key = basename(directory);
  const absolute = join(directory, fileName);
  const file = relative(root, absolute) || fileName;
  const problem = (reason: string) => ({ problems: [{ file, path: '', reason }] });
  const keyProblem =
    kind === 'workflow' ? workflowKeyProblem(key) : resourceKeyProblem({ kind, key });
  if (keyProblem) return problem(`${keyProblem}; it is the name of the directory`);
  let text: string;
  try {
    const { size } = await stat(absolute);
    if (size > MAX_FILE_BYTES) return problem(`has more than ${MAX_FILE_BYTES} bytes`);
    text = await readFile(absolute, 'utf8');
  } catch {
    return problem('is missing or cannot be read');
  }
  const parsed = parseJsonFile(text);
  if ('reason' in parsed) return problem(parsed.reason);
  if (!isJsonObject(parsed.value)) return problem('must hold a JSON object');
  const inlined = await inlineFiles(withoutFileFields(parsed.value), directory, absolute);
  const seen = (path: string) => relative(root, path);
  const problems = inlined.problems.map((found) => ({ ...found, file: seen(found.file) }));
  if (problems.length > 0 || !isJsonObject(inlined.value)) return { problems };
  const files = inlined.files.map((found) => ({ ...found, file: seen(found.file) }));
  return { thing: { kind, key, content: inlined.value, file, files }, problems };
}

async function entries(directory: string): Promise<string[] | undefined> {
  try {
    return await readdir(directory);
  } catch {
    return undefined;
  }
}
