import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ProviderServer, startProviderServer } from '../support/provider-server.ts';
import type { WalkWorld } from './walk-world.ts';

/** What Slack and Microsoft Teams say, asked through the SDK; a server of the test's own speaks for them. */
export function walkProviders(world: () => WalkWorld): void {
  let provider: ProviderServer;
  const object = JSON.stringify({ collection: '$tenants', object_id: 'connected' });

  beforeAll(async () => {
    provider = await startProviderServer();
  });
  afterAll(() => provider.close());

  test('Slack and Microsoft Teams are asked for channels and teams, and disconnected', async () => {
    const { sdk, channels, call, callAsService } = world();
    const chat = channels.chat ?? '';
    await callAsService('PUT', '/control/v1/channels/chat/provider', {
      api_url: provider.url,
      login_url: provider.url,
      bot_id: 'bot',
      bot_password: 'secret',
    });
    await call('PUT', `/v1/objects/$tenants/connected/channel_data/${chat}`, {
      data: {
        connections: [],
        token: { access_token: 'xoxb' },
        ms_teams_tenant_id: '7c2f1d6e-0000-4000-8000-000000000001',
      },
    });
    const entry = { id: 'T1', displayName: 'One', description: 'First' };
    provider.answer(({ path }) => ({
      json: path.endsWith('/token')
        ? { access_token: 'graph' }
        : { ok: true, channels: [{ id: 'C1', name: 'general' }], value: [entry] },
    }));

    const { slack, msTeams } = sdk.providers;
    const access = { access_token_object: object };
    expect((await slack.checkAuth(chat, access)).connection.ok).toBe(true);
    expect((await slack.listChannels(chat, access)).slack_channels).toHaveLength(1);
    expect(await slack.revokeAccess(chat, access)).toEqual({ ok: 'ok' });

    const tenant = { ms_teams_tenant_object: object };
    expect((await msTeams.checkAuth(chat, tenant)).connection.ok).toBe(true);
    expect((await msTeams.listTeams(chat, tenant)).ms_teams_teams).toEqual([entry]);
    const found = await msTeams.listChannels(chat, { ...tenant, team_id: 'T1' });
    expect(found.ms_teams_channels).toEqual([entry]);
    expect(await msTeams.revokeAccess(chat, tenant)).toEqual({ ok: 'ok' });
  });
}
