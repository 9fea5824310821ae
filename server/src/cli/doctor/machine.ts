import { randomUUID } from 'node:crypto';
import { access, mkdir, readFile, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Check, fail, ok, reasonOf, warn } from './check.ts';

const NEEDED_NODE = 24;
const GIB = 1024 ** 3;
const LEAST_FREE = GIB;
const TIGHT_FREE = 5 * GIB;
/** The year of this release: a clock before it is wrong. */
const RELEASE_MS = Date.UTC(2026, 0, 1);
const MOST_SKEW_MS = 30_000;

export function checkNode(version: string): Check {
  const major = Number.parseInt(version, 10);
  if (major >= NEEDED_NODE) return ok('node', `Node ${version} runs the server.`);
  return fail(
    'node',
    `Node ${version} is too old.`,
    'Run `npm ci` without --omit=optional, which installs Node 24 beside Belfry.',
  );
}

/** The data dir, or, before the first start, the folder that it will be made in. */
export async function checkDataDir(dataDir: string): Promise<Check> {
  const name = 'data directory';
  const wayOut = 'Give this user the right to write there, or set BELFRY_DATA_DIR to another one.';
  const exists = await isDirectory(dataDir);
  if (exists === 'other') return fail(name, `${dataDir} is not a directory.`, wayOut);
  const folder = exists ? dataDir : await firstParent(dataDir);
  const probe = join(folder, `.belfry-doctor-${randomUUID()}`);
  try {
    await mkdir(probe);
    await writeFile(join(probe, 'probe'), 'x'.repeat(4_096));
  } catch (error) {
    return fail(name, `${folder} cannot be written (${reasonOf(error)}).`, wayOut);
  } finally {
    await rm(probe, { recursive: true, force: true }).catch(() => {});
  }
  return exists
    ? ok(name, `${dataDir} is writable.`)
    : ok(name, `${dataDir} is not there yet and can be made.`);
}

export async function checkDisk(dataDir: string): Promise<Check> {
  const folder = await firstParent(dataDir);
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const finding = `${(free / GIB).toFixed(1)} GiB are free on the disk of ${folder}.`;
  const wayOut = 'Free some space, or set BELFRY_DATA_DIR to a larger disk.';
  if (free < LEAST_FREE) return fail('disk', finding, wayOut);
  return free < TIGHT_FREE ? warn('disk', finding, wayOut) : ok('disk', finding);
}

/** The credentials that the CLI and the demo page use. */
export async function checkCredentials(dataDir: string): Promise<Check> {
  const name = 'credentials';
  const path = join(dataDir, 'credentials.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return warn(
      name,
      `There is no readable ${path}.`,
      'The first start on an empty database makes it; else name keys with --secret-key, --service-token and --operator-token.',
    );
  }
  try {
    JSON.parse(text);
  } catch {
    return fail(name, `${path} is not JSON.`, 'Restore it from a copy; the database has no keys.');
  }
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) {
    return warn(name, `Others may read ${path}.`, `Run: chmod 600 ${path}`);
  }
  return ok(name, `${path} is there, for this user alone.`);
}

export async function checkWebBuild(): Promise<Check> {
  const index = fileURLToPath(new URL('../../../../web/dist/index.html', import.meta.url));
  try {
    await access(index);
    return ok('web pages', 'The pages are built.');
  } catch {
    return warn(
      'web pages',
      'The pages (demo, message viewer) are not built; the API works without them.',
      'Run `npm ci --include=dev`, or `npm run build -w web`.',
    );
  }
}

/** `serverDate`: the `Date` header of the server, when one answered. */
export function checkClock(nowMs: number, serverDate: string | undefined): Check {
  const time = new Date(nowMs).toISOString();
  const wayOut = 'Set the clock, best with a time service such as systemd-timesyncd or chrony.';
  if (nowMs < RELEASE_MS) {
    return fail('clock', `The clock says ${time}, before this release.`, wayOut);
  }
  const skewMs = serverDate === undefined ? 0 : Math.abs(Date.parse(serverDate) - nowMs);
  if (skewMs > MOST_SKEW_MS) {
    const seconds = Math.round(skewMs / 1_000);
    return warn('clock', `The server's clock and this one are ${seconds} s apart.`, wayOut);
  }
  const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  return ok('clock', `The clock says ${time}, in the zone ${zone}.`);
}

async function isDirectory(path: string): Promise<boolean | 'other'> {
  try {
    return (await stat(path)).isDirectory() || 'other';
  } catch (error) {
    // Something on the way is a file.
    return error instanceof Error && 'code' in error && error.code === 'ENOTDIR' ? 'other' : false;
  }
}

async function firstParent(path: string): Promise<string> {
  const found = await isDirectory(path);
  return found === true || dirname(path) === path ? path : firstParent(dirname(path));
}
