import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { type Database, openDatabase } from '../db/database.ts';
import { NODE_FLAGS } from '../lib/node-flags.ts';
import { childProcesses } from './child-processes.ts';

const BELFRY = fileURLToPath(new URL('../../bin/belfry.js', import.meta.url));
const CONNECTIONS = 4;
const KILL_AFTER_MS = 90_000;

/** A server in processes of its own on a data dir of its own, as a user starts it. */
export type ScratchServer = {
  readonly url: string;
  readonly dataDir: string;
  readonly operatorToken: string;
  /** For looking, and for what no caller may do; the server does not know of it. */
  readonly db: Database;
  /** Kills one executor without warning; returns its process id. */
  readonly killExecutor: () => Promise<number>;
  /** Ends the database as a crash of its machine would: nothing is written any more. */
  readonly crashDatabase: () => Promise<void>;
  /** A number of `/metrics`. */
  readonly metric: (name: string) => Promise<number>;
  /** Ends everything and removes the data dir. */
  readonly destroy: () => Promise<void>;
};

/**
 * Starts a server that has nothing to do with any other: its own data dir, embedded database and a free
 * port. It ends with this process, however that ends. `env` gives it the path and so on; what would lead it
 * to somebody's data is left out. `own` are variables for it, `disk` the folder of a disk of its own.
 */
export async function startScratchServer(
  env: Readonly<Record<string, string | undefined>>,
  {
    own = {},
    disk,
  }: { readonly own?: Readonly<Record<string, string>>; readonly disk?: string | undefined } = {},
): Promise<ScratchServer> {
  const dataDir = disk ? join(disk, 'data') : await mkdtemp(join(tmpdir(), 'belfry-drill-'));
  if (disk) await mkdir(dataDir, { mode: 0o711 });
  const errors = await open(join(dataDir, 'server.log'), 'a');
  const child = spawn(process.execPath, [...NODE_FLAGS, BELFRY, 'start'], {
    env: {
      ...Object.fromEntries(
        Object.entries(env).filter(([name]) => !/^(?:BELFRY_|AWS_|PG|DATABASE_URL$)/.test(name)),
      ),
      BELFRY_PORT: '0',
      BELFRY_LOG_LEVEL: 'warn',
      BELFRY_DATA_DIR: dataDir,
      ...own,
    },
    // As a service: a session of its own, so that the processor is shared with it and not with its callers' threads.
    detached: true,
    // The channel tells it when this process is gone.
    stdio: ['ignore', 'pipe', errors.fd, 'ipc'],
  });
  await errors.close();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    const impatience = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    await exited;
    clearTimeout(impatience);
    await rm(dataDir, { recursive: true, force: true });
  };
  try {
    const url = await readyLine(child, join(dataDir, 'server.log'));
    const postmaster = async (): Promise<string[]> =>
      (await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n');
    const credentials = JSON.parse(await readFile(join(dataDir, 'credentials.json'), 'utf8')) as {
      readonly operator_token: string;
    };
    const socketDir = (await postmaster())[4] ?? '';
    const db = openDatabase({
      url: `postgres://belfry@/belfry?host=${encodeURIComponent(socketDir)}&port=5432`,
      max: CONNECTIONS,
      applicationName: 'belfry drill',
      log: pino({ level: 'silent' }),
    });
    return {
      url,
      dataDir,
      operatorToken: credentials.operator_token,
      db,
      killExecutor: async () => {
        const [pid] = await childProcesses(child.pid ?? 0, 'executor/main.ts');
        if (pid === undefined) throw new Error('the server has no executor that could be killed');
        process.kill(pid, 'SIGKILL');
        return pid;
      },
      crashDatabase: async () => {
        process.kill(Number((await postmaster())[0]), 'SIGQUIT');
      },
      metric: async (name) => {
        const text = await (await fetch(`${url}/metrics`)).text();
        return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
      },
      destroy: async () => {
        await db.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function readyLine(child: ChildProcess, logPath: string): Promise<string> {
  const url = await new Promise<string | undefined>((resolve) => {
    let output = '';
    child.stdout?.on('data', (data: Buffer) => {
      output += data.toString();
      const match = /^ready (\S+)$/m.exec(output);
      if (match?.[1]) resolve(match[1]);
    });
    child.once('exit', () => resolve(undefined));
  });
  if (url !== undefined) return url;
  const log = await readFile(logPath, 'utf8').catch(() => '');
  throw new Error(`the drill's server ended before it was ready: ${log.slice(-2_000)}`);
}
