import { spawn } from 'node:child_process';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StartError, systemErrorCode } from '../start-error.ts';
import type { PostgresBinaries } from './binaries.ts';
import type { ServerUser } from './server-user.ts';

const OUTPUT_LIMIT = 4_000;

/** Makes the database files where there are none, and refuses those of another major version. */
export async function prepareCluster(
  clusterDir: string,
  binaries: PostgresBinaries,
  user: ServerUser,
): Promise<void> {
  const found = await readFile(`${clusterDir}/PG_VERSION`, 'utf8').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) {
    await initialise(clusterDir, binaries, user);
    return;
  }
  if (Number.parseInt(found, 10) !== binaries.major) {
    throw new StartError(
      `The database in ${clusterDir} was made by PostgreSQL ${found.trim()}, and this Belfry brings ` +
        `PostgreSQL ${binaries.major}. Start the Belfry release that made it, or serve it with ` +
        `PostgreSQL ${found.trim()} and set DATABASE_URL, or set BELFRY_DATA_DIR to a fresh directory.`,
    );
  }
}

// Made beside its place and moved there whole, so that a death half-way leaves nothing to repair.
async function initialise(
  clusterDir: string,
  binaries: PostgresBinaries,
  user: ServerUser,
): Promise<void> {
  const draft = `${clusterDir}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  await user.own(draft);
  const { program, args, options } = user.command(binaries.initdb, [
    `--pgdata=${draft}`,
    '--username=belfry',
    '--encoding=UTF8',
    '--locale=C',
    // Nobody but the owner can enter the socket's directory, and there is no other way in.
    '--auth=trust',
    '--no-instructions',
  ]);
  const output = await run(program, args, options);
  if (output !== undefined) {
    await rm(draft, { recursive: true, force: true });
    throw new StartError(
      /No space left on device|Check free disk space/.test(output)
        ? `No space is left on the device of ${dirname(clusterDir)}; a new database needs about 60 MB. ` +
            'Free some, or set BELFRY_DATA_DIR to a directory elsewhere.'
        : `The database in ${clusterDir} could not be made. initdb said: ${complaints(output)}`,
    );
  }
  await rename(draft, clusterDir);
  const parent = await open(dirname(clusterDir));
  await parent.sync().finally(() => parent.close());
}

/** Undefined when the program succeeds, else the end of what it said. */
async function run(
  program: string,
  args: readonly string[],
  options: { readonly uid?: number; readonly gid?: number },
): Promise<string | undefined> {
  return await new Promise((resolve) => {
    let output = '';
    const child = spawn(program, args, {
      ...options,
      cwd: '/',
      env: serverEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const collect = (data: Buffer) => {
      output = (output + data.toString()).slice(-OUTPUT_LIMIT);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : `${output.trim()} (${signal ?? `exit code ${code}`})`),
    );
  });
}

/** What went wrong, without the steps that went right. */
function complaints(output: string): string {
  const lines = output.split('\n');
  const bad = lines.filter((line) => /error|FATAL|PANIC|HINT|could not|denied/i.test(line));
  return (bad.length > 0 ? bad : lines).slice(-4).join('\n');
}

/** Nothing of ours: variables such as PGPORT or LC_ALL would change the server. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C' };
}
