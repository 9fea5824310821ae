import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..');
const belfry = join(root, 'server', 'bin', 'belfry.js');

export type StartedServer = {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  readonly credentials: {
    readonly environments: {
      readonly development: {
        readonly secret_key: string;
        readonly public_key: string;
        readonly channels: { readonly [key: string]: string };
      };
    };
  };
  /** Runs a command of the CLI against this server; throws with its output when it fails. */
  readonly run: (...args: readonly string[]) => Promise<string>;
  readonly stop: () => Promise<void>;
};

/**
 * A server as a user starts one, with a port and a data dir of its own. Without a URL it starts its
 * embedded database.
 */
export async function startServer(databaseUrl = ''): Promise<StartedServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'belfry-e2e-'));
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
    BELFRY_PORT: '0',
    BELFRY_DATA_DIR: dataDir,
    BELFRY_LOG_LEVEL: 'warn',
    DATABASE_URL: databaseUrl,
  };
  const server = spawn(process.execPath, [belfry, 'start'], {
    cwd: root,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const origin = await readyOrigin(server);
  const port = new URL(origin).port;
  const credentials = await readFile(join(dataDir, 'credentials.json'), 'utf8');

  return {
    origin,
    credentials: JSON.parse(credentials),
    run: (...args) => runCli(args, { ...env, BELFRY_PORT: port }),
    stop: async () => {
      if (server.exitCode === null && server.signalCode === null) {
        const exited = once(server, 'exit');
        server.kill('SIGTERM');
        await exited;
      }
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** The origin in the line `ready http://...`; throws with everything that was said instead. */
async function readyOrigin(server: ChildProcess): Promise<string> {
  const { stdout, stderr } = server;
  if (!stdout || !stderr) throw new Error('the server was started without pipes');
  let said = '';
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-20_000);
  });
  for await (const line of createInterface({ input: stdout })) {
    const ready = /^ready (http:\/\/\S+)/.exec(line);
    if (ready?.[1]) {
      // What comes later is not needed, but a full pipe would stop the server.
      stdout.resume();
      return ready[1];
    }
    said += `${line}\n`;
  }
  throw new Error(`the server ended before it was ready:\n${said}`);
}

async function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const cli = spawn(process.execPath, [belfry, ...args], { cwd: root, env });
  let said = '';
  for (const stream of [cli.stdout, cli.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const [code] = await once(cli, 'close');
  if (code !== 0) throw new Error(`belfry ${args.join(' ')} exited with ${code}:\n${said}`);
  return said;
}
