import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { type Database, openDatabase } from '../../src/db/database.ts';
import { NODE_FLAGS } from '../../src/lib/node-flags.ts';

const BELFRY = fileURLToPath(new URL('../../bin/belfry.js', import.meta.url));

/** A server in processes of its own, on a data dir of its own, exactly as a user starts it. */
export type BenchServer = {
  readonly url: string;
  readonly dataDir: string;
  readonly db: Database;
  readonly pid: number;
  readonly postgresPid: () => number;
  readonly startMs: number;
  readonly secretKey: string;
  readonly publicKey: string;
  readonly serviceToken: string;
  readonly operatorToken: string;
  readonly channels: { readonly [key: string]: string };
  readonly environmentId: number;
  readonly child: ChildProcess;
  readonly metric: (name: string) => Promise<number>;
  /** Ends the server; the data dir stays. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<void>;
  /** Ends the server and removes the data dir. */
  readonly destroy: () => Promise<void>;
};

export type BenchServerOptions = {
  readonly dataDir?: string;
  readonly environment?: NodeJS.ProcessEnv;
};

export async function startBenchServer(options: BenchServerOptions = {}): Promise<BenchServer> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'belfry-bench-')));
  const startedMs = performance.now();
  const child = spawn(process.execPath, [...NODE_FLAGS, BELFRY, 'start'], {
    env: {
      ...process.env,
      BELFRY_PORT: '0',
      BELFRY_LOG_LEVEL: 'warn',
      BELFRY_CANARY: 'off',
      ...options.environment,
      BELFRY_DATA_DIR: dataDir,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const url = await readyLine(child);
  const startMs = performance.now() - startedMs;
  const credentials = JSON.parse(readFileSync(join(dataDir, 'credentials.json'), 'utf8'));
  const development = credentials.environments.development;
  const socket =
    readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[4] ?? '';
  const db = openDatabase({
    url: `postgres://belfry@/belfry?host=${encodeURIComponent(socket)}&port=5432`,
    max: 4,
    applicationName: 'belfry bench',
    log: pino({ level: 'silent' }),
  });
  const [environment] = await db.query<{ id: number }>(
    `select id from environment where slug = 'development'`,
  );
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let closing: Promise<void> | undefined;
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    closing ??= db.close();
    await closing;
    if (child.exitCode === null && child.signalCode === null) {
      if (signal === 'SIGKILL') process.kill(-(child.pid ?? 0), signal);
      else child.kill(signal);
    }
    await exited;
  };
  return {
    url,
    dataDir,
    db,
    pid: child.pid ?? 0,
    postgresPid: () =>
      Number(readFileSync(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').split('\n')[0]),
    startMs,
    secretKey: development.secret_key,
    publicKey: development.public_key,
    serviceToken: credentials.service_token,
    operatorToken: credentials.operator_token,
    channels: development.channels,
    environmentId: environment?.id ?? 0,
    child,
    metric: async (name) => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
    },
    stop,
    destroy: async () => {
      await stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function readyLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout?.on('data', (data: Buffer) => {
      output += data.toString();
      const match = /^ready (\S+)$/m.exec(output);
      if (match?.[1]) resolve(match[1]);
    });
    child.once('exit', (code) =>
      reject(new Error(`the server ended with ${code} before it was ready: ${output}`)),
    );
  });
}

/** Calls the API and returns the parsed answer; throws on any status but 2xx. */
export async function call(
  server: BenchServer,
  method: string,
  path: string,
  body?: unknown,
  token?: string,
): Promise<unknown> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token ?? server.secretKey}`,
      'content-type': 'application/json',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}
