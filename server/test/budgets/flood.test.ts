import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Credentials } from '../../src/accounts/create-account.ts';
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

async function call(path: string, token: string, body?: object) {
  const response = await fetch(`${whole.server.url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: {
      authorization: `Bearer ${token}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  const { status, headers } = response;
  return { status, headers, body: JSON.parse(await response.text()) };
}

const trigger = (account: Credentials | undefined, count = 1) =>
  call('/v1/workflows/welcome/trigger', account?.environments.production?.secret_key ?? '', {
    recipients: Array.from({ length: count }, (_, i) => `user-${i}`),
  });

beforeAll(async () => {
  database = await createTestDatabase();
  const dataDir = await newDataDir();
  whole = await startWholeServer({ databaseUrl: database.url, dataDir, executors: 1 });
  operator = whole.server.credentials?.operator_token ?? '';
  for (const name of ['flood', 'calm', 'limited']) {
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

test('a limit holds from the next request, is changed while running, and lifted', async () => {
  const [, , limited] = accounts;
  expect(await trigger(limited)).toMatchObject({ status: 200 });
  const set = (limits: object) => call('/ops/v1/accounts/limited/limits', operator, limits);
  expect(await set({ requests_per_s: 0.01 })).toMatchObject({ body: { requests_per_s: 0.01 } });
  const first = await trigger(limited);
  const second = await trigger(limited);
  expect([first.status, second.status]).toEqual([200, 429]);
  expect(second.body).toMatchObject({
    code: 'rate_limited',
    message: expect.stringContaining('this account may send 0.01 requests a second'),
  });
  expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(1);
  expect(await trigger(accounts[1])).toMatchObject({ status: 200 });

  expect(await set({ requests_per_s: 1_000 })).toMatchObject({ status: 200 });
  expect(await trigger(limited)).toMatchObject({ status: 200 });
  expect(await set({ requests_per_s: null, runs_per_s: 1 })).toMatchObject({
    body: { runs_per_s: 1 },
  });
  // A trigger may be larger than what a second allows; it is paid for afterwards.
  expect(await trigger(limited, 100)).toMatchObject({ status: 200 });
  expect(await trigger(limited)).toMatchObject({
    status: 429,
    body: { message: expect.stringContaining('1 runs a second') },
  });
  expect(await set({ runs_per_s: null })).toMatchObject({ body: {} });
  expect(await trigger(limited)).toMatchObject({ status: 200 });
  expect(await set({})).toMatchObject({ status: 200, body: {} });
  const { entries } = (await call('/ops/v1/audit?account=limited', operator)).body;
  const changes = entries.filter(({ action }: { action: string }) => action === 'limits change');
  expect(changes).toHaveLength(4);
  expect(changes[0]).toMatchObject({ concerned: { runs_per_s: null } });
  const metrics = await (await fetch(`${whole.server.url}/metrics`)).text();
  const entry = await waitFor('the account at the top', async () => {
    const { body: top } = await call('/ops/v1/top?window=10m', operator);
    return top.accounts.find(
      (one: { account: { name: string } }) => one.account.name === 'limited',
    );
  });
  expect(entry).toMatchObject({ refused_by: { 'account limit': 2 } });
  expect(entry.database_ms_per_s).toBeGreaterThanOrEqual(0);
  expect(metrics).toContain('# TYPE belfry_refused_total counter\n');
  expect(metrics).toMatch(/belfry_refused_total\{account="\d+",budget="account limit"\} 2/);
});

test('a key can have a limit of its own, beside the other keys of its account', async () => {
  const [, , limited] = accounts;
  const { body: key } = await call('/ops/v1/keys', operator, {
    kind: 'secret',
    account: 'limited',
    environment: 'production',
  });
  expect(
    await call(`/ops/v1/keys/${key.id}/limits`, operator, { requests_per_s: 0.01 }),
  ).toMatchObject({ status: 200 });
  const get = () => call('/v1/users', key.key);
  expect([(await get()).status, (await get()).status]).toEqual([200, 429]);
  expect(await trigger(limited)).toMatchObject({ status: 200 });
});

test('limits that are none are refused with the way out', async () => {
  const set = (path: string, limits: object) => call(`/ops/v1/${path}/limits`, operator, limits);
  expect(await set('accounts/nobody', { runs_per_s: 1 })).toMatchObject({ status: 404 });
  expect(await set('keys/key_999999', { runs_per_s: 1 })).toMatchObject({ status: 404 });
  expect(await set('accounts/calm', { runs_per_s: 0 })).toMatchObject({ status: 422 });
  expect(await set('accounts/calm', { emails_per_s: 1 })).toMatchObject({
    status: 422,
    body: { message: expect.stringContaining('there are requests_per_s, runs_per_s, bytes_per_s') },
  });
});

test('an account that floods is told to come back, its neighbour never, and everybody is answered', async () => {
  const [flood, calm] = accounts;
  let flooding = true;
  let answers = 0;
  let sent = 0;
  const refused: { readonly retryAfter: number; readonly code: string }[] = [];
  const clients = Array.from({ length: 64 }, async () => {
    while (flooding) {
      sent += 1;
      const answer = await trigger(flood);
      answers += 1;
      if (answer.status === 200) continue;
      expect(answer.status).toBe(429);
      refused.push({
        retryAfter: Number(answer.headers.get('retry-after')),
        code: answer.body.code,
      });
    }
  });
  const neighbour: number[] = [];
  try {
    await waitFor(
      'refusals',
      async () => {
        neighbour.push((await trigger(calm)).status);
        return refused.length > 100 && neighbour.length > 100 ? true : undefined;
      },
      60_000,
    );
  } finally {
    flooding = false;
  }
  await Promise.all(clients);
  expect(answers).toBe(sent);
  expect(new Set(neighbour)).toEqual(new Set([200]));
  expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['rate_limited']));
  expect(Math.min(...refused.map(({ retryAfter }) => retryAfter))).toBeGreaterThanOrEqual(1);
}, 90_000);
