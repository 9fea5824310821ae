import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import type { FileProblem } from './inline-files.ts';
import type { ThingFiles } from './read-directory.ts';
import { resourceKeyProblem } from './resource-problems.ts';

export type ReadTranslations = {
  readonly things: readonly ThingFiles[];
  readonly problems: readonly FileProblem[];
};

const DIRECTORY = 'translations';
const NAME = /^(.+)\.(json|po)$/;
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Reads `translations/<locale>/[<namespace>.]<locale>[~<tenant>].json` (or `.po`) below `root`, which may also be the
 * directory `translations` itself.
 */
export async function readTranslations(root: string, below: boolean): Promise<ReadTranslations> {
  const parent = below ? join(root, DIRECTORY) : root;
  if (!below && basename(root) !== DIRECTORY) return { things: [], problems: [] };
  const things: ThingFiles[] = [];
  const problems: FileProblem[] = [];
  for (const path of await filesBelow(parent)) {
    const file = relative(root, path);
    const read = await readTranslation(path, file);
    if ('reason' in read) problems.push({ file, path: '', reason: read.reason });
    else things.push(read);
  }
  return { things, problems };
}

async function filesBelow(parent: string): Promise<string[]> {
  const found: string[] = [];
  for (const locale of (await readdir(parent).catch(() => [])).sort()) {
    const directory = join(parent, locale);
    const names = await readdir(directory).catch(() => []);
    found.push(...names.sort().flatMap((name) => (NAME.test(name) ? [join(directory, name)] : [])));
  }
  return found;
}

async function readTranslation(
  path: string,
  file: string,
): Promise<ThingFiles | { readonly reason: string }> {
  const locale = basename(dirname(path));
  const [, stem = '', format = ''] = NAME.exec(basename(path)) ?? [];
  const [place = '', ...tenant] = stem.split('~');
  const isOwn = place === locale || place.endsWith(`.${locale}`);
  if (!isOwn) {
    return { reason: `must be named ${locale}.${format}, or <namespace>.${locale}.${format}` };
  }
  const namespace = place.slice(0, -locale.length - 1);
  const owner = tenant.length > 0 ? `~${tenant.join('~')}` : '';
  const key = `${locale}${namespace === '' ? '' : `/${namespace}`}${owner}`;
  const keyProblem = resourceKeyProblem({ kind: 'translation', key });
  if (keyProblem) return { reason: keyProblem };
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) return { reason: `has more than ${MAX_FILE_BYTES} bytes` };
    const content = { format, content: await readFile(path, 'utf8') };
    return { kind: 'translation', key, content, file, files: [{ path: '$.content', file }] };
  } catch {
    return { reason: 'cannot be read' };
  }
}
