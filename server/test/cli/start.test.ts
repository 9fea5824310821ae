import { spawn } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import {
  belfry,
  descendants,
  hasEnded,
  type Running,
  startBelfry,
  stopBelfry,
  temporaryDirectory,
} from './belfry.ts';

const root = join(import.meta.dirname, '..', '..', '..');

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function dataDir(): Promise<string> {
  const { path, remove } = await temporaryDirectory();
  closers.push(remove);
  return path;
}

async function database(): Promise<TestDatabase> {
  const made = await createTestDatabase();
  closers.push(made.drop);
  return made;
}

async function start(env: Readonly<Record<string, string>>) {
  const running = await startBelfry(env);
  closers.push(() => stopBelfry(running));
  return running;
}

/** One sentence on stderr, exit code 1, nothing on stdout, no stack. */
async function expectRefusal(env: Readonly<Record<string, string>>, sentence: RegExp) {
  const { code, stdout, stderr } = await belfry(['start'], { BELFRY_PORT: '0', ...env });
  expect(stderr.trimEnd().split('\n')).toEqual([expect.stringMatching(sentence)]);
  expect(stdout).toBe('');
  expect(code).toBe(1);
}

test('the first start shows the keys, keeps them private, and prints one ready line', async () => {
  const path = await dataDir();
  const env = { DATABASE_URL: (await database()).url, BELFRY_DATA_DIR: path };
  const first = await start(env);
  const file = join(path, 'credentials.json');
  const credentials = JSON.parse(await readFile(file, 'utf8'));
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(first.stdout()).toBe(`ready ${first.url}\n`);
  expect(first.stderr()).toContain(credentials.environments.development.secret_key);
  await stopBelfry(first);

  const second = await start(env);
  expect(second.stderr()).not.toContain(credentials.environments.development.secret_key);
});

test('a port that is taken is one sentence, and a first start makes nothing before it', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise((resolve) => other.close(resolve)));
  const address = other.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  const sentence = new RegExp(`^Port ${port} on 127\\.0\\.0\\.1 is taken; `);
  const env = { BELFRY_PORT: port, BELFRY_LOG_LEVEL: 'error' };
  await expectRefusal(
    { ...env, DATABASE_URL: (await database()).url, BELFRY_DATA_DIR: await dataDir() },
    sentence,
  );
  const own = await dataDir();
  await expectRefusal({ ...env, BELFRY_DATA_DIR: own }, sentence);
  expect(await readdir(own)).toEqual([]);
});

test('a data dir that cannot be written is one sentence', async () => {
  const file = join(await dataDir(), 'file');
  await writeFile(file, '');
  const env = { BELFRY_DATA_DIR: join(file, 'below') };
  const sentence = /data directory .*below.* BELFRY_DATA_DIR /;
  await expectRefusal(env, sentence);
  await expectRefusal({ ...env, DATABASE_URL: (await database()).url }, sentence);
});

test('a database that is not there is one sentence', async () => {
  await expectRefusal(
    {
      BELFRY_DATA_DIR: await dataDir(),
      DATABASE_URL: 'postgres://belfry:secret@127.0.0.1:1/things',
    },
    /^(?!.*secret)The database things at 127\.0\.0\.1:1 cannot be used .*DATABASE_URL\.$/,
  );
});

test('a mail sender that is no address is one sentence', async () => {
  const env = { BELFRY_DATA_DIR: await dataDir(), BELFRY_MAIL_FROM: 'Belfry' };
  await expectRefusal(env, /^BELFRY_MAIL_FROM is "Belfry": set one e-mail address/);
});

test('a variable with a value that makes no sense is one sentence', async () => {
  await expectRefusal({ BELFRY_PORT: 'eighty' }, /^BELFRY_PORT is "eighty": /);
});

test('a failed start with --json is one document', async () => {
  const { code, stdout } = await belfry(['start', '--json'], { BELFRY_PORT: 'eighty' });
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'configuration' } });
});

test.each(['SIGTERM', 'SIGINT'] as const)('%s drains and exits with 0', async (signal) => {
  const server = await start({
    DATABASE_URL: (await database()).url,
    BELFRY_DATA_DIR: await dataDir(),
  });
  const below = await descendants(server.process.pid);
  expect(below.length).toBeGreaterThan(0);
  server.process.kill(signal);
  // A terminal and npm both deliver it.
  server.process.kill(signal);
  expect((await server.finished).code).toBe(0);
  await gone(below);
});

test('a signal to `npm start` alone stops the server, too', async () => {
  const env = {
    ...process.env,
    DATABASE_URL: (await database()).url,
    BELFRY_DATA_DIR: await dataDir(),
    BELFRY_PORT: '0',
    BELFRY_LOG_LEVEL: 'warn',
  };
  const npm = spawn('npm', ['start'], { cwd: root, env, stdio: ['ignore', 'pipe', 'ignore'] });
  let stdout = '';
  npm.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const ended = new Promise((resolve) => npm.once('exit', resolve));
  await waitFor('npm start to be ready', () => stdout.includes('\nready ') || undefined, 30_000);
  const below = await descendants(npm.pid);
  closers.push(async () => killAll(below));
  npm.kill('SIGTERM');
  expect(await ended).toBe(0);
  await gone(below);
});

test('a second signal ends a server at once that cannot drain', async () => {
  const server = await start({
    DATABASE_URL: (await database()).url,
    BELFRY_DATA_DIR: await dataDir(),
  });
  const executors = await descendants(server.process.pid);
  // Still stopped, they would keep the pipes of the server open.
  closers.push(async () => killAll(executors));
  for (const pid of executors) process.kill(pid, 'SIGSTOP');
  server.process.kill('SIGTERM');
  await waitFor('the server to stop listening', async () =>
    (await fetch(`${server.url}/healthz`).catch(() => undefined)) ? undefined : true,
  );
  expect(hasEnded(server)).toBe(false);
  await waitFor('the end', () => {
    server.process.kill('SIGTERM');
    return hasEnded(server) || undefined;
  });
  expect(server.process.exitCode).toBe(1);
});

test('a start after kill -9 of the server takes over from the orphaned database', async () => {
  await crashAndStart((server, below) => {
    server.process.kill('SIGKILL');
    return below.filter((pid) => pid === server.process.pid);
  });
});

test('a start after kill -9 of every process just works', async () => {
  await crashAndStart((server, below) => {
    server.process.kill('SIGKILL');
    killAll(below);
    return below;
  });
});

async function crashAndStart(
  crash: (server: Running, below: readonly number[]) => readonly number[],
): Promise<void> {
  const env = { BELFRY_DATA_DIR: await dataDir() };
  const first = await start(env);
  const below = await descendants(first.process.pid);
  closers.push(async () => killAll(below));
  const trigger = ['trigger', 'new-comment', '--recipient', 'ann', '--data', '{"comment":"Hi"}'];
  expect((await belfry(trigger, { ...env, BELFRY_URL: first.url })).code).toBe(0);
  const killed = crash(first, below);
  await first.finished;
  await gone(killed);

  const second = await start(env);
  await waitFor('the message of the trigger before the crash', async () => {
    const { stdout } = await belfry(['messages', '--json'], { ...env, BELFRY_URL: second.url });
    return JSON.parse(stdout).items.length === 1 || undefined;
  });
  await stopBelfry(second);
  expect((await second.finished).code).toBe(0);
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
}

async function gone(pids: readonly number[]): Promise<void> {
  await waitFor('all its processes to end', async () => {
    const states = await Promise.all(
      pids.map((pid) => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'Z')),
    );
    return states.every((text) => /^Z$|\) Z /.test(text)) || undefined;
  });
}

test('--version and -v print the version of the package, and nothing else', async () => {
  const text = await readFile(join(root, 'server', 'package.json'), 'utf8');
  const { version } = JSON.parse(text);
  const shown = { code: 0, stdout: `${version}\n`, stderr: '' };
  expect(await belfry(['--version'], {})).toEqual(shown);
  expect(await belfry(['-v'], {})).toEqual(shown);
});
