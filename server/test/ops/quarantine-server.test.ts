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

const RECIPIENTS = Array.from({ length: 1_000 }, (_, i) => `person-${i}`);

let database: TestDatabase;
let whole: WholeServer;
let operator: string;
let flooding: Credentials;

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

const trigger = (recipients: readonly string[]) =>
  call('/v1/workflows/digest/trigger', flooding.environments.production?.secret_key ?? '', {
    recipients,
  });

const broadcast = () =>
  call('/v1/broadcasts', flooding.environments.production?.secret_key ?? '', {
    workflow: 'letter',
  });
const retry = (id: string) =>
  call(`/v1/broadcasts/${id}/retry`, flooding.environments.production?.secret_key ?? '', {});

const listed = async () => (await call('/ops/v1/quarantine', operator)).body;

beforeAll(async () => {
  database = await createTestDatabase();
  whole = await startWholeServer({
    databaseUrl: database.url,
    dataDir: await newDataDir(),
    executors: 1,
  });
  operator = whole.server.credentials?.operator_token ?? '';
  flooding = (await call('/ops/v1/accounts', operator, { name: 'acme' })).body;
  await call('/control/v1/push?environment=production', flooding.service_token, {
    environment: 'production',
    workflows: ['digest', 'letter'].map((key) => ({ key, content: { name: key, steps: [] } })),
  });
});
afterAll(async () => {
  await whole?.stop();
  await database?.drop();
  await removeDataDirs();
});

test('a server that just started names who floods it, with key and workflow, in the list and at the top', async () => {
  expect(await listed()).toEqual({ mode: 'act', accounts: [], events: [] });
  const hint = flooding.environments.production?.secret_key.slice(-4);
  const named = await waitFor(
    'the surge',
    async () => {
      await Promise.all(Array.from({ length: 20 }, () => trigger(RECIPIENTS)));
      const { accounts } = await listed();
      return accounts.find(({ level }: { level: string }) => level === 'surge');
    },
    20_000,
  );
  expect(named).toMatchObject({
    account: { name: 'acme' },
    shadow: false,
    hand: null,
    evidence: { key: { hint }, workflow: 'digest', source: '127.0.0.1' },
  });
  expect(named.line).toMatch(
    new RegExp(
      `^account acme \\(production\\), key \\.\\.\\.${hint}, workflow digest: .+, \\d+ % of the queue, since \\d\\d:\\d\\d:\\d\\d UTC$`,
    ),
  );
  const top = (await call('/ops/v1/top', operator)).body;
  expect(top.culprit).toMatch(/^account acme \(production\), key .* workflow digest: /);
  const metrics = await (await fetch(`${whole.server.url}/metrics`)).text();
  expect(metrics).toMatch(/^belfry_quarantine_level\{account="\d+"\} 2$/m);
  // It acts first and writes it down then.
  const event = await waitFor('the event', async () =>
    (await listed()).events.find(({ to }: { to: string }) => to === 'surge'),
  );
  expect(event).toMatchObject({ shadow: false, author: null, because: 'arrivals and age' });
});

test('an operator refuses triggers and broadcasts of an account for a while and lets them in again, on the record', async () => {
  const set = (body: object) => call('/ops/v1/quarantine', operator, { account: 'acme', ...body });
  const by = { author: 'mara', reason: 'it does not stop' };
  expect(await set({ level: 'reject', ...by, expires_in_s: 600 })).toMatchObject({
    status: 200,
    body: { account: { name: 'acme' }, level: 'reject', recorded: true },
  });
  const refused = { status: 429, body: { code: 'rate_limited' } };
  expect(await trigger(['ada'])).toMatchObject(refused);
  expect(await broadcast()).toMatchObject(refused);
  expect(await retry('any')).toMatchObject(refused);
  const { accounts, events } = await listed();
  expect(accounts[0]).toMatchObject({ level: 'reject', hand: { reason: by.reason } });
  expect(events[0]).toMatchObject({ to: 'reject', because: 'set by hand', reason: by.reason });
  expect((await set({ level: 'automatic', ...by })).body).toMatchObject({ until: null });
  expect(await trigger(['ada'])).toMatchObject({ status: 200 });
  const named = async () =>
    (await call('/ops/v1/top?window=10m', operator)).body.callers.map(
      ({ workflow }: { workflow: string | null }) => workflow,
    );
  expect(await named()).not.toContain('letter');
  expect(await broadcast()).toMatchObject({ status: 201 });
  await waitFor('the broadcast to be named', async () =>
    (await named()).includes('letter') ? true : undefined,
  );
  const { entries } = (await call('/ops/v1/audit', operator)).body;
  expect(entries.slice(0, 2)).toMatchObject([
    { action: 'quarantine', reason: by.reason, concerned: { level: 'automatic' } },
    { action: 'quarantine', reason: by.reason, concerned: { level: 'reject' } },
  ]);
});

test('a pause by hand holds the work by an order, which ends with the pause', async () => {
  const set = (level: string) =>
    call('/ops/v1/quarantine', operator, { account: 'acme', level, reason: 'a leaked key' });
  const orders = async () => (await call('/ops/v1/orders?active=true', operator)).body.entries;
  expect(await set('paused')).toMatchObject({ status: 200 });
  expect(await orders()).toMatchObject([
    {
      ...{ verb: 'hold', reason: 'a leaked key', scope: { account: 'acme' } },
      author: expect.stringMatching(/^operator_\d+ \(quarantine\)$/),
    },
  ]);
  expect(await trigger(['ada'])).toMatchObject({ status: 200 });
  expect(await set('automatic')).toMatchObject({ status: 200 });
  expect(await orders()).toEqual([]);
});

test('only an operator may look or act, and only on accounts that exist', async () => {
  const key = flooding.environments.production?.secret_key ?? '';
  expect(await call('/ops/v1/quarantine', key)).toMatchObject({ status: 403 });
  const unknown = { account: 'nobody', level: 'surge' };
  expect(await call('/ops/v1/quarantine', operator, unknown)).toMatchObject({ status: 404 });
  const noisy = { account: 'acme', level: 'noisy' };
  expect(await call('/ops/v1/quarantine', operator, noisy)).toMatchObject({ status: 422 });
});
