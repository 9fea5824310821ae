import { readFile, readlink, realpath, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Logger } from '../../lib/log.ts';
import { StartError } from '../start-error.ts';
import { ask, processIdentity, stopProcess } from './process.ts';

/**
 * Stops the server that a killed Belfry left behind on this data. Its sessions may still be at work
 * for a dead process, so it is not adopted. The caller holds the lock of the data directory.
 */
export async function stopOrphan(clusterDir: string, log: Logger): Promise<void> {
  const path = join(clusterDir, 'postmaster.pid');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  const pid = Number.parseInt(text ?? '', 10);
  if (!(pid > 0) || (await processIdentity(pid)) === undefined) return;
  if (!(await isServerOf(pid, clusterDir))) {
    // The id was given to another process; PostgreSQL itself would refuse to start.
    await rm(path, { force: true });
    return;
  }
  log.warn({ pid, clusterDir }, 'stopping the database server that a killed process left behind');
  const gone = await stopProcess(pid, [
    ['SIGINT', 30_000],
    ['SIGQUIT', 10_000],
    ['SIGKILL', 5_000],
  ]).catch(() => false);
  if (gone) return;
  throw new StartError(
    `A PostgreSQL (process ${pid}) is still running on ${clusterDir} and cannot be stopped by this ` +
      `user; stop it with \`kill -INT ${pid}\` as its owner or as root.`,
  );
}

async function isServerOf(pid: number, clusterDir: string): Promise<boolean> {
  const directory = await realpath(clusterDir);
  if (process.platform !== 'linux') {
    return isServerCommand(
      await ask('ps', ['-ww', '-o', 'command=', '-p', String(pid)]),
      directory,
    );
  }
  try {
    // A server's working directory is its data directory, even after that was renamed.
    const program = basename(await readlink(`/proc/${pid}/exe`));
    return program.startsWith('postgres') && (await readlink(`/proc/${pid}/cwd`)) === directory;
  } catch {
    // Another user's process; its command line is public.
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
    return isServerCommand(command, directory);
  }
}

function isServerCommand(command: string | undefined, directory: string): boolean {
  return command?.includes('postgres') === true && command.includes(directory);
}
