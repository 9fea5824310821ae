import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, relative, resolve } from 'node:path';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import { workflowKeyProblem } from '../workflows/workflow-problems.ts';
import { type FileProblem, type InlinedFile, inlineFiles } from './inline-files.ts';
import { parseJsonFile } from './parse-json-file.ts';

/** A workflow as its directory has it, extracted files inlined. */
export type WorkflowFiles = {
  readonly key: string;
  readonly content: JsonObject;
  /** `workflow.json`, as seen from the directory that was read. */
  readonly file: string;
  readonly files: readonly InlinedFile[];
};

export type DirectoryContent = {
  readonly workflows: readonly WorkflowFiles[];
  readonly problems: readonly FileProblem[];
  /** What is there and cannot be used yet. */
  readonly warnings: readonly { readonly file: string; readonly reason: string }[];
};

const WORKFLOW_FILE = 'workflow.json';
const MAX_WORKFLOWS = 1000;
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** Resource directories of the wire contract that come later. */
const LATER = [
  'audiences',
  'broadcasts',
  'guides',
  'layouts',
  'message-types',
  'partials',
  'schemas',
  'translations',
];

/** Fields that belong to files and not to workflows. */
const FILE_FIELDS = new Set(['$schema', '__readonly', '__annotation']);

/**
 * Reads a directory in the layout of Knock's CLI. `directory` may be the one that holds
 * `workflows/`, `workflows` itself, or one workflow's own.
 */
export async function readDirectory(directory: string): Promise<DirectoryContent> {
  const root = resolve(directory);
  const workflows: WorkflowFiles[] = [];
  const problems: FileProblem[] = [];
  const names = await entries(root);
  if (!names) {
    const reason = 'there is no such directory, or it cannot be read';
    return { workflows, problems: [{ file: directory, path: '', reason }], warnings: [] };
  }
  const found = await workflowDirectories(root, names);
  for (const path of found.slice(0, MAX_WORKFLOWS)) {
    const read = await readWorkflow(path, root);
    problems.push(...read.problems);
    if (read.workflow) workflows.push(read.workflow);
  }
  const warnings = LATER.filter((name) => names.includes(name)).map((name) => ({
    file: name,
    reason: `${name} are not supported yet; they were left out`,
  }));
  if (found.length > MAX_WORKFLOWS) {
    const reason = `holds ${found.length} workflows, at most ${MAX_WORKFLOWS} go in one push`;
    problems.push({ file: directory, path: '', reason });
  }
  if (found.length === 0) {
    const reason = `holds no workflow; expected workflows/<key>/${WORKFLOW_FILE}`;
    problems.push({ file: directory, path: '', reason });
  }
  return { workflows, problems, warnings };
}

async function workflowDirectories(root: string, names: readonly string[]): Promise<string[]> {
  if (names.includes(WORKFLOW_FILE)) return [root];
  const parent = names.includes('workflows') ? join(root, 'workflows') : root;
  const children = (await entries(parent)) ?? [];
  const found: string[] = [];
  for (const name of children.sort()) {
    const path = join(parent, name);
    // A directory of workflows/ without workflow.json is a mistake; elsewhere it is none of ours.
    const files = await entries(path);
    if (files && (parent !== root || files.includes(WORKFLOW_FILE))) found.push(path);
  }
  return found;
}

async function readWorkflow(
  directory: string,
  root: string,
): Promise<{ readonly workflow?: WorkflowFiles; readonly problems: readonly FileProblem[] }> {
  const key = basename(directory);
  const absolute = join(directory, WORKFLOW_FILE);
  const file = relative(root, absolute) || WORKFLOW_FILE;
  const problem = (reason: string) => ({ problems: [{ file, path: '', reason }] });
  const keyProblem = workflowKeyProblem(key);
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
  return { workflow: { key, content: inlined.value, file, files }, problems };
}

/** A workflow's content without what only its file needs. */
export function withoutFileFields(content: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(content).filter(([name]) => !FILE_FIELDS.has(name)));
}

/**
 * Where a problem of a pushed workflow is: the extracted file whose field it is in, or
 * `workflow.json` and the JSON path.
 */
export function locateProblem(workflow: WorkflowFiles, path: string): string {
  const inlined = workflow.files.find(
    (file) =>
      path === file.path || path.startsWith(`${file.path}.`) || path.startsWith(`${file.path}[`),
  );
  return inlined ? `${inlined.file}: ${path}` : `${workflow.file}: ${path}`;
}

async function entries(directory: string): Promise<string[] | undefined> {
  try {
    return await readdir(directory);
  } catch {
    return undefined;
  }
}
