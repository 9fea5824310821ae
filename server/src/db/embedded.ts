import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Logger } from '../lib/log.ts';
import { openSession } from './database.ts';
import { findPostgresBinaries } from './embedded/binaries.ts';
import { prepareCluster } from './embedded/cluster.ts';
import { lockDataDirectory } from './embedded/data-lock.ts';
import { openServerLog } from './embedded/log-file.ts';
import { stopOrphan } from './embedded/orphan.ts';
import { type Server, startServer } from './embedded/server.ts';
import { chooseServerUser } from './embedded/server-user.ts';
import { type PostgresSettings, serverArguments } from './embedded/settings.ts';
import { makeSocketDirectory } from './embedded/socket-directory.ts';
import { lowerVacuums } from './embedded/vacuum-priority.ts';
import { StartError, systemErrorCode } from './start-error.ts';

export type EmbeddedPostgresOptions = {
  readonly dataDir: string;
  readonly log: Logger;
  /** Server settings that differ from ours. */
  readonly settings?: PostgresSettings;
  /** False only where the data may be lost with the machine: tests. */
  readonly fsync?: boolean;
  /** Called when the server ends without `stop`. Everything is released by then: start it anew. */
  readonly onExit?: (reason: string) => void;
};

export type EmbeddedPostgres = {
  /** For node-postgres: a socket that only this user and root can reach. */
  readonly url: string;
  readonly pid: number;
  readonly stop: () => Promise<void>;
};

/**
 * Starts Belfry's own PostgreSQL on `<dataDir>/postgres`, made at the first start. A server that a
 * killed process left there is stopped first. Throws a StartError, whose message is for the operator.
 *
 * @example
 *   const postgres = await startEmbeddedPostgres({ dataDir: '.belfry', log });
 *   const db = openDatabase({ url: postgres.url, max: 10, applicationName: 'belfry', log });
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  const closers: (() => Promise<void>)[] = [];
  const release = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    return await start(dataDir, options, closers, release);
  } catch (error) {
    await release().catch(() => {});
    throw explain(error, dataDir);
  }
}

async function start(
  dataDir: string,
  options: EmbeddedPostgresOptions,
  closers: (() => Promise<void>)[],
  release: () => Promise<void>,
): Promise<EmbeddedPostgres> {
  const { log } = options;
  const clusterDir = join(dataDir, 'postgres');
  // Root's server runs as another user, who must get through; nobody may list it.
  await makeDirectory(dataDir, process.getuid?.() === 0 ? 0o711 : 0o700);
  const lock = await lockDataDirectory(dataDir);
  closers.push(lock.release);

  const binaries = await findPostgresBinaries();
  const user = await chooseServerUser({ clusterDir, reach: [dirname(binaries.postgres), dataDir] });
  await prepareCluster(clusterDir, binaries, user);
  await stopOrphan(clusterDir, log);

  const socketDir = await makeSocketDirectory(dataDir, user);
  closers.push(() => rm(socketDir, { recursive: true, force: true }));
  const serverLog = await openServerLog(join(dataDir, 'postgres.log'));
  closers.push(serverLog.close);

  const settings = {
    ...options.settings,
    unix_socket_directories: socketDir,
    fsync: options.fsync === false ? 'off' : 'on',
  };
  const command = user.command(binaries.postgres, ['-D', clusterDir, ...serverArguments(settings)]);
  const server = await startServer({ clusterDir, command, serverLog, log });
  const vacuums = lowerVacuums(server.pid, log);
  closers.push(async () => vacuums.close());
  const stop = superviseServer(server, options.onExit, release);
  try {
    const port = options.settings?.port ?? '5432';
    const urlOf = (database: string) =>
      `postgres://belfry@/${database}?host=${encodeURIComponent(socketDir)}&port=${port}`;
    await createDatabase(urlOf('postgres'), log);
    return { url: urlOf('belfry'), pid: server.pid, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

// Not mkdir's own recursion: in places that hold no directories, such as /proc, it never ends.
async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (code !== 'ENOENT' || (await exists(dirname(path)))) throw error;
    await makeDirectory(dirname(path), 0o755);
    await makeDirectory(path, mode);
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

/** Hears of the server's end; the returned function ends it on purpose. */
function superviseServer(
  server: Server,
  onExit: ((reason: string) => void) | undefined,
  release: () => Promise<void>,
): () => Promise<void> {
  let stopping: Promise<void> | undefined;
  void server.exited.then(async (reason) => {
    if (stopping) return;
    await release();
    onExit?.(reason);
  });
  return () => {
    stopping ??= server.stop().then(release);
    return stopping;
  };
}

async function createDatabase(url: string, log: Logger): Promise<void> {
  const session = await openSession({ url, applicationName: 'belfry start', log });
  try {
    const found = await session.query(`select from pg_database where datname = 'belfry'`);
    if (found.length === 0) await session.query('create database belfry');
  } finally {
    await session.close();
  }
}

function explain(error: unknown, dataDir: string): unknown {
  if (error instanceof StartError) return error;
  const code = systemErrorCode(error);
  if (code === 'ENOSPC') {
    return new StartError(
      `No space is left on the device of ${dataDir}; free some, or set BELFRY_DATA_DIR to a directory elsewhere.`,
    );
  }
  if (code && ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOENT'].includes(code)) {
    return new StartError(
      `The data directory ${dataDir} cannot be written (${code}: ${(error as Error).message.replace(/^\w+: /, '')}); ` +
        'set BELFRY_DATA_DIR to a directory that this user may write to.',
    );
  }
  return error;
}
