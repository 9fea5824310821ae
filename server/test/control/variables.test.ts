import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createSecretBox } from '../../src/lib/secret-box.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  account = await api.account();
});

function set(key: string, body: object, query = '', serviceToken = account.service_token) {
  return api.call('PUT', `/control/v1/variables/${key}${query}`, { key: serviceToken, body });
}

async function listed() {
  const { body } = await api.call('GET', '/control/v1/variables', { key: account.service_token });
  return body.entries;
}

test('a variable has a value, values of environments, and is gone when it is unset', async () => {
  expect(await set('host', { value: 'a.example', description: 'Where we are' })).toMatchObject({
    status: 200,
    body: { key: 'host', type: 'public', value: 'a.example', environment_values: {} },
  });
  await set('host', { value: 'b.example' }, '?environment=production');
  expect(await listed()).toMatchObject([
    {
      key: 'host',
      value: 'a.example',
      description: 'Where we are',
      environment_values: { production: 'b.example' },
    },
  ]);
  const unset = (query: string) =>
    api.call('DELETE', `/control/v1/variables/host${query}`, { key: account.service_token });
  expect((await unset('?environment=development')).status).toBe(404);
  expect((await unset('?environment=production')).status).toBe(204);
  expect(await listed()).toMatchObject([{ value: 'a.example', environment_values: {} }]);
  expect((await unset('')).status).toBe(204);
  expect(await listed()).toEqual([]);
  expect((await unset('')).status).toBe(404);
});

test('changes of variables and branding are in the audit log, with who made them and without values', async () => {
  const of = { key: account.service_token };
  await set('audited', { value: 'hush-audited', type: 'secret' });
  await set('audited', { value: 'hush-audited-2' }, '?environment=production');
  await api.call('DELETE', '/control/v1/variables/audited?environment=production', of);
  await api.call('DELETE', '/control/v1/variables/audited', of);
  await api.call('DELETE', '/control/v1/variables/audited', of);
  const body = { primary_color: '#123456', logo_url: null };
  await api.call('PUT', '/control/v1/branding', { ...of, body });
  const { body: log } = await api.call('GET', '/ops/v1/audit?limit=5', { key: api.operatorToken });
  const author = expect.stringMatching(/\(service_\d+\)$|^service_\d+$/);
  const ofAccount = { account: expect.any(String) };
  const ofEnvironment = { ...ofAccount, environment: 'production' };
  expect(log.entries).toMatchObject([
    {
      author,
      action: 'branding',
      scope: ofAccount,
      concerned: { fields: 'primary_color logo_url' },
    },
    { author, action: 'variable unset', scope: ofAccount, concerned: { key: 'audited' } },
    { author, action: 'variable unset', scope: ofEnvironment, concerned: { key: 'audited' } },
    { author, action: 'variable set', scope: ofEnvironment, concerned: { type: 'secret' } },
    { author, action: 'variable set', scope: ofAccount, concerned: { key: 'audited' } },
  ]);
  expect(JSON.stringify(log)).not.toMatch(/hush-audited|123456/);
});

test('a secret is in no answer and not readable in the database', async () => {
  const answer = await set('token', { value: 'hush-1', type: 'secret' });
  expect(answer.body.value).toBe('••••••••');
  await set('token', { value: 'hush-2' }, '?environment=production');
  expect(await listed()).toMatchObject([
    { type: 'secret', value: '••••••••', environment_values: { production: '••••••••' } },
  ]);
  const [row] = await api.ctx.db.query<{ readonly text: string }>(
    `
    select variable::text as text
    from variable
    where key = 'token'`,
  );
  expect(row?.text).toContain('v1.');
  expect(row?.text).not.toContain('hush');
});

test('a secret cannot be made public, nor a sealed value be moved to another place', async () => {
  await set('token', { value: 'hush', type: 'secret' });
  expect(await set('token', { value: 'x', type: 'public' })).toMatchObject({
    status: 409,
    body: { code: 'conflict' },
  });
  const box = createSecretBox('some installation secret');
  const sealed = box.seal('hush', 'one');
  expect(box.open(sealed, 'one')).toBe('hush');
  expect(box.open(sealed, 'two')).toBeUndefined();
  expect(createSecretBox('another one').open(sealed, 'one')).toBeUndefined();
  expect(box.open(`${sealed.slice(0, -2)}AA`, 'one')).toBeUndefined();
  expect(box.open('hush', 'one')).toBeUndefined();
});

test.each([
  ['1st', { value: 'x' }],
  ['a-b', { value: 'x' }],
  ['branding', { value: 'x' }],
  ['app_name', { value: 'x' }],
  ['long', { value: 'x'.repeat(8_193) }],
  ['nul', { value: 'a\0b' }],
  ['none', {}],
  ['odd', { value: 'x', type: 'private' }],
])('%s is refused and says why', async (key, body) => {
  const answer = await set(key, body);
  expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_params' } });
  expect(await listed()).toEqual([]);
});

test('another account’s variables do not exist, and only service tokens see any', async () => {
  const other = await api.account();
  await set('host', { value: 'mine' }, '', other.service_token);
  expect(await listed()).toEqual([]);
  expect((await set('host', { value: 'x' }, '?environment=nowhere')).status).toBe(404);
  expect((await set('host', { value: 'x' }, '', account.secretKey)).status).toBe(403);
});

test('a feed answers with public variables and the name of the account, and no secrets', async () => {
  await set('plan', { value: '{"seats": 3}' });
  await set('token', { value: 'hush', type: 'secret' });
  const feed = await api.call('GET', `/v1/users/u1/feeds/${account.channels['in-app']}`, {
    key: account.publicKey,
  });
  expect(feed).toMatchObject({ status: 200 });
  expect(feed.body.vars).toEqual({ plan: { seats: 3 }, app_name: account.account });
});

test('branding changes field by field, and null removes one', async () => {
  const change = (body: object) =>
    api.call('PUT', '/control/v1/branding', { key: account.service_token, body });
  await change({ primary_color: '#111111', logo_url: 'https://x.example/l.png' });
  expect((await change({ primary_color: '#222222', logo_url: null })).body).toEqual({
    primary_color: '#222222',
  });
  const shown = await api.call('GET', '/control/v1/branding', { key: account.service_token });
  expect(shown.body).toEqual({ primary_color: '#222222' });
  expect((await change({ colour: '#333333' })).status).toBe(422);
});
