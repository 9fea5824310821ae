import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Credentials } from '../../src/accounts/create-account.ts';
import { FAULT_VARIABLE, type FaultAction, type FaultPoint } from '../../src/lib/fault-point.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { readBody, serveHttp } from '../channels/support.ts';
import { hasEnded, type Started, startBelfry } from '../cli/belfry.ts';
import { startChild } from './child.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { delayStep, feedStep, webhookStep } from './engine-world.ts';
import { waitFor } from './wait.ts';
import { clientOf } from './whole-server.ts';

/** A server in processes of its own, which dies at fault points and is started again on the same database. */
export type FaultServer = {
  readonly test: TestDatabase;
  /** What was acknowledged: runs of the workflow `both`, with their recipients. */
  readonly acknowledged: ReadonlyMap<string, readonly string[]>;
  readonly arm: (point: FaultPoint, action?: FaultAction) => Promise<void>;
  readonly release: (point: FaultPoint) => Promise<void>;
  readonly isReached: (point: FaultPoint) => Promise<boolean>;
  /** Triggers until the point was reached and a little longer, with whatever must be started again. */
  readonly loadUntil: (point: FaultPoint) => Promise<void>;
  /** A few acknowledged triggers. */
  readonly loadSome: () => Promise<void>;
  /** Starts it when it does not run. Of a start that ended at a fault point nothing is said. */
  readonly ensureRunning: () => Promise<void>;
  readonly kill: () => Promise<void>;
  /**
   * Starts it anew when it died, or much died in it: an executor that dies again and again is started ever later, up to 5 s.
   */
  readonly renew: () => Promise<void>;
  /** With the key of `development`, the operator token for `/ops`, or the service token for `/control`. */
  readonly call: (method: string, path: string, body?: JsonObject) => Promise<JsonObject>;
  readonly trigger: (workflowKey: string, body: JsonObject) => Promise<string>;
  readonly push: (key: string, steps: readonly JsonObject[]) => Promise<void>;
  /** Runs the tool; undefined when it was killed. */
  readonly tool: (verb: 'truncate' | 'ledger' | 'retention') => Promise<JsonObject | undefined>;
  /** How often the provider was called for each message. */
  readonly calls: ReadonlyMap<string, number>;
  readonly close: () => Promise<void>;
};

const TOOL = fileURLToPath(new URL('./fault-tool.ts', import.meta.url));
const PAUSE_MS = 10;
const SOME = 3;
/** The fifth would be waited for as long as a start of the server takes. */
const DEATHS = 4;

export async function startFaultServer(): Promise<FaultServer> {
  const test = await createTestDatabase({ max: 4 });
  const directory = await mkdtemp(join(tmpdir(), 'belfry-fault-'));
  const points = join(directory, 'points');
  await mkdir(points);
  const faults = { [FAULT_VARIABLE]: points, NODE_ENV: 'test' };
  const calls = new Map<string, number>();
  const provider = await serveHttp(async (request, response) => {
    await readBody(request);
    const key = String(request.headers['idempotency-key']);
    calls.set(key, (calls.get(key) ?? 0) + 1);
    response.end('ok');
  });
  const env = {
    DATABASE_URL: test.url,
    BELFRY_DATA_DIR: directory,
    BELFRY_EXECUTORS: '1',
    BELFRY_LOG_LEVEL: 'silent',
    BELFRY_ALLOW_PRIVATE_WEBHOOKS: 'true',
    ...faults,
  };
  const acknowledged = new Map<string, readonly string[]>();
  let running: Started | undefined;
  let number = 0;
  /** Points that were armed since its start. */
  let armed = 0;

  const isReached = async (point: FaultPoint): Promise<boolean> =>
    (await readFile(join(points, `${point}.reached`), 'utf8').catch(() => undefined)) !== undefined;

  async function ensureRunning(): Promise<void> {
    if (running && !hasEnded(running)) return;
    running = undefined;
    armed = 0;
    // The first start may be the one that dies.
    running = await startBelfry(env).catch(() => startBelfry(env));
  }

  let credentials: Credentials | undefined;
  const client = () => clientOf(running?.url ?? '', () => credentials);

  /** One trigger, which may or may not be acknowledged. */
  async function load(): Promise<void> {
    await ensureRunning();
    number += 1;
    const recipients = [0, 1, 2].map((i) => `user-${number}-${i}`);
    const body = { recipients, data: { url: provider.url } };
    await client()
      .trigger('both', body)
      .then(
        (runId) => acknowledged.set(runId, recipients),
        () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS)),
      );
  }

  async function loadSome(): Promise<void> {
    const goal = acknowledged.size + SOME;
    const enough = async (): Promise<true | undefined> => {
      await load();
      return acknowledged.size >= goal ? true : undefined;
    };
    await waitFor('triggers', enough, 30_000);
  }

  async function kill(): Promise<void> {
    running?.process.kill('SIGKILL');
    await running?.finished;
  }

  /** Of one that is being killed nobody may have heard yet. */
  async function isAlive(): Promise<boolean> {
    const answer = await fetch(`${running?.url}/healthz`).catch(() => undefined);
    await answer?.body?.cancel();
    return answer !== undefined;
  }

  async function loadUntil(point: FaultPoint): Promise<void> {
    await waitFor(
      point,
      async () => {
        await load();
        return (await isReached(point)) ? true : undefined;
      },
      30_000,
    );
    await loadSome();
  }

  await ensureRunning();
  credentials = JSON.parse(await readFile(join(directory, 'credentials.json'), 'utf8'));
  await client().push('both', [feedStep('Hi'), webhookStep()]);
  await client().push('later', [delayStep(1), feedStep('Hi')]);

  return {
    test,
    acknowledged,
    calls,
    arm: async (point, action = 'exit') => {
      // Whole or not at all: somebody may look at any moment.
      const file = join(points, point);
      await writeFile(`${file}.new`, action);
      await rm(`${file}.reached`, { force: true });
      await rename(`${file}.new`, file);
      armed += 1;
    },
    release: (point) => writeFile(join(points, `${point}.go`), ''),
    isReached,
    loadUntil,
    loadSome,
    ensureRunning,
    kill,
    renew: async () => {
      if (armed >= DEATHS || !(await isAlive())) await kill();
      await ensureRunning();
    },
    call: async (method, path, body) => {
      const key = path.startsWith('/ops/')
        ? credentials?.operator_token
        : path.startsWith('/control/')
          ? credentials?.service_token
          : credentials?.environments.development?.secret_key;
      const response = await fetch(`${running?.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      const answer = (await response.json()) as JsonObject;
      if (!response.ok) throw new Error(JSON.stringify(answer));
      return answer;
    },
    trigger: (key, body) => client().trigger(key, body),
    push: (key, steps) => client().push(key, steps),
    tool: async (verb) => {
      const child = startChild(TOOL, [test.url, verb], faults);
      const answer = await child.answer.catch(() => undefined);
      await child.end();
      return answer as JsonObject | undefined;
    },
    close: async () => {
      await kill();
      await provider.close();
      await test.drop();
      await rm(directory, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}
