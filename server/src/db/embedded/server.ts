import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Logger } from '../../lib/log.ts';
import { StartError } from '../start-error.ts';
import { serverEnvironment } from './cluster.ts';
import type { ServerLog } from './log-file.ts';
import { stopOrphan } from './orphan.ts';
import { stopProcess } from './process.ts';
import type { Command } from './server-user.ts';

export type Server = {
  readonly pid: number;
  /** Resolves with a description when the process is gone, for whatever reason. */
  readonly exited: Promise<string>;
  readonly stop: () => Promise<void>;
};

const POLL_MS = 10;
const SAY_EVERY_MS = 5_000;
// Replaying max_wal_size of log after a crash takes minutes on a slow disk.
const READY_WITHIN_MS = 15 * 60_000;
// After the death of its main process, a server's sessions need a moment to notice.
const RESTARTS_WHILE_REMAINS_DIE = 50;
const REMAINS_WAIT_MS = 200;

/** Starts the server program on its data and waits until it takes connections. */
export async function startServer(input: {
  readonly clusterDir: string;
  readonly command: Command;
  readonly serverLog: ServerLog;
  readonly log: Logger;
}): Promise<Server> {
  for (let attempt = 1; ; attempt += 1) {
    const child = await spawnServer(input.command, input.serverLog);
    const exited = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    const pid = child.pid ?? 0;
    const server: Server = { pid, exited, stop: () => stopServer(pid, exited) };
    try {
      if (await isReady(child, input.clusterDir, input.log)) return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
    const reason = await exited;
    const tail = await input.serverLog.tail();
    if (/pre-existing shared memory block/.test(tail) && attempt < RESTARTS_WHILE_REMAINS_DIE) {
      await wait(REMAINS_WAIT_MS);
      continue;
    }
    // A killed Belfry had just started one that wrote its file after we looked, or the dead server is
    // still in the process table because nobody has waited for it yet.
    if (
      /lock file "postmaster.pid" already exists/.test(tail) &&
      attempt < RESTARTS_WHILE_REMAINS_DIE
    ) {
      await stopOrphan(input.clusterDir, input.log);
      await wait(REMAINS_WAIT_MS);
      continue;
    }
    throw new StartError(startFailure(input.clusterDir, reason, tail));
  }
}

async function spawnServer(command: Command, serverLog: ServerLog): Promise<ChildProcess> {
  const child = spawn(command.program, command.args, {
    ...command.options,
    cwd: '/',
    env: serverEnvironment(),
    // A session of its own: ctrl-C in the terminal must reach us and not the database under us.
    detached: true,
    stdio: ['ignore', serverLog.file.fd, serverLog.file.fd],
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) =>
      reject(new StartError(`PostgreSQL (${command.program}) cannot be run: ${error.message}.`)),
    );
  });
  // It must not keep a process alive that has nothing else left to do.
  child.unref();
  return child;
}

/** True when it takes connections, false when it is gone. */
async function isReady(child: ChildProcess, clusterDir: string, log: Logger): Promise<boolean> {
  const path = join(clusterDir, 'postmaster.pid');
  for (let waitedMs = 0; waitedMs < READY_WITHIN_MS; waitedMs += POLL_MS) {
    if (child.exitCode !== null || child.signalCode !== null) return false;
    const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n');
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return true;
    if (waitedMs > 0 && waitedMs % SAY_EVERY_MS === 0) {
      log.info({ waitedMs }, 'waiting for the database to recover from a crash');
    }
    await wait(POLL_MS);
  }
  throw new StartError(
    `The database in ${clusterDir} did not become ready within ${READY_WITHIN_MS / 60_000} minutes; ` +
      'see postgres.log beside it.',
  );
}

async function stopServer(pid: number, exited: Promise<string>): Promise<void> {
  // SIGINT ends sessions and writes a checkpoint; SIGQUIT leaves the work to the next start's recovery.
  await stopProcess(pid, [
    ['SIGINT', 60_000],
    ['SIGQUIT', 10_000],
    ['SIGKILL', 5_000],
  ]);
  await exited;
}

function startFailure(clusterDir: string, reason: string, tail: string): string {
  if (/No space left on device|Check free disk space/.test(tail)) {
    return `No space is left on the device of ${clusterDir}; free some and start again. PostgreSQL said:\n${tail}`;
  }
  return `PostgreSQL did not start on ${clusterDir} (${reason}). It said:\n${tail}`;
}
