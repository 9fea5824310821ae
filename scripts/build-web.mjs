// Builds the web pages (web/dist) when their sources changed. npm runs it after `npm ci`, under the
// machine's own Node, which may be 20: hence plain JavaScript.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const web = join(root, 'web');
const dist = join(web, 'dist');
const hashFile = join(dist, '.source-hash');

/**
 * Makes sure that `web/dist` is there and belongs to the sources.
 *
 * @returns {Promise<{ kind: 'built' | 'fresh' } | { kind: 'impossible', reason: string }>}
 *   `impossible` comes with what to do instead; only a broken build throws.
 */
export async function buildWeb() {
  const hash = await sourceHash();
  const builtFrom = await readFile(hashFile, 'utf8').catch(() => '');
  if (builtFrom === hash) return { kind: 'fresh' };

  const vite = await import('vite').catch(() => undefined);
  if (!vite) {
    return {
      kind: 'impossible',
      reason:
        'the web pages (demo, message viewer) cannot be built without the development dependencies. ' +
        'Run `npm ci --include=dev`, or copy web/dist from a machine that has built it. ' +
        'The API works without them.',
    };
  }

  // Built aside and moved into place: two builds at once, or one that is killed, leave no half.
  const aside = await mkdtemp(join(root, 'node_modules', '.belfry-web-'));
  try {
    await vite.build({
      root: web,
      configFile: join(web, 'vite.config.ts'),
      logLevel: 'error',
      build: { outDir: join(aside, 'dist') },
    });
    await writeFile(join(aside, 'dist', '.source-hash'), hash);
    await moveIntoPlace(join(aside, 'dist'), join(aside, 'previous'));
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return { kind: 'built' };
}

/** Renames, or copies where node_modules is on another file system. */
async function moveIntoPlace(fresh, previous) {
  try {
    if (existsSync(dist)) await rename(dist, previous);
    await rename(fresh, dist);
  } catch {
    await rm(dist, { recursive: true, force: true });
    await cp(fresh, dist, { recursive: true });
  }
}

/** Of every file that decides how the pages come out. */
async function sourceHash() {
  const hash = createHash('sha256');
  for (const path of [join(root, 'package-lock.json'), ...(await sourceFiles(web))]) {
    hash.update(relative(root, path)).update('\0');
    hash.update(await readFile(path)).update('\0');
  }
  return hash.digest('hex');
}

async function sourceFiles(directory) {
  const files = [];
  const entries = await readdir(directory, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name === 'dist' || entry.name === 'node_modules') continue;
    const path = join(directory, entry.name);
    if (entry.isDirectory()) files.push(...(await sourceFiles(path)));
    else files.push(path);
  }
  return files;
}

/** A failed build must not fail `npm ci`: the API needs no web pages. */
async function main() {
  try {
    const result = await buildWeb();
    if (result.kind === 'impossible') console.error(`belfry: ${result.reason}`);
  } catch (error) {
    console.error(
      `belfry: the web pages were not built: ${error instanceof Error ? error.message : error}`,
    );
    console.error(
      'belfry: see the whole story with `npm run build -w web`. The API works without them.',
    );
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main();
