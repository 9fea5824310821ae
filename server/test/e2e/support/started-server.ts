import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EnvironmentCredentials } from '../../../src/accounts/create-account.ts';
import { readConfig } from '../../../src/config.ts';
import { startServer } from '../../../src/main.ts';

export type StartedServer = {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  readonly dataDir: string;
  /** Of the account demo's environment development. */
  readonly development: EnvironmentCredentials;
  readonly stop: () => Promise<void>;
};

/**
 * The whole server at its first start, with a port and a data dir of its own. Without a URL it
 * starts its embedded database.
 */
export async function startWholeServer(databaseUrl?: string): Promise<StartedServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'belfry-e2e-'));
  const config = readConfig({
    BELFRY_PORT: '0',
    BELFRY_CANARY: 'off',
    BELFRY_DATA_DIR: dataDir,
    BELFRY_LOG_LEVEL: 'warn',
  });
  const server = await startServer({ ...config, databaseUrl });
  const development = server.credentials?.environments.development;
  if (!development) throw new Error('the first start made no environment development');
  return {
    origin: server.url,
    dataDir,
    development,
    stop: async () => {
      await server.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
