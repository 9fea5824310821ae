import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('./clickhouse-engine-process.mjs', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../.cache/chdb', import.meta.url));
const VERSION = '3.4.0';

export type ClickHouseEngine = {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** As a crash: nothing is said goodbye to. */
  readonly kill: () => Promise<void>;
  /** Starts on the same data and port. */
  readonly restart: () => Promise<void>;
  /** Ends it and removes its data. */
  readonly stop: () => Promise<void>;
};

/**
 * A current ClickHouse engine with an HTTP interface: the npm package chdb in a process of its own. It is 543 MB and fetched into
 * `.cache/chdb` once, unless BELFRY_CHDB names a folder that it is installed in.
 */
export async function startClickHouseEngine(): Promise<ClickHouseEngine> {
  const packageDir = fetchEngine();
  const dataDir = await mkdtemp(join(tmpdir(), 'belfry-clickhouse-'));
  let child: ChildProcess | undefined;
  let port = 0;
  const start = async (): Promise<void> => {
    const own = spawn(process.execPath, [ENTRY, packageDir, dataDir, String(port)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child = own;
    const lines = createInterface(own.stdout);
    const [line] = (await once(lines, 'line')) as [string];
    port = Number(line.split(' ')[1]);
  };
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url: `http://default:@127.0.0.1:${port}/default`,
    port,
    get pid() {
      return child?.pid ?? 0;
    },
    kill,
    restart: start,
    stop: async () => {
      await kill();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function fetchEngine(): string {
  const dir = process.env.BELFRY_CHDB ?? CACHE;
  if (!existsSync(join(dir, 'node_modules', 'chdb'))) {
    mkdirSync(dir, { recursive: true });
    execFileSync(
      'npm',
      ['install', '--prefix', dir, '--no-audit', '--no-fund', `chdb@${VERSION}`],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
  }
  return dir;
}
