import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../src/config.ts';
import { readConfig } from '../../src/config.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { type RunningServer, type StartOptions, startServer } from '../../src/main.ts';

/** The whole server in this process, its executors and database beside it. */
export type WholeServer = {
  readonly server: RunningServer;
  readonly dataDir: string;
  readonly push: (key: string, steps: readonly JsonObject[], environment?: string) => Promise<void>;
  /** Resolves with the run's id when the trigger was acknowledged; throws when it was not. */
  readonly trigger: (workflowKey: string, body: JsonObject) => Promise<string>;
  /** `trigger` with another secret key. */
  readonly as: (secretKey: string) => (workflowKey: string, body: JsonObject) => Promise<string>;
  readonly metric: (name: string) => Promise<number>;
  readonly stop: () => Promise<void>;
};

const dataDirs: string[] = [];

export async function newDataDir(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'belfry-engine-'));
  dataDirs.push(dataDir);
  return dataDir;
}

export async function removeDataDirs(): Promise<void> {
  for (const dataDir of dataDirs.splice(0)) await rm(dataDir, { recursive: true, force: true });
}

export async function startWholeServer(
  options: Partial<Config>,
  start: StartOptions = {},
): Promise<WholeServer> {
  const dataDir = options.dataDir ?? (await newDataDir());
  const config = {
    ...readConfig({ BELFRY_PORT: '0', BELFRY_LOG_LEVEL: 'silent', BELFRY_CANARY: 'off' }),
    allowPrivateWebhooks: true,
    ...options,
    dataDir,
  };
  const server = await startServer(config, start);
  return { dataDir, server, ...clientOf(server.url, () => server.credentials), stop: server.stop };
}

/** What a test asks of a server at `url`. */
export function clientOf(url: string, credentials: () => RunningServer['credentials']) {
  const call = async (path: string, token: string, body: JsonObject): Promise<unknown> => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
    return JSON.parse(text);
  };
  const trigger = async (secretKey: string, workflowKey: string, body: JsonObject) => {
    const answer = await call(`/v1/workflows/${workflowKey}/trigger`, secretKey, body);
    return (answer as { workflow_run_id: string }).workflow_run_id;
  };
  return {
    push: async (
      key: string,
      steps: readonly JsonObject[],
      environment = 'development',
    ): Promise<void> => {
      const workflows = [{ key, content: { name: key, steps } }];
      const path = `/control/v1/push?environment=${environment}`;
      await call(path, credentials()?.service_token ?? '', { workflows });
    },
    trigger: (workflowKey: string, body: JsonObject): Promise<string> =>
      trigger(credentials()?.environments.development?.secret_key ?? '', workflowKey, body),
    as: (secretKey: string) => (workflowKey: string, body: JsonObject) =>
      trigger(secretKey, workflowKey, body),
    metric: async (name: string): Promise<number> => {
      const text = await (await fetch(`${url}/metrics`)).text();
      const line = text.split('\n').find((each) => each.startsWith(`${name} `));
      return Number(line?.slice(name.length + 1) ?? Number.NaN);
    },
  };
}
