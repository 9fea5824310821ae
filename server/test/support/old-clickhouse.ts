import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { closedPort } from '../cli/belfry.ts';
import { waitFor } from './wait.ts';

const run = promisify(execFile);

const PACKAGE = 'clickhouse-server';

export type OldClickHouse = {
  readonly url: string;
  readonly kill: () => Promise<void>;
  readonly start: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/**
 * The server that Debian has, of 2018: a real one with a real network, too old for our tables. Installs the package where root
 * may. Throws a sentence with the command where it is missing.
 */
export async function startOldClickHouse(): Promise<OldClickHouse> {
  await ensurePackage();
  const directory = await mkdtemp(join(tmpdir(), 'belfry-old-clickhouse-'));
  for (const name of ['data', 'tmp', 'log']) await mkdir(join(directory, name));
  const [http, tcp] = [await closedPort(), await closedPort()];
  await writeFile(join(directory, 'users.xml'), USERS);
  await writeFile(join(directory, 'config.xml'), configuration(directory, http, tcp));
  const url = `http://default:@127.0.0.1:${http}/default`;
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(PACKAGE, [`--config-file=${join(directory, 'config.xml')}`], {
      cwd: directory,
      stdio: 'ignore',
    });
    await waitFor('the old server', async () => {
      const answer = await fetch(`http://127.0.0.1:${http}/ping`).catch(() => undefined);
      return answer?.ok ? true : undefined;
    });
  };
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    url,
    kill,
    start,
    close: async () => {
      await kill();
      await rm(directory, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

async function ensurePackage(): Promise<void> {
  const found = await run('which', [PACKAGE]).catch(() => false);
  if (found) return;
  if (process.getuid?.() !== 0) {
    throw new Error('This test needs a server; run: sudo apt-get install -y clickhouse-server');
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-q'], { env });
  await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', PACKAGE], {
    env,
    maxBuffer: 100_000_000,
  });
}

const USERS = `<yandex>
  <profiles><default/></profiles>
  <users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
  <quotas><default/></quotas>
</yandex>`;

const configuration = (directory: string, http: number, tcp: number): string => `<yandex>
  <logger><level>error</level><log>${directory}/log/server.log</log><errorlog>${directory}/log/error.log</errorlog></logger>
  <http_port>${http}</http_port><tcp_port>${tcp}</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>${directory}/data/</path><tmp_path>${directory}/tmp/</tmp_path><users_config>${directory}/users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size><timezone>UTC</timezone>
</yandex>`;
