import { expect, test } from 'vitest';
import type { WalkWorld } from './walk-world.ts';

/** Users, objects and tenants, their preferences, channel data and subscriptions. */
export function walkRecipients(world: () => WalkWorld): void {
  const condition = { variable: 'recipient.plan', operator: 'equal_to', argument: 'pro' } as const;
  const preferences = {
    workflows: { comment: { channel_types: { email: false }, conditions: [condition] } },
    categories: { news: false },
    channel_types: { sms: true },
  };

  test('users are identified, read, listed and deleted', async () => {
    const { sdk } = world();
    const user = await sdk.users.update('mara', {
      name: 'Mara',
      email: 'mara@example.com',
      age: 7,
    });
    expect(user).toMatchObject({ __typename: 'User', id: 'mara', name: 'Mara', age: 7 });
    expect(await sdk.users.get('mara')).toEqual(user);
    await sdk.users.update('to-delete', {});
    await sdk.users.delete('to-delete');
    await expect(sdk.users.get('to-delete')).rejects.toMatchObject({ status: 404 });
    const { entries } = await sdk.users.list({ include: ['preferences'], page_size: 50 });
    expect(entries.map(({ id }) => id)).toContain('mara');
    expect(entries.map(({ id }) => id)).not.toContain('to-delete');
  });

  test('objects are set, read, listed and deleted', async () => {
    const { sdk } = world();
    const object = await sdk.objects.set('projects', 'p1', { name: 'One', stars: 3 });
    expect(object).toMatchObject({ collection: 'projects', properties: { name: 'One', stars: 3 } });
    expect(await sdk.objects.get('projects', 'p1')).toEqual(object);
    await sdk.objects.set('projects', 'p2', {});
    await sdk.objects.delete('projects', 'p2');
    await expect(sdk.objects.get('projects', 'p2')).rejects.toMatchObject({ status: 404 });
    const { entries } = await sdk.objects.list('projects');
    expect(entries).toEqual([object]);
  });

  test('tenants are set, read, listed and deleted', async () => {
    const { sdk } = world();
    const branding = { primary_color: '#112233' };
    const tenant = await sdk.tenants.set('acme', { name: 'Acme', settings: { branding } });
    expect(tenant).toMatchObject({ id: 'acme', name: 'Acme', settings: { branding } });
    expect(await sdk.tenants.get('acme')).toEqual(tenant);
    await sdk.tenants.set('gone', {});
    await sdk.tenants.delete('gone');
    expect((await sdk.tenants.list({ name: 'Acme' })).entries).toEqual([tenant]);
  });

  test('preferences of users are set, read resolved, listed and unset', async () => {
    const { sdk } = world();
    const set = await sdk.users.setPreferences('mara', 'default', preferences);
    expect(set).toMatchObject({ id: 'default', ...preferences });
    expect(await sdk.users.getPreferences('mara', 'default')).toEqual(set);
    await sdk.users.setPreferences('mara', 'acme', { categories: { news: true } });
    expect((await sdk.users.listPreferences('mara')).map(({ id }) => id).sort()).toEqual([
      'acme',
      'default',
    ]);
    await sdk.users.unsetPreferences('mara', 'acme');
    expect((await sdk.users.listPreferences('mara')).map(({ id }) => id)).toEqual(['default']);
  });

  test('preferences of objects are set, read resolved, listed and unset', async () => {
    const { sdk } = world();
    const set = await sdk.objects.setPreferences('projects', 'p1', 'default', preferences);
    expect(set).toMatchObject({ id: 'default', ...preferences });
    expect(await sdk.objects.getPreferences('projects', 'p1', 'default')).toEqual(set);
    await sdk.objects.setPreferences('projects', 'p1', 'acme', {});
    await sdk.objects.unsetPreferences('projects', 'p1', 'acme');
    expect(await sdk.objects.listPreferences('projects', 'p1')).toEqual([set]);
  });

  test('the preference center of a user is read, and a link to it made', async () => {
    const { sdk } = world();
    expect(await sdk.users.preferenceCenter.getConfig('mara')).toMatchObject({
      enabled: false,
      config: { rows: [{ type: 'commercial_subscribed' }] },
      user_email: 'mara@example.com',
    });
    const { url, token } = await sdk.users.preferenceCenter.generateSignedURL('mara');
    expect(url.endsWith(`/p/${token}`)).toBe(true);
  });

  test('the deprecated endpoints change one part or entry of a preference set', async () => {
    const { call } = world();
    for (const owner of ['/v1/users/ines', '/v1/objects/projects/old']) {
      const set = `${owner}/preferences/default`;
      await call('PUT', `${set}/workflows`, { comment: true });
      await call('PUT', `${set}/workflows/letter`, { subscribed: false });
      await call('PUT', `${set}/categories`, { news: true });
      await call('PUT', `${set}/categories/offers`, { subscribed: false });
      await call('PUT', `${set}/channel_types`, { email: true });
      expect(await call('PUT', `${set}/channel_types/sms`, { subscribed: false })).toMatchObject({
        id: 'default',
        workflows: { comment: true, letter: false },
        categories: { news: true, offers: false },
        channel_types: { email: true, sms: false },
      });
    }
  });

  test('channel data is set, read in both forms of push, and unset', async () => {
    const { sdk, channels } = world();
    const push = channels.push ?? '';
    const chat = channels.chat ?? '';
    const tokens = await sdk.users.setChannelData('mara', push, { data: { tokens: ['t1'] } });
    expect(tokens).toMatchObject({
      channel_id: push,
      data: { tokens: ['t1'], devices: [{ token: 't1' }] },
    });
    expect(await sdk.users.getChannelData('mara', push)).toEqual(tokens);
    await sdk.users.unsetChannelData('mara', push);
    await expect(sdk.users.getChannelData('mara', push)).rejects.toMatchObject({ status: 404 });

    const connections = [{ access_token: 'xoxb-1', channel_id: 'C1' }];
    const set = { data: { connections, token: { access_token: 'xoxb-1' } } };
    const slack = await sdk.objects.setChannelData('projects', 'p1', chat, set);
    expect(slack).toMatchObject(set);
    expect(await sdk.objects.getChannelData('projects', 'p1', chat)).toEqual(slack);
    await sdk.objects.unsetChannelData('projects', 'p1', chat);
    await expect(sdk.objects.getChannelData('projects', 'p1', chat)).rejects.toMatchObject({
      status: 404,
    });
  });

  test('users and objects subscribe to objects and are listed from both ends', async () => {
    const { sdk } = world();
    const recipients = ['mara', { id: 'p1', collection: 'projects' }];
    const added = await sdk.objects.addSubscriptions('projects', 'team', {
      recipients: [{ id: 'mara' }, { id: 'p1', collection: 'projects' }],
      properties: { role: 'lead' },
    });
    expect(added.map(({ recipient }) => recipient.id).sort()).toEqual(['mara', 'p1']);
    const subscribers = await sdk.objects.listSubscriptions('projects', 'team', {
      include: ['preferences'],
    });
    expect(subscribers.entries).toHaveLength(2);
    const own = await sdk.users.listSubscriptions('mara');
    expect(own.entries[0]).toMatchObject({ object: { id: 'team' }, properties: { role: 'lead' } });
    const ended = await sdk.objects.deleteSubscriptions('projects', 'team', { recipients });
    expect(ended).toHaveLength(2);
    expect((await sdk.users.listSubscriptions('mara')).entries).toEqual([]);
  });

  test('a user is merged into another', async () => {
    const { sdk } = world();
    await sdk.users.update('twin', { name: 'Twin', shoe: 42 });
    const merged = await sdk.users.merge('ines', { from_user_id: 'twin' });
    expect(merged).toMatchObject({ id: 'ines', shoe: 42 });
  });

  test('many objects get and lose subscribers at once', async () => {
    const { sdk } = world();
    const subscriptions = [
      { id: 'b1', recipients: [{ id: 'mara' }] },
      { id: 'b2', recipients: [{ id: 'mara' }, { id: 'ines' }] },
    ];
    const added = await sdk.objects.bulk.addSubscriptions('projects', { subscriptions });
    expect(added).toMatchObject({ __typename: 'BulkOperation', estimated_total_rows: 2 });
    const removed = await sdk.objects.bulk.deleteSubscriptions('projects', { subscriptions });
    expect(removed.estimated_total_rows).toBe(2);
  });

  test('members are added to an audience, listed and removed', async () => {
    const { sdk } = world();
    const members = [{ user: { id: 'mara' } }, { user: { id: 'ines', name: 'Ines' } }];
    await sdk.audiences.addMembers('vips', { members, create_audience: true });
    const page = await sdk.audiences.listMembers('vips');
    expect(page.entries.map(({ user_id }) => user_id)).toEqual(['ines', 'mara']);
    await sdk.audiences.removeMembers('vips', { members: [{ user: { id: 'mara' } }] });
    expect((await sdk.audiences.listMembers('vips')).entries).toHaveLength(1);
  });

  test('Census and Hightouch are told what they can sync', async () => {
    const { sdk } = world();
    const call = { id: '1', jsonrpc: '2.0', method: 'list_objects', params: {} };
    const census = await sdk.integrations.census.customDestination(call);
    expect(census).toMatchObject({ id: '1', result: { objects: [{ label: 'Audiences' }] } });
    const hightouch = await sdk.integrations.hightouch.embeddedDestination(call);
    expect(hightouch).toMatchObject({ id: '1', result: { objects: [{ id: 'audiences' }] } });
  });
}
