import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../support/wait.ts';

const program = join(import.meta.dirname, '..', '..', 'bin', 'belfry.js');

export type Environment = Readonly<Record<string, string>>;

export type Finished = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type Running = {
  readonly process: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly finished: Promise<Finished>;
};

/** The CLI in a process of its own, with these variables and no others of ours; `input` is its stdin. */
export function spawnBelfry(args: readonly string[], env: Environment, input?: string): Running {
  const child = spawn(process.execPath, [program, ...args], {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '',
      TZ: 'UTC',
      BELFRY_CANARY: 'off',
      ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.end(input ?? '');
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const finished = new Promise<Finished>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { process: child, stdout: () => stdout, stderr: () => stderr, finished };
}

export function belfry(
  args: readonly string[],
  env: Environment,
  input?: string,
): Promise<Finished> {
  return spawnBelfry(args, env, input).finished;
}

export type Started = Running & { readonly url: string; readonly env: Environment };

/** `belfry start` on a free port, ready. Stop it with `stopBelfry`. */
export async function startBelfry(env: Environment): Promise<Started> {
  const running = spawnBelfry(['start'], { BELFRY_PORT: '0', BELFRY_LOG_LEVEL: 'warn', ...env });
  const ready = await waitFor(
    'the server to be ready',
    () => {
      if (hasEnded(running)) throw new Error(`the server ended:\n${running.stderr()}`);
      return /^ready (http:\/\/\S+)$/m.exec(running.stdout())?.[1];
    },
    30_000,
  );
  return { ...running, url: ready, env: { ...env, BELFRY_URL: ready } };
}

export async function stopBelfry(running: Running | undefined): Promise<void> {
  if (!running) return;
  if (!hasEnded(running)) running.process.kill('SIGTERM');
  await running.finished;
}

export function hasEnded({ process: child }: Running): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** A data dir of its own; everything is gone after `remove`. */
export async function temporaryDirectory(): Promise<{
  readonly path: string;
  readonly remove: () => Promise<void>;
}> {
  const path = await mkdtemp(join(tmpdir(), 'belfry-cli-'));
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 10 }) };
}

/** A port of this machine on which nobody listens. */
export async function closedPort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

/** Ids of the processes below this one, at every depth. */
export async function descendants(pid: number | undefined): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = new Map<number, number>();
  for (const name of names) {
    const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    // pid (command) state ppid ...; the command may hold anything, so the last bracket counts.
    const parent = text.slice(text.lastIndexOf(')') + 2).split(' ')[1];
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const isBelow = (id: number): boolean => {
    const parent = parents.get(id);
    return parent !== undefined && (parent === pid || isBelow(parent));
  };
  return [...parents.keys()].filter(isBelow);
}
