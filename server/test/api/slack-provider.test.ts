import knockClient from '@knocklabs/client';
import { buildUserTokenGrant, Grants, Knock, signUserToken } from '@knocklabs/node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { setProviderSettings } from '../../src/control/channel-provider.ts';
import { setChannelData } from '../../src/recipients/channel-data.ts';
import { type ProviderServer, startProviderServer } from '../support/provider-server.ts';
import { testSecrets } from '../support/secrets.ts';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

// Its types describe a CommonJS module; what is imported here is the class itself.
type BrowserClient = {
  authenticate: (userId: string, token?: string) => void;
  readonly slack: {
    authCheck: (input: object) => Promise<unknown>;
    getChannels: (input: object) => Promise<unknown>;
    revokeAccessToken: (input: object) => Promise<unknown>;
  };
};
const BrowserKnock = knockClient as unknown as new (
  key: string,
  options: { readonly host: string },
) => BrowserClient;

let api: TestApi;
let slack: ProviderServer;
let account: TestAccount;
let knock: Knock;
let url: string;

const acme = JSON.stringify({ collection: '$tenants', object_id: 'acme' });
const connections = [{ channel_id: 'C1' }];

beforeAll(async () => {
  slack = await startProviderServer();
  api = await startTestApi({ config: { allowPrivateWebhooks: true } });
  url = await api.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await api.close();
  await slack.close();
});
beforeEach(async () => {
  account = await api.account();
  knock = new Knock({ apiKey: account.secretKey, baseURL: url, maxRetries: 0 });
  await configure(account);
  await connectAcme('xoxb-1');
});

const chat = (of = account): string => of.channels.chat ?? '';
const configure = (of: TestAccount, apiUrl = `${slack.url}/api`) =>
  setProviderSettings(
    { ...api.ctx, secrets: testSecrets },
    { environment: of.development, key: 'chat', api_url: apiUrl },
  );
const acmeKey = { collection: '$tenants', id: 'acme' };
const connectAcme = (token: string | null, of = account) =>
  setChannelData(of.environment, {
    ...acmeKey,
    channel: 'chat',
    data: { connections, token: { access_token: token } },
  });
const storedData = async () =>
  (
    await api.call('GET', `/v1/objects/$tenants/acme/channel_data/${chat()}`, {
      key: account.secretKey,
    })
  ).body.data;
const check = (key = account.secretKey, headers = {}, channel = chat()) =>
  api.call(
    'GET',
    `/v1/providers/slack/${channel}/auth_check?access_token_object=${encodeURIComponent(acme)}`,
    { key, headers },
  );

test('the SDK asks Slack with the token of the object whether it is good', async () => {
  slack.answer(() => ({ json: { ok: true, user_id: 'U1' } }));
  expect(await knock.providers.slack.checkAuth(chat(), { access_token_object: acme })).toEqual({
    connection: { ok: true },
  });
  expect(slack.take()).toMatchObject([
    { method: 'POST', path: '/api/auth.test', authorization: 'Bearer xoxb-1' },
  ]);
  slack.answer(() => ({ json: { ok: false, error: 'token_revoked' } }));
  expect(await knock.providers.slack.checkAuth(chat(), { access_token_object: acme })).toEqual({
    connection: { ok: false, reason: 'token_revoked' },
  });
});

test('the SDK lists channels page by page, with what it was asked for and the defaults', async () => {
  const channel = (id: string) => ({
    id,
    name: id.toLowerCase(),
    context_team_id: 'T1',
    topic: {},
  });
  slack.answer(({ form }) => ({
    json: form.has('cursor')
      ? { ok: true, channels: [channel('C2')], response_metadata: { next_cursor: '' } }
      : {
          ok: true,
          channels: [
            { ...channel('C1'), is_private: true },
            { id: 'D1', is_im: true, user: 'U9' },
          ],
          response_metadata: { next_cursor: 'next' },
        },
  }));
  const found: unknown[] = [];
  for await (const one of knock.providers.slack.listChannels(chat(), {
    access_token_object: acme,
    query_options: { limit: 2 },
  })) {
    found.push(one);
  }
  const plain = { is_private: false, is_im: false, context_team_id: 'T1' };
  expect(found).toEqual([
    { ...plain, id: 'C1', name: 'c1', is_private: true },
    { ...plain, id: 'D1', name: 'U9', is_im: true, context_team_id: '' },
    { ...plain, id: 'C2', name: 'c2' },
  ]);
  const [first, second] = slack.take();
  expect(first?.path).toBe('/api/conversations.list');
  expect(Object.fromEntries(first?.form ?? [])).toEqual({
    limit: '2',
    exclude_archived: 'true',
    types: 'public_channel,private_channel',
  });
  expect(second?.form.get('cursor')).toBe('next');
});

test('the token is revoked at Slack and taken out of the channel data; the rest of it stays', async () => {
  slack.answer(() => ({ json: { ok: true, revoked: true } }));
  expect(await knock.providers.slack.revokeAccess(chat(), { access_token_object: acme })).toEqual({
    ok: 'ok',
  });
  expect(slack.take().map(({ path }) => path)).toEqual(['/api/auth.revoke']);
  expect(await storedData()).toEqual({ connections });
});

test('a token that Slack does not know any more is taken out too; one that it could not revoke stays', async () => {
  slack.answer(() => ({ text: 'down', status: 503 }));
  const answer = await api.call(
    'PUT',
    `/v1/providers/slack/${chat()}/revoke_access?access_token_object=${encodeURIComponent(acme)}`,
    { key: account.secretKey },
  );
  expect([answer.status, answer.body.code]).toEqual([502, 'provider_unavailable']);
  expect(await storedData()).toMatchObject({ token: { access_token: 'xoxb-1' } });
  slack.answer(() => ({ json: { ok: false, error: 'invalid_auth' } }));
  await knock.providers.slack.revokeAccess(chat(), { access_token_object: acme });
  expect(await storedData()).toEqual({ connections });
});

test('a token that was connected while the old one was revoked stays', async () => {
  slack.answer(() => 'silence');
  const revoking = api.call(
    'PUT',
    `/v1/providers/slack/${chat()}/revoke_access?access_token_object=${encodeURIComponent(acme)}`,
    { key: account.secretKey },
  );
  slack.answer(() => ({ json: { ok: true } }));
  await connectAcme('xoxb-2');
  await revoking;
  const { token } = await storedData();
  expect([undefined, 'xoxb-2']).toContain(token?.access_token);
});

describe('[trap 14] what is not connected is said in the words that components look for', () => {
  test.each([
    ['a token that is null', () => connectAcme(null)],
    ['an empty token', () => connectAcme('')],
    [
      'no channel data',
      () =>
        api.call('DELETE', `/v1/objects/$tenants/acme/channel_data/${chat()}`, {
          key: account.secretKey,
        }),
    ],
  ])('%s', async (_name, arrange) => {
    await arrange();
    const answer = await check();
    expect([answer.status, answer.body.code, answer.body.message]).toEqual([
      403,
      'authorization',
      'Access token not set.',
    ]);
  });

  test('the browser client connects, lists and revokes with a granted user token, in brackets', async () => {
    const browser = new BrowserKnock(account.publicKey, { host: url });
    const signingKey = account.environments.development?.signing_key_pem;
    const grants = [
      buildUserTokenGrant({ type: 'tenant', id: 'acme' }, [Grants.SlackChannelsRead]),
    ];
    browser.authenticate('ada', await signUserToken('ada', { signingKey, grants }));
    slack.answer(({ path }) => ({
      json: path.endsWith('list') ? { ok: true, channels: [{ id: 'C1' }] } : { ok: true },
    }));
    const input = { tenant: 'acme', knockChannelId: chat() };
    expect(await browser.slack.authCheck(input)).toEqual({ connection: { ok: true } });
    expect(
      await browser.slack.getChannels({
        ...input,
        queryOptions: { excludeArchived: false, types: 'im', teamId: 'T7', limit: 7 },
      }),
    ).toMatchObject({ slack_channels: [{ id: 'C1' }], next_cursor: null });
    expect(Object.fromEntries(slack.take().at(-1)?.form ?? [])).toEqual({
      limit: '7',
      exclude_archived: 'false',
      types: 'im',
      team_id: 'T7',
    });
    expect(await browser.slack.revokeAccessToken(input)).toBe('ok');
    expect(await storedData()).toEqual({ connections });
  });
});

describe('a public key', () => {
  test('needs a user token that grants the channels of this very object', async () => {
    const signingKey = account.environments.development?.signing_key_pem;
    const tokenFor = (id: string, grant: Grants) =>
      signUserToken('ada', {
        signingKey,
        grants: [buildUserTokenGrant({ type: 'tenant', id }, [grant])],
      });
    for (const token of [
      '',
      await signUserToken('ada', { signingKey }),
      await tokenFor('other', Grants.SlackChannelsRead),
      await tokenFor('acme', Grants.MsTeamsChannelsRead),
    ]) {
      const answer = await check(account.publicKey, { 'x-knock-user-token': token });
      expect([answer.status, answer.body.code]).toEqual([403, 'authorization']);
      expect(answer.body.message).not.toBe('Access token not set.');
    }
  });
});

test('another account’s channel does not exist, nor does its object’s token', async () => {
  const other = await api.account();
  await configure(other);
  slack.answer(() => ({ json: { ok: true } }));
  expect((await check(other.secretKey)).body.code).toBe('resource_missing');
  expect((await check(other.secretKey, {}, chat(other))).body.message).toBe(
    'Access token not set.',
  );
  const production = account.environments.production?.secret_key;
  expect((await check(production)).body.message).toBe('Access token not set.');
  expect(slack.take()).toEqual([]);
});

test('a channel that is not for chat is refused by name', async () => {
  const answer = await check(account.secretKey, {}, account.channels.email);
  expect([answer.status, answer.body.code]).toEqual([422, 'channel_invalid']);
});

describe('a provider that is not well', () => {
  const list = (options = '') =>
    api.call(
      'GET',
      `/v1/providers/slack/${chat()}/channels?access_token_object=${encodeURIComponent(acme)}${options}`,
      { key: account.secretKey },
    );

  test.each([
    ['no JSON', { text: '<html>' }, 502, 'provider_unavailable'],
    ['JSON that is no object', { json: [1] }, 502, 'provider_unavailable'],
    ['an object without ok', { json: { channels: [] } }, 502, 'provider_unavailable'],
    [
      'channels that are no list',
      { json: { ok: true, channels: {} } },
      502,
      'provider_unavailable',
    ],
    ['an inner error', { json: { ok: false, error: 'fatal_error' } }, 502, 'provider_unavailable'],
    ['status 500', { json: { ok: true }, status: 500 }, 502, 'provider_unavailable'],
    ['more than 4 MB', { text: 'x'.repeat(4_200_000) }, 502, 'provider_unavailable'],
    ['a limit', { json: { ok: false, error: 'ratelimited' } }, 429, 'rate_limited'],
    ['status 429', { json: {}, status: 429 }, 429, 'rate_limited'],
    ['a missing scope', { json: { ok: false, error: 'missing_scope' } }, 403, 'authorization'],
    ['a wrong cursor', { json: { ok: false, error: 'invalid_cursor' } }, 422, 'invalid_params'],
  ] as const)('with %s is an error that says so', async (_name, reply, status, code) => {
    slack.answer(() => reply);
    const answer = await list();
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.text).not.toContain('xoxb-1');
  });

  test('that sends odd channels, too many, or a cursor to itself does no harm', async () => {
    const channels = [null, 7, {}, { id: 9 }, { id: 'C1', name: 5, is_im: 'yes' }, { id: 'C2' }];
    slack.answer(() => ({
      json: { ok: true, channels, response_metadata: { next_cursor: 'same' } },
    }));
    const answer = await list('&query_options[cursor]=same&query_options[limit]=5');
    expect(answer.body).toEqual({
      slack_channels: [
        { id: 'C1', name: 'C1', is_private: false, is_im: false, context_team_id: '' },
      ],
      next_cursor: null,
    });
  });

  test('nobody listens: the error says so', async () => {
    await configure(account, 'http://127.0.0.1:1/api');
    expect((await list()).body.code).toBe('provider_unavailable');
  });

  test.each(['0', '1001', '1.5', 'many'])('a limit of %s is refused', async (limit) => {
    const answer = await list(`&query_options[limit]=${limit}`);
    expect(answer.body.errors[0].field).toBe('query_options.limit');
  });

  test.each([
    ['', 'access_token_object'],
    ['access_token_object=nonsense', 'access_token_object'],
    ['access_token_object={}', 'access_token_object.collection'],
    ['access_token_object[object_id]=acme', 'access_token_object.collection'],
    [
      'access_token_object[collection]=$x&access_token_object[object_id]=a',
      'access_token_object.collection',
    ],
  ])('the query %j is refused', async (query, field) => {
    const answer = await api.call('GET', `/v1/providers/slack/${chat()}/channels?${query}`, {
      key: account.secretKey,
    });
    expect([answer.status, answer.body.errors?.[0]?.field]).toEqual([422, field]);
  });
});

test('a private address is refused where private webhooks are not allowed', async () => {
  const strict = await startTestApi();
  const own = await strict.account();
  await setProviderSettings(
    { ...strict.ctx, secrets: testSecrets },
    { environment: own.development, key: 'chat', api_url: 'https://127.0.0.1/api' },
  );
  await setChannelData(own.environment, {
    ...acmeKey,
    channel: 'chat',
    data: { token: { access_token: 'xoxb' } },
  });
  const answer = await strict.call(
    'GET',
    `/v1/providers/slack/${own.channels.chat}/auth_check?access_token_object=${encodeURIComponent(acme)}`,
    { key: own.secretKey },
  );
  expect(answer.body.code).toBe('provider_unavailable');
  expect(answer.body.message).toContain('not a public address');
  await strict.close();
});
