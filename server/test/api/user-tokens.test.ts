import { createPrivateKey } from 'node:crypto';
import { buildUserTokenGrant, Grants, signUserToken } from '@knocklabs/node';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKey, revokeKey } from '../../src/accounts/keys.ts';
import { addRoutes, createApp } from '../../src/api/app.ts';
import { setChannelData } from '../../src/recipients/channel-data.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';
import { operatingEngine } from '../support/operations.ts';
import { startTestApi, type TestApi } from './api-server.ts';

let api: TestApi;
let world: MessageWorld;
let publicKey: string;
let secretKey: string;
let pem: string;
let feed: string;

beforeAll(async () => {
  api = await startTestApi({ engine: (_ctx, url) => operatingEngine(url) });
  world = await createMessageWorld(api.ctx.db);
  const development = world.credentials.environments.development;
  if (!development) throw new Error('no development environment');
  publicKey = development.public_key;
  secretKey = development.secret_key;
  pem = development.signing_key_pem;
  feed = world.channels['in-app'] ?? '';
});
afterAll(() => api.close());

type Claims = { readonly grants?: object; readonly explicit_grants?: boolean };

const sign = (sub: string, claims: Claims, key = pem): Promise<string> =>
  new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'RS256' })
    .setSubject(sub)
    .setExpirationTime('1h')
    .sign(createPrivateKey(key));

const as = (token: string) => {
  return async (method: 'GET' | 'PUT' | 'POST' | 'DELETE', url: string, body?: unknown) => {
    const headers = { 'x-knock-user-token': token };
    return api.call(method, url, { key: publicKey, headers, ...(body !== undefined && { body }) });
  };
};
const ada = async (claims: Claims) => as(await sign('ada', claims));
const own = 'https://api.knock.app/v1/users/ada';
const granted = (...names: readonly string[]) => Object.fromEntries(names.map((n) => [n, [{}]]));
const explicit = (grants: object): Claims => ({ explicit_grants: true, grants });

test('every route for public keys says what a user token must allow', () => {
  const app = createApp(api.services);
  const silent: string[] = [];
  app.addHook('onRoute', ({ method, url, config }) => {
    const rule = config?.access;
    if ((rule === 'public' || rule === 'granted') && config?.capability === undefined) {
      silent.push(`${method} ${url}`);
    }
  });
  addRoutes(app, api.services);
  expect(silent).toEqual([]);
});

describe('several signing keys', () => {
  const make = () =>
    createKey(api.ctx, {
      kind: 'signing',
      account: world.credentials.account,
      environment: 'development',
    });

  test('are good beside each other, so that one can follow the other; a revoked one is not', async () => {
    await api.call('PUT', '/v1/users/ada', { key: secretKey, body: { name: 'Ada' } });
    const next = await make();
    api.services.authentication.forget();
    const [before, after] = [as(await sign('ada', {})), as(await sign('ada', {}, next.key))];
    expect((await before('GET', '/v1/users/ada')).status).toBe(200);
    expect((await after('GET', '/v1/users/ada')).status).toBe(200);
    await revokeKey(api.ctx, { id: next.id });
    api.services.authentication.forget();
    expect((await before('GET', '/v1/users/ada')).status).toBe(200);
    expect((await after('GET', '/v1/users/ada')).body.code).toBe('invalid_user_token');
  });

  test('sign as Knock’s SDK does, from PEM or from base64 of it', async () => {
    for (const signingKey of [pem, Buffer.from(pem).toString('base64')]) {
      const token = await signUserToken('ada', { signingKey, expiresInSeconds: 60 });
      expect((await as(token)('GET', '/v1/users/ada')).status).toBe(200);
    }
  });
});

describe('[trap 15] grants are matched by path, whatever the host', () => {
  const channel = () => world.channels.chat ?? '';
  const url = (collection: string, id: string) =>
    `/v1/objects/${collection}/${id}/channel_data/${channel()}`;
  const data = { connections: [{ incoming_webhook: { url: 'https://example.com' } }] };

  test('of an object, made with the SDK, they open its channel data and nothing else of it', async () => {
    const token = await signUserToken('ada', {
      signingKey: pem,
      grants: [
        buildUserTokenGrant({ type: 'object', collection: 'projects', id: 'p1' }, [
          Grants.ChannelDataRead,
          Grants.ChannelDataWrite,
        ]),
        buildUserTokenGrant({ type: 'tenant', id: 'acme' }, [Grants.ChannelDataRead]),
      ],
    });
    const call = as(token);
    expect((await call('PUT', url('projects', 'p1'), { data })).status).toBe(200);
    expect((await call('GET', url('projects', 'p1'))).body.data).toEqual(data);
    expect((await call('DELETE', url('projects', 'p1'))).status).toBe(204);
    expect((await call('GET', '/v1/objects/projects/p1')).body.code).toBe('incorrect_token_type');
    const key = { collection: '$tenants', id: 'acme', channel: channel() };
    await setChannelData(world.development, { ...key, data });
    expect((await call('GET', url('$tenants', 'acme'))).body.data).toEqual(data);
    for (const answer of [
      await call('PUT', url('$tenants', 'acme'), { data }),
      await call('GET', url('projects', 'p2')),
      await call('GET', url('projects2', 'p1')),
      await call('GET', url('$tenants', 'p1')),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([403, 'authorization']);
    }
  });

  test.each([
    ['no token', undefined],
    ['a token without grants', {}],
    ['a grant that is false', { 'https://x/v1/objects/a/b': { 'channel_data/read': false } }],
    ['a grant of something else', { 'https://x/v1/objects/a/b': { 'channel_data/write': [{}] } }],
    ['a URL that only begins so', { 'https://x/v1/objects/a/b/c': granted('channel_data/read') }],
    ['a URL of the collection', { 'https://x/v1/objects/a': granted('channel_data/read') }],
    ['a URL of another version', { 'https://x/v2/objects/a/b': granted('channel_data/read') }],
    ['grants that are a list', [granted('channel_data/read')]],
    ['grants that are a text', 'everything'],
  ])('an object is closed to a public key with %s', async (_name, grants) => {
    const headers: Record<string, string> =
      grants === undefined
        ? {}
        : { 'x-knock-user-token': await sign('ada', { grants: grants as object }) };
    const answer = await api.call('GET', url('a', 'b'), { key: publicKey, headers });
    expect([answer.status, answer.body.code]).toEqual([403, 'authorization']);
  });
});

describe('with explicit grants a token does what is granted and nothing else', () => {
  const calls = {
    'user/read': ['GET', '/v1/users/ada'],
    'user/write': ['PUT', '/v1/users/ada', { name: 'Ada' }],
    'user/feed_read': ['GET', '/v1/users/ada/feeds/FEED'],
    'user/feed_write': ['POST', '/v1/messages/batch/seen', { message_ids: [] }],
    'preferences/read': ['GET', '/v1/users/ada/preferences/default'],
    'preferences/write': ['PUT', '/v1/users/ada/preferences/default', {}],
    'channel_data/write': ['PUT', '/v1/users/ada/channel_data/CHAT', { data: { connections: [] } }],
    'channel_data/read': ['GET', '/v1/users/ada/channel_data/CHAT'],
  } as const satisfies Record<string, readonly ['GET' | 'PUT' | 'POST', string, object?]>;

  test.each(Object.keys(calls) as (keyof typeof calls)[])('%s', async (capability) => {
    const call = await ada(explicit({ [own]: granted(capability) }));
    for (const [name, [method, path, body]] of Object.entries(calls)) {
      const url = path.replace('FEED', feed).replace('CHAT', world.channels.chat ?? '');
      const answer = await call(method, url, body);
      if (name === capability) expect([200, 404]).toContain(answer.status);
      else expect([name, answer.body?.code]).toEqual([name, 'authorization']);
    }
  });

  test('grants of another user open nothing', async () => {
    const call = await ada(explicit({ 'https://h/v1/users/bob': granted('user/read') }));
    expect((await call('GET', '/v1/users/ada')).body.code).toBe('authorization');
    expect((await call('GET', '/v1/users/bob')).body.code).toBe('invalid_user_token');
  });

  test('preferences and channel data beside a profile need grants of their own', async () => {
    const call = await ada(explicit({ [own]: granted('user/write') }));
    for (const body of [
      { preferences: { default: { workflows: { a: false } } } },
      { channel_data: { [world.channels.chat ?? '']: { connections: [] } } },
    ]) {
      expect((await call('PUT', '/v1/users/ada', body)).body.code).toBe('authorization');
    }
  });

  test('the names that Knock’s examples use for the feed mean the same', async () => {
    for (const name of ['feed/read', 'user_feed/read']) {
      const call = await ada(explicit({ [own]: granted(name) }));
      expect((await call('GET', `/v1/users/ada/feeds/${feed}`)).status).toBe(200);
    }
  });
});

describe('a token for some tenants', () => {
  const acme = 'https://api.knock.app/v1/tenants/acme';
  const both = ['user/feed_read', 'user/feed_write', 'preferences/read', 'preferences/write'];
  const only = explicit({ [acme]: granted(...both) });
  const scoped = { grants: { 'https://h/v1/objects/$tenants/acme': granted('user/feed_read') } };
  const withOwn = explicit({ [acme]: granted(...both), [own]: granted(...both) });

  let messages: { readonly acme: string; readonly other: string; readonly untagged: string };

  beforeAll(async () => {
    const tenants = ['acme', 'other', null];
    const ids = await world.insert(tenants.map((tenant) => ({ userId: 'ada', tenant })));
    const [first = '', second = '', third = ''] = ids;
    messages = { acme: first, other: second, untagged: third };
  });

  const tenantsOf = async (claims: Claims, query: string) => {
    const answer = await (await ada(claims))('GET', `/v1/users/ada/feeds/${feed}${query}`);
    if (answer.status !== 200) return answer.body.code;
    expect(answer.body.meta.total_count).toBe(answer.body.entries.length);
    return answer.body.entries.map(({ tenant }: { tenant: string | null }) => tenant).sort();
  };

  test('sees the feed of these, and what has no tenant only when that is granted to the user', async () => {
    expect(await tenantsOf({}, '')).toEqual([null, 'acme', 'other'].sort());
    for (const claims of [only, scoped]) {
      expect(await tenantsOf(claims, '?tenant=acme')).toEqual(['acme']);
      expect(await tenantsOf(claims, '?tenant=other')).toBe('authorization');
      expect(await tenantsOf(claims, '')).toBe('authorization');
      expect(await tenantsOf(claims, '?has_tenant=true')).toBe('authorization');
      expect(await tenantsOf(claims, '?has_tenant=false')).toBe('authorization');
    }
    expect(await tenantsOf(withOwn, '?tenant=acme')).toEqual(['acme', null].sort());
    expect(await tenantsOf(withOwn, '')).toEqual([null]);
    expect(await tenantsOf(withOwn, '?has_tenant=true')).toBe('authorization');
  });

  test('reads and marks messages of these; of others there are none', async () => {
    const call = await ada(only);
    expect((await call('PUT', `/v1/messages/${messages.acme}/seen`)).status).toBe(200);
    expect((await call('GET', `/v1/messages/${messages.acme}`)).status).toBe(200);
    for (const id of [messages.other, messages.untagged]) {
      expect((await call('PUT', `/v1/messages/${id}/read`)).status).toBe(404);
      expect((await call('GET', `/v1/messages/${id}`)).status).toBe(404);
    }
    const message_ids = Object.values(messages);
    const batch = await call('POST', '/v1/messages/batch/read', { message_ids });
    expect(batch.body.map(({ id }: { id: string }) => id)).toEqual([messages.acme]);
    await call('POST', `/v1/channels/${feed}/messages/bulk/archive`, { user_ids: ['ada'] });
    const rest = await api.call('GET', `/v1/users/ada/feeds/${feed}`, { key: secretKey });
    const left = rest.body.entries.map(({ id, read_at }: { id: string; read_at: unknown }) => [
      id,
      read_at,
    ]);
    expect(left.sort()).toEqual(
      [
        [messages.other, null],
        [messages.untagged, null],
      ].sort(),
    );
  });

  test('reads and sets the preferences for these', async () => {
    const call = await ada(only);
    expect((await call('PUT', '/v1/users/ada/preferences/acme', {})).status).toBe(200);
    expect((await call('GET', '/v1/users/ada/preferences/acme')).status).toBe(200);
    expect((await call('GET', '/v1/users/ada/preferences/default?tenant=acme')).status).toBe(200);
    const listed = await call('GET', '/v1/users/ada/preferences');
    expect(listed.body.map(({ id }: { id: string }) => id)).toEqual(['acme']);
    for (const answer of [
      await call('GET', '/v1/users/ada/preferences/default'),
      await call('GET', '/v1/users/ada/preferences/other'),
      await call('GET', '/v1/users/ada/preferences/other?tenant=acme'),
      await call('GET', '/v1/users/ada/preferences/acme?tenant=other'),
      await call('PUT', '/v1/users/ada/preferences/default', {}),
      await call('PUT', '/v1/users/ada/preferences/default/workflows', {}),
      await call('PUT', '/v1/users/ada/preferences/other/workflows/a', { subscribed: true }),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([403, 'authorization']);
    }
  });

  test('is not narrowed by what is granted on a tenant for Slack', async () => {
    const grants = { 'https://h/v1/objects/$tenants/acme': granted('slack/channels_read') };
    expect(await tenantsOf({ grants }, '?archived=include')).toHaveLength(3);
  });
});
