import { randomUUID } from 'node:crypto';
import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { setChannelData } from '../../src/recipients/channel-data.ts';
import {
  type ProviderReply,
  type ProviderServer,
  startProviderServer,
} from '../support/provider-server.ts';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

let api: TestApi;
let microsoft: ProviderServer;
let account: TestAccount;
let knock: Knock;
let url: string;

let tenantId: string;
const acme = JSON.stringify({ collection: '$tenants', object_id: 'acme' });
const brackets =
  'ms_teams_tenant_object[collection]=$tenants&ms_teams_tenant_object[object_id]=acme';

beforeAll(async () => {
  microsoft = await startProviderServer();
  api = await startTestApi({ config: { allowPrivateWebhooks: true } });
  url = await api.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(async () => {
  await api.close();
  await microsoft.close();
});
beforeEach(async () => {
  account = await api.account();
  tenantId = randomUUID();
  knock = new Knock({ apiKey: account.secretKey, baseURL: url, maxRetries: 0 });
  await configure({
    api_url: `${microsoft.url}/v1.0`,
    login_url: microsoft.url,
    bot_id: 'bot-1',
    bot_password: 'hush',
  });
  await connectAcme(tenantId);
});

const chat = (of = account): string => of.channels.chat ?? '';
const configure = (body: object, of = account) =>
  api.call('PUT', '/control/v1/channels/chat/provider', { key: of.service_token, body });
const connectAcme = (id: string, of = account) =>
  setChannelData(of.environment, {
    collection: '$tenants',
    id: 'acme',
    channel: 'chat',
    data: { ms_teams_tenant_id: id, connections: [] },
  });
const graph = (how: (path: string, query: URLSearchParams) => ProviderReply) =>
  microsoft.answer(({ path, query }) =>
    path.endsWith('/oauth2/v2.0/token')
      ? { json: { access_token: 'graph-1', expires_in: 3599 } }
      : how(path, query),
  );
const get = (path: string, key = account.secretKey, of = account) =>
  api.call('GET', `/v1/providers/ms-teams/${chat(of)}/${path}`, { key });

test('the bot asks Microsoft for a token of the tenant; that is the check', async () => {
  graph(() => ({ json: {} }));
  expect(await knock.providers.msTeams.checkAuth(chat(), { ms_teams_tenant_object: acme })).toEqual(
    { connection: { ok: true, ms_teams_tenant_id: tenantId } },
  );
  const [asked, ...rest] = microsoft.take();
  expect(rest).toEqual([]);
  expect(asked?.path).toBe(`/${tenantId}/oauth2/v2.0/token`);
  expect(Object.fromEntries(asked?.form ?? [])).toEqual({
    client_id: 'bot-1',
    client_secret: 'hush',
    grant_type: 'client_credentials',
    scope: `${microsoft.url}/.default`,
  });
  microsoft.answer(() => ({
    json: { error: 'unauthorized_client', error_description: 'AADSTS700016: not in the directory' },
    status: 400,
  }));
  expect((await get(`auth_check?${brackets}`)).body).toEqual({
    connection: { ok: false, reason: 'AADSTS700016: not in the directory' },
  });
});

test('the SDK lists teams page by page with one token; the link to the next page is not followed', async () => {
  graph((_path, query) => ({
    json: query.has('$skiptoken')
      ? { value: [{ id: 't2', displayName: 'Two', description: '' }] }
      : {
          value: [{ id: 't1', displayName: 'One', description: 'First', internalId: 'x' }],
          '@odata.nextLink': 'http://169.254.169.254/teams?$top=1&$skiptoken=abc%3D',
        },
  }));
  const found: unknown[] = [];
  for await (const team of knock.providers.msTeams.listTeams(chat(), {
    ms_teams_tenant_object: acme,
    query_options: { $top: 1, $filter: "displayName ne 'x'" },
  })) {
    found.push(team);
  }
  expect(found).toEqual([
    { id: 't1', displayName: 'One', description: 'First' },
    { id: 't2', displayName: 'Two', description: null },
  ]);
  const [, first, second, ...rest] = microsoft.take();
  expect(rest).toEqual([]);
  expect([first?.path, first?.authorization]).toEqual(['/v1.0/teams', 'Bearer graph-1']);
  expect(first?.query.get('$filter')).toBe("displayName ne 'x'");
  expect(second?.query.get('$skiptoken')).toBe('abc=');
});

test('the SDK lists the channels of a team, without private and archived ones unless a filter is given', async () => {
  const value = [
    { id: 'c1', displayName: 'General', membershipType: 'standard', isArchived: false },
    { id: 'c2', displayName: 'Secret', membershipType: 'private' },
    { id: 'c3', displayName: 'Old', isArchived: true },
    'nonsense',
  ];
  graph(() => ({ json: { value } }));
  const list = (query_options = {}) =>
    knock.providers.msTeams.listChannels(chat(), {
      ms_teams_tenant_object: acme,
      team_id: 'team-1',
      query_options,
    });
  expect(await list()).toEqual({
    ms_teams_channels: [{ ...(value[0] as object), description: null }],
  });
  expect(microsoft.take().at(-1)?.path).toBe('/v1.0/teams/team-1/channels');
  const ids = (await list({ $filter: 'x' })).ms_teams_channels.map(({ id }) => id);
  expect(ids).toEqual(['c1', 'c2', 'c3']);
});

test('[trap 14] the tenant is taken out of the channel data, and that is said in the known words', async () => {
  expect(
    await knock.providers.msTeams.revokeAccess(chat(), { ms_teams_tenant_object: acme }),
  ).toEqual({ ok: 'ok' });
  for (const path of ['auth_check', 'teams', 'channels']) {
    const answer = await get(`${path}?${brackets}&team_id=t`);
    expect([answer.status, answer.body.message]).toEqual([
      403,
      'Microsoft Teams tenant ID not set.',
    ]);
  }
  const data = await api.call('GET', `/v1/objects/$tenants/acme/channel_data/${chat()}`, {
    key: account.secretKey,
  });
  expect(data.body.data).toEqual({ connections: [] });
  await connectAcme(tenantId);
  const answer = await api.call(
    'PUT',
    `/v1/providers/ms-teams/${chat()}/revoke_access?${brackets}`,
    { key: account.secretKey, headers: { 'x-knock-client': 'Knock/ClientJS 1' } },
  );
  expect(answer.body).toBe('ok');
});

test('without a bot the way out is named, and its password is never shown', async () => {
  const shown = await configure({ bot_id: 'bot-2' });
  expect(shown.body).toEqual({
    api_url: `${microsoft.url}/v1.0`,
    login_url: microsoft.url,
    bot_id: 'bot-2',
    has_bot_password: true,
  });
  const [row] = await api.ctx.db.query(
    'select provider_settings::text || provider_secret as stored from channel_setting where environment_id = $1',
    [account.development.id],
  );
  expect(JSON.stringify(row)).not.toContain('hush');
  expect((await configure({ bot_password: null })).body.has_bot_password).toBe(false);
  const answer = await get(`auth_check?${brackets}`);
  expect([answer.status, answer.body.code]).toEqual([422, 'channel_invalid']);
  expect(answer.body.message).toContain('/control/v1/channels/chat/provider');
});

test('another account’s channel and settings do not exist', async () => {
  const other = await api.account();
  await connectAcme(tenantId, other);
  expect((await get(`auth_check?${brackets}`, other.secretKey)).body.code).toBe('resource_missing');
  const answer = await get(`auth_check?${brackets}`, other.secretKey, other);
  expect(answer.body.code).toBe('channel_invalid');
  const bare = await get(`teams?${brackets}`, account.publicKey);
  expect([bare.status, bare.body.code]).toEqual([403, 'authorization']);
});

describe('what is wrong is refused before Microsoft is asked', () => {
  test.each([
    ['teams', '&query_options[$top]=1000', 'query_options.$top'],
    ['teams', '&query_options[$top]=x', 'query_options.$top'],
    ['channels', '', 'team_id'],
    ['channels', '&team_id=..', 'team_id'],
    ['channels', '&team_id=a/b', 'team_id'],
  ])('%s%s', async (path, query, field) => {
    graph(() => ({ json: { value: [] } }));
    const answer = await get(`${path}?${brackets}${query}`);
    expect([answer.status, answer.body.errors?.[0]?.field]).toEqual([422, field]);
    expect(microsoft.take()).toEqual([]);
  });

  test.each(['ftp://x', 'nonsense', 'https://u:p@h', 'https://h?x=1'])(
    'the URL %s',
    async (api_url) => {
      const answer = await configure({ api_url });
      expect([answer.status, answer.body.errors?.[0]?.field]).toEqual([422, 'api_url']);
    },
  );
});

describe('a provider that is not well is an error that says so', () => {
  test.each([
    ['no list', { json: { value: 'x' } }, 502],
    ['no JSON', { text: '?' }, 502],
    ['status 503', { json: {}, status: 503 }, 502],
    ['too much at once', { json: {}, status: 429 }, 429],
    [
      'no permission',
      { json: { error: { code: 'Forbidden', message: 'Missing role' } }, status: 403 },
      403,
    ],
    ['a wrong filter', { json: { error: { code: 'BadRequest' } }, status: 400 }, 422],
  ] as const)('%s', async (_name, reply, status) => {
    graph(() => reply);
    const answer = await get(`teams?${brackets}`);
    expect(answer.status).toBe(status);
    expect(answer.text).not.toContain('graph-1');
  });
});
