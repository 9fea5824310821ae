import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError, systemErrorCode } from '../start-error.ts';
import { processIdentity } from './process.ts';

export type DataLock = { readonly release: () => Promise<void> };

type Holder = { readonly pid: number; readonly identity: string };

const ATTEMPTS = 20;

/**
 * Makes this process the only Belfry of a data directory, by the file `belfry.lock` in it. A lock
 * whose process is gone is taken over. The identity in it makes a reused process id harmless.
 */
export async function lockDataDirectory(dataDir: string): Promise<DataLock> {
  const path = join(dataDir, 'belfry.lock');
  const mine: Holder = {
    pid: process.pid,
    identity: (await processIdentity(process.pid)) ?? 'unknown',
  };
  const text = `${JSON.stringify(mine)}\n`;
  const draft = `${path}.${process.pid}`;
  await rm(draft, { force: true });
  await writeFile(draft, text, { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if (await create(draft, path)) return { release: () => release(path, text) };
      const found = await readFile(path, 'utf8').catch(() => undefined);
      if (found === undefined) continue;
      const holder = parseHolder(found);
      if (holder && (await processIdentity(holder.pid)) === holder.identity) {
        throw new StartError(
          `Another Belfry (process ${holder.pid}) is running on the data directory ${dataDir}; ` +
            'stop it, or set BELFRY_DATA_DIR to another directory.',
        );
      }
      await removeStale(path, found);
    }
  } finally {
    await rm(draft, { force: true });
  }
  throw new StartError(`The lock ${path} is fought over by several starting processes; try again.`);
}

// A hard link appears with its content at once, so nobody reads a half-written lock.
async function create(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

// Between our look and our removal a competitor may have replaced the stale lock by his own; then
// what we moved away is his, and goes back.
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${process.pid}.stale`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== stale) await create(aside, path);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  }
  await rm(aside, { force: true });
}

async function release(path: string, text: string): Promise<void> {
  const found = await readFile(path, 'utf8').catch(() => undefined);
  if (found === text) await rm(path, { force: true });
}

function parseHolder(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined;
  }
}
