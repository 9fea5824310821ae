import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Credentials } from '../../src/accounts/create-account.ts';
import type { Top, TopEntry } from '../../src/ops/top.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import {
  newDataDir,
  removeDataDirs,
  startWholeServer,
  type WholeServer,
} from '../support/whole-server.ts';

let database: TestDatabase;
let whole: WholeServer;
let operator: string;
const accounts: Credentials[] = [];
const FLOOD_UNDER_WAY = 400;
const CALM_PAUSE_MS = 250;

const keyOf = (account: Credentials | undefined): string =>
  account?.environments.production?.secret_key ?? '';

async function call(path: string, token: string, body?: object) {
  const response = await fetch(`${whole.server.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: {
      authorization: `Bearer ${token}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: JSON.parse(await response.text()) };
}

const top = async (): Promise<Top> => (await call('/ops/v1/top', operator)).body;

const trigger = (account: Credentials | undefined, workflow = 'welcome') =>
  call(`/v1/workflows/${workflow}/trigger`, keyOf(account), { recipients: ['ada'] });

beforeAll(async () => {
  database = await createTestDatabase();
  const dataDir = await newDataDir();
  whole = await startWholeServer({ databaseUrl: database.url, dataDir, executors: 1 });
  operator = whole.server.credentials?.operator_token ?? '';
  for (const name of ['acme', 'birch', 'cedar']) {
    const account = (await call('/ops/v1/accounts', operator, { name })).body as Credentials;
    await call('/control/v1/push?environment=production', account.service_token, {
      environment: 'production',
      workflows: [{ key: 'welcome', content: { name: 'Welcome', steps: [] } }],
    });
    accounts.push(account);
  }
});
afterAll(async () => {
  await whole?.stop();
  await database?.drop();
  await removeDataDirs();
});

test('a flood among calm accounts is named within seconds: account, key, workflow, factor, since', {
  timeout: 60_000,
}, async () => {
  // Calm: until what is normal is known, at a pace that a busy machine keeps too.
  await waitFor(
    'normals',
    async () => {
      await new Promise((resolve) => setTimeout(resolve, CALM_PAUSE_MS));
      for (const account of accounts) expect(await trigger(account)).toMatchObject({ status: 200 });
      const { callers } = await top();
      return callers.length === 3 && callers.every(({ factor }) => factor !== null) ? 1 : undefined;
    },
    20_000,
  );

  const floodMs = Date.now();
  // Refusals are kept back for a while: whoever waits for them is no flood.
  const underWay = new Set<Promise<unknown>>();
  const named = await waitFor(
    'the culprit',
    async () => {
      while (underWay.size < FLOOD_UNDER_WAY) {
        const work = trigger(accounts[1]).finally(() => underWay.delete(work));
        underWay.add(work);
      }
      const answer = await top();
      return answer.surges.length > 0 && answer.callers[0]?.account?.name === 'birch'
        ? answer
        : undefined;
    },
    20_000,
  );
  await Promise.all(underWay);
  const first = named.callers[0] as TopEntry;
  expect(first).toMatchObject({
    account: { name: 'birch' },
    environment: { slug: 'production' },
    key: { hint: keyOf(accounts[1]).slice(-4), id: expect.stringMatching(/^key_\d+$/) },
    workflow: 'welcome',
  });
  expect(first.factor ?? first.account_factor).toBeGreaterThan(1);
  expect(Date.parse(first.since ?? '')).toBeGreaterThan(floodMs - 15_000);
  expect(named.surges[0]).toMatch(
    /^account birch \(production\), key \.\.\..{4}, workflow welcome: [\d.]+ times its normal, \d+ % of the traffic, since \d\d:\d\d:\d\d UTC$/,
  );
  expect(named.sources[0]).toMatchObject({ source: '127.0.0.1' });
  expect(JSON.stringify(named)).not.toContain(keyOf(accounts[1]));
});

test('refusals are counted for who is refused, unknown workflows without their names', async () => {
  await trigger(accounts[2], 'no-such-workflow');
  await call('/v1/workflows/welcome/trigger', 'sk_wrong', {});
  const entry = await waitFor('the refusal', async () =>
    (await top()).callers.find(
      ({ workflow, account }) => workflow === null && account?.name === 'cedar',
    ),
  );
  expect(entry.refused_per_s).toBeGreaterThan(0);
  const { body } = await call('/ops/v1/top?window=10m&limit=1', operator);
  expect(body.callers).toHaveLength(1);
  expect(body.total.refused_per_s).toBeGreaterThan(entry.refused_per_s / 100);
});

test('only an operator may ask', async () => {
  expect(await call('/ops/v1/top', keyOf(accounts[0]))).toMatchObject({ status: 403 });
  expect(await call('/ops/v1/top?window=1h', operator)).toMatchObject({ status: 422 });
});
