import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../src/api/app.ts';
import { startTestApi, type TestApi } from './api-server.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());

describe('a browser of any origin', () => {
  const origin = { origin: 'https://app.example.com' };

  test('may ask before it calls, without a key', async () => {
    const answer = await api.call('OPTIONS', '/v1/users/ada/feeds/x', {
      headers: {
        ...origin,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'authorization,x-knock-user-token,x-stainless-os',
      },
    });
    expect(answer.status).toBe(204);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': 'authorization,x-knock-user-token,x-stainless-os',
      'access-control-allow-methods': expect.stringContaining('DELETE'),
    });
  });

  test('may read answers, refusals too, and their headers', async () => {
    const answer = await api.call('GET', '/v1/users/ada', { headers: origin });
    expect(answer.status).toBe(401);
    expect(answer.headers['access-control-allow-origin']).toBe('*');
    expect(answer.headers['access-control-expose-headers']).toContain('x-request-id');
  });

  test('may not read what is for our own pages', async () => {
    for (const url of ['/dev/messages.json', '/ops/v1/keys', '/metrics']) {
      const answer = await api.call('GET', url, { headers: origin });
      expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    }
  });
});

test('the process says whether it is alive, ready, and how it is doing, without a key', async () => {
  expect((await api.call('GET', '/healthz')).body).toEqual({ status: 'ok' });
  expect((await api.call('HEAD', '/healthz')).status).toBe(200);
  expect((await api.call('GET', '/readyz')).body).toEqual({
    ready: true,
    parts: { database: { state: 'up' } },
  });
  expect((await api.call('GET', '/metrics')).headers['content-type']).toMatch(/^text\/plain/);
});

test('a part that is down makes it not ready, by name', async () => {
  const down = { ready: false, parts: { database: { state: 'down', reason: 'gone' } } } as const;
  const app = buildApp({ ...api.services, readiness: () => down });
  const answer = await app.inject('/readyz');
  expect([answer.statusCode, answer.json()]).toEqual([503, down]);
  await app.close();
});

test('the API is served as a document to everybody', async () => {
  const document = (await api.call('GET', '/v1/openapi')).body;
  expect(document.openapi).toBe('3.1.0');
  expect(Object.keys(document.paths)).toContain('/v1/workflows/{key}/trigger');
});

describe('the operator', () => {
  const ops = (method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown) =>
    api.call(method, `/ops/v1/${path}`, { key: api.operatorToken, body });

  test('creates an account whose keys work at once, and finds it in the list', async () => {
    const created = await ops('POST', 'accounts', { name: 'acme' });
    expect(created.status).toBe(201);
    expect(Object.keys(created.body).sort()).toEqual(['account', 'environments', 'service_token']);
    const key = created.body.environments.production.secret_key;
    expect((await api.call('GET', '/v1/users', { key })).status).toBe(200);
    const listed = await ops('GET', 'accounts');
    expect(listed.body.entries).toContainEqual(
      expect.objectContaining({
        name: 'acme',
        environments: [
          expect.objectContaining({ slug: 'development' }),
          expect.objectContaining({ slug: 'production' }),
        ],
      }),
    );
    expect((await ops('POST', 'accounts', { name: 'acme' })).status).toBe(409);
    expect((await ops('POST', 'accounts', {})).body.errors[0].field).toBe('name');
  });

  test('sets the default preferences of an environment, by id or by name', async () => {
    const account = await api.account();
    const preferences = { workflows: { noisy: false } };
    const byName = await ops('PATCH', `environments/${account.account}/development`, {
      preferences,
    });
    expect(byName.body).toMatchObject({
      id: account.development.publicId,
      slug: 'development',
      settings: { preferences },
    });
    const set = await api.call('GET', '/v1/users/x/preferences/default', {
      key: account.secretKey,
    });
    expect(set.body.workflows).toEqual({ noisy: false });
    const byId = await ops('PATCH', `environments/${account.development.publicId}`, {
      preferences: null,
    });
    expect(byId.body.settings).toEqual({ preferences: {} });
    expect((await ops('PATCH', 'environments/nobody/nowhere', {})).status).toBe(404);
    const bad = await ops('PATCH', `environments/${account.development.publicId}`, {
      preferences: { workflows: 5 },
    });
    expect(bad.body.errors[0].field).toBe('preferences.workflows');
  });

  test('sets the time zone of an environment, and refuses what is none', async () => {
    const account = await api.account();
    const environment = `environments/${account.account}/development`;
    const set = await ops('PATCH', environment, { timezone: 'Europe/Berlin' });
    expect(set.body.settings).toEqual({ timezone: 'Europe/Berlin' });
    const bad = await ops('PATCH', environment, { timezone: 'Mars/Olympus' });
    expect(bad.status).toBe(422);
    expect(bad.body.errors[0].field).toBe('timezone');
  });

  test('sees keys by their hint only', async () => {
    const account = await api.account();
    const listed = await ops('GET', `keys?account=${account.account}&environment=development`);
    expect(listed.body.entries).toHaveLength(3);
    expect(listed.text).not.toContain(account.secretKey);
    expect((await ops('POST', 'keys', { kind: 'golden' })).status).toBe(422);
    expect((await ops('POST', 'keys/key_999999/revoke')).status).toBe(404);
  });
});

test.each(['/assets/../index.html', '/assets/%2e%2e/index.html', '/assets/..%5cindex.html'])(
  'a file outside of the folder of the pages is not found: %s',
  async (url) => {
    const answer = await api.call('GET', url);
    expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
  },
);
