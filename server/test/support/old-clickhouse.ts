import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withSystemPath } from '../../src/lib/system-path.ts';
import { closedPort } from '../cli/belfry.ts';
import { ensurePrograms } from './debian-programs.ts';
import { waitFor } from './wait.ts';

/** Of the package of the same name. */
const PROGRAM = 'clickhouse-server';
/** For a machine that is busy with something else. */
const START_MS = 60_000;
const SAID_CHARACTERS = 2_000;

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
  await ensurePrograms([PROGRAM], [PROGRAM]);
  const directory = await mkdtemp(join(tmpdir(), 'belfry-old-clickhouse-'));
  for (const name of ['data', 'tmp', 'log']) await mkdir(join(directory, name));
  const [http, tcp] = [await closedPort(), await closedPort()];
  await writeFile(join(directory, 'users.xml'), USERS);
  await writeFile(join(directory, 'config.xml'), configuration(directory, http, tcp));
  const url = `http://default:@127.0.0.1:${http}/default`;
  let end = async (): Promise<void> => undefined;
  const start = async (): Promise<void> => {
    const child = spawn(PROGRAM, [`--config-file=${join(directory, 'config.xml')}`], {
      cwd: directory,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: withSystemPath(process.env),
    });
    let said = '';
    child.stderr.on('data', (data: Buffer) => {
      said = `${said}${data}`.slice(-SAID_CHARACTERS);
    });
    let failure: Error | undefined;
    const over = new Promise<void>((resolve) => {
      child.once('error', (error) => {
        failure = error;
        resolve();
      });
      child.once('exit', (code, signal) => {
        failure = new Error(`the old server ended (${signal ?? code}): ${said}`);
        resolve();
      });
    });
    end = () => {
      child.kill('SIGKILL');
      return over;
    };
    await waitFor(
      'the old server',
      async () => {
        if (failure) throw failure;
        const answer = await fetch(`http://127.0.0.1:${http}/ping`).catch(() => undefined);
        return answer?.ok ? true : undefined;
      },
      START_MS,
    );
  };
  const close = async (): Promise<void> => {
    await end();
    await rm(directory, { recursive: true, force: true, maxRetries: 10 });
  };
  try {
    await start();
  } catch (error) {
    await close();
    throw error;
  }
  return { url, kill: () => end(), start, close };
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
