import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

// Over HTTP and with the unmodified SDK: shapes and types as the wire contract has them.
let api: TestApi;
let account: TestAccount;
let knock: Knock;

beforeAll(async () => {
  api = await startTestApi();
  account = await api.account();
  const url = await api.app.listen({ port: 0, host: '127.0.0.1' });
  knock = new Knock({ apiKey: account.secretKey, baseURL: url, maxRetries: 0 });
});
afterAll(() => api.close());

const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

describe('users', () => {
  test('have custom properties at the top level, and the created_at of the caller', async () => {
    const created = await knock.users.update('ada', {
      name: 'Ada',
      email: 'ada@example.com',
      plan: { seats: 3 },
    });
    expect(created).toEqual({
      __typename: 'User',
      id: 'ada',
      name: 'Ada',
      email: 'ada@example.com',
      plan: { seats: 3 },
      created_at: null,
      updated_at: timestamp,
    });
    await knock.users.update('ada', { created_at: '2020-01-01T00:00:00Z', locale: null });
    expect(await knock.users.get('ada')).toMatchObject({
      name: 'Ada',
      created_at: '2020-01-01T00:00:00Z',
      locale: null,
    });
  });

  test('that are sent back as they came do not keep our own fields', async () => {
    const user = await knock.users.update('echo', { name: 'Echo' });
    await knock.users.update('echo', user as never);
    const [row] = await api.ctx.db.query<{ properties: object }>(
      `select properties from recipient where environment_id = $1 and id = 'echo'`,
      [account.development.id],
    );
    expect(row?.properties).toEqual({ name: 'Echo', created_at: null });
  });

  test('are listed page by page by the SDK, with preferences on request', async () => {
    const other = await api.account();
    const client = new Knock({ apiKey: other.secretKey, baseURL: knock.baseURL });
    for (const id of ['u1', 'u2', 'u3']) await client.users.update(id, {});
    await client.users.setPreferences('u2', 'default', { workflows: { a: false } });
    const seen: string[] = [];
    for await (const user of client.users.list({ page_size: 2 })) seen.push(user.id);
    expect(seen).toEqual(['u1', 'u2', 'u3']);
    const listed = await api.call('GET', '/v1/users?include[]=preferences&page_size=2', {
      key: other.secretKey,
    });
    expect(listed.body.page_info).toEqual({
      __typename: 'PageInfo',
      after: expect.any(String),
      before: null,
      page_size: 2,
    });
    expect(listed.body.entries[1].preferences.default.workflows).toEqual({ a: false });
    expect(listed.body.entries[0].preferences).toEqual({});
  });

  test('are deleted with 204, body or not', async () => {
    await knock.users.update('gone', {});
    await knock.users.delete('gone');
    await expect(knock.users.get('gone')).rejects.toBeInstanceOf(Knock.NotFoundError);
    const answer = await api.call('DELETE', '/v1/users/gone', { key: account.secretKey, text: '' });
    expect([answer.status, answer.text]).toEqual([204, '']);
  });
});

test('objects have custom properties under properties', async () => {
  const object = await knock.objects.set('projects', 'p1', { name: 'P', config: { a: 1 } });
  expect(object).toEqual({
    __typename: 'Object',
    id: 'p1',
    collection: 'projects',
    properties: { name: 'P', config: { a: 1 } },
    created_at: timestamp,
    updated_at: timestamp,
  });
  await knock.objects.set('projects', 'p1', { config: { b: 2 } });
  expect((await knock.objects.get('projects', 'p1')).properties).toEqual({
    name: 'P',
    config: { a: 1, b: 2 },
  });
  const seen: string[] = [];
  for await (const entry of knock.objects.list('projects')) seen.push(entry.id);
  expect(seen).toEqual(['p1']);
  await knock.objects.delete('projects', 'p1');
  await expect(knock.objects.get('projects', 'p1')).rejects.toBeInstanceOf(Knock.NotFoundError);
  await expect(knock.objects.set('$secret', 'x', {})).rejects.toBeInstanceOf(
    Knock.UnprocessableEntityError,
  );
});

test('tenants merge, and their preference set merges, is replaced, and is cleared', async () => {
  const set = (body: Knock.TenantSetParams) => knock.tenants.set('acme', body);
  const tenant = await set({
    name: 'Acme',
    plan: 'pro',
    settings: {
      branding: { primary_color: '#123456' },
      preference_set: { workflows: { a: false } },
    },
  });
  expect(tenant).toEqual({
    __typename: 'Tenant',
    id: 'acme',
    name: 'Acme',
    plan: 'pro',
    settings: {
      branding: { primary_color: '#123456' },
      preference_set: { id: 'default', workflows: { a: false } },
    },
  });
  const merged = await set({ settings: { preference_set: { workflows: { b: true } } } });
  expect(merged.settings?.preference_set?.workflows).toEqual({ a: false, b: true });
  const replaced = await set({
    settings: {
      preference_set: { __persistence_strategy__: 'replace', channel_types: { email: true } },
    },
  });
  expect(replaced.settings?.preference_set).toEqual({
    id: 'default',
    channel_types: { email: true },
  });
  const cleared = await set({ settings: { preference_set: null } });
  expect(cleared.settings?.preference_set).toBeNull();
  const seen: string[] = [];
  for await (const entry of knock.tenants.list({ name: 'Acme' })) seen.push(entry.id);
  expect(seen).toEqual(['acme']);
  await knock.tenants.delete('acme');
  await expect(knock.tenants.get('acme')).rejects.toBeInstanceOf(Knock.NotFoundError);
});

describe('preferences', () => {
  test('are replaced, merged, read, listed and unset by the SDK', async () => {
    const replaced = await knock.users.setPreferences('pref', 'default', {
      workflows: { a: false },
      channel_types: { email: true },
    });
    expect(replaced).toEqual({
      id: 'default',
      workflows: { a: false },
      categories: {},
      channel_types: { email: true },
      channels: {},
      commercial_subscribed: null,
    });
    await knock.users.setPreferences('pref', 'default', {
      __persistence_strategy__: 'merge',
      workflows: { b: true },
    });
    expect((await knock.users.getPreferences('pref', 'default')).workflows).toEqual({
      a: false,
      b: true,
    });
    await knock.users.setPreferences('pref', 'acme', { categories: { x: false } });
    const listed = await knock.users.listPreferences('pref');
    expect(listed.map(({ id }) => id)).toEqual(['acme', 'default']);
    await knock.users.unsetPreferences('pref', 'default');
    expect((await knock.users.getPreferences('pref', 'default')).workflows).toEqual({});
  });

  test('change one part or one entry by the deprecated endpoints, with a public key', async () => {
    const put = (path: string, body: object) =>
      api.call('PUT', `/v1/users/part/preferences/default/${path}`, {
        key: account.publicKey,
        body,
      });
    await put('workflows', { a: false, b: { channel_types: { email: false } } });
    await put('workflows/c', { subscribed: false });
    await put('categories/news', { channel_types: { email: false } });
    const last = await put('channel_types/email', { subscribed: true });
    expect(last.body).toMatchObject({
      workflows: { a: false, b: { channel_types: { email: false } }, c: false },
      categories: { news: { channel_types: { email: false } } },
      channel_types: { email: true },
    });
    expect((await put('channel_types/letter', { subscribed: true })).status).toBe(422);
  });

  test('belong to objects too', async () => {
    const set = await knock.objects.setPreferences('projects', 'p2', 'default', {
      workflows: { a: false },
    });
    expect(set.workflows).toEqual({ a: false });
  });
});

describe('channel data', () => {
  test('is set by id or key, read and unset by the SDK', async () => {
    const webhook = account.channels.webhook ?? '';
    const data = { tokens: ['t1'] };
    const answer = await knock.users.setChannelData('cd', webhook, { data });
    expect(answer).toMatchObject({ __typename: 'ChannelData', channel_id: webhook });
    expect(await knock.users.getChannelData('cd', 'webhook')).toEqual(answer);
    await knock.users.unsetChannelData('cd', webhook);
    await expect(knock.users.getChannelData('cd', webhook)).rejects.toBeInstanceOf(
      Knock.NotFoundError,
    );
    await knock.objects.setChannelData('projects', 'p3', webhook, { data });
  });

  test('for a channel that does not exist is channel_invalid', async () => {
    for (const channel of ['nowhere', '182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e', "'; --"]) {
      const answer = await api.call(
        'PUT',
        `/v1/users/ada/channel_data/${encodeURIComponent(channel)}`,
        { key: account.secretKey, body: { data: {} } },
      );
      expect([answer.status, answer.body.code]).toEqual([422, 'channel_invalid']);
    }
  });

  test('without data is refused', async () => {
    const answer = await api.call('PUT', '/v1/users/ada/channel_data/webhook', {
      key: account.secretKey,
      body: {},
    });
    expect(answer.body.errors).toEqual([{ field: 'data', message: 'is required' }]);
  });
});
