import knockClient, { type Feed } from '@knocklabs/client';
import KnockNode, { signUserToken } from '@knocklabs/node';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { waitFor } from '../support/wait.ts';
import { type StartedServer, startWholeServer } from './support/started-server.ts';

// Its types describe a CommonJS module; what is imported here is the class itself.
const KnockClient = knockClient as unknown as new (
  apiKey: string,
  options: { readonly host: string },
) => Feed['knock'];

let server: StartedServer;
let sdk: KnockNode;

beforeAll(async () => {
  // The client opens its socket only where there is a window.
  vi.stubGlobal('window', globalThis);
  server = await startWholeServer();
  sdk = new KnockNode({ apiKey: server.development.secret_key, baseURL: server.origin });
});
afterAll(async () => {
  vi.unstubAllGlobals();
  await server.stop();
});

const inApp = (): string => server.development.channels['in-app'] ?? '';

test('what the node SDK triggers, the client receives, reads and counts', async () => {
  await sdk.users.update('mara', { name: 'Mara', email: 'mara@example.com' });
  await sdk.users.update('ines', { name: 'Ines' });
  const knock = new KnockClient(server.development.public_key, { host: server.origin });
  knock.authenticate('mara');
  const feed = knock.feeds.initialize(inApp(), {});
  feed.listenForUpdates();
  await feed.fetch();
  expect(feed.store.getState().metadata.total_count).toBe(0);

  // The socket may still be joining: trigger until the first notification is announced.
  let sent = 0;
  await waitFor('the first notification', async () => {
    sent += 1;
    await sdk.workflows.trigger('new-comment', {
      recipients: ['mara'],
      actor: 'ines',
      data: { comment: 'Lovely.', page: 'Roadmap' },
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    return feed.store.getState().items.length > 0 ? true : undefined;
  });
  const total = await waitFor('the counts to settle', async () => {
    const page = await sdk.users.feeds.listItems('mara', inApp());
    const { metadata, items } = feed.store.getState();
    const counts = [page.entries.length, items.length, metadata.total_count];
    return counts.every((count) => count === sent) ? sent : undefined;
  });
  const [newest] = feed.store.getState().items;
  if (!newest) throw new Error('there is no item');
  expect(newest.blocks[0]).toMatchObject({
    name: 'body',
    rendered: expect.stringContaining('Ines'),
  });
  expect(feed.store.getState().metadata.unread_count).toBe(total);

  await feed.markAsRead(newest);
  const after = await sdk.users.feeds.listItems('mara', inApp());
  expect(after.entries.find((entry) => entry.id === newest.id)?.read_at).not.toBeNull();
  expect(feed.store.getState().metadata.unread_count).toBe(total - 1);
  const message = await sdk.messages.get(newest.id);
  expect(message.engagement_statuses).toContain('read');
  knock.teardown();
});

test('a delayed run that is cancelled in time reaches nobody', async () => {
  await sdk.workflows.trigger('reminder', {
    recipients: ['late'],
    data: { task: 'Water the plants', remind_in: { unit: 'seconds', value: 2 } },
    cancellation_key: 'plants',
  });
  await sdk.workflows.trigger('reminder', {
    recipients: ['late'],
    data: { task: 'Feed the cat', remind_in: { unit: 'seconds', value: 2 } },
    cancellation_key: 'cat',
  });
  await sdk.workflows.cancel('reminder', { cancellation_key: 'plants' });
  const entries = await waitFor('the other reminder', async () => {
    const page = await sdk.users.feeds.listItems('late', inApp());
    return page.entries.length > 0 ? page.entries : undefined;
  });
  expect(entries).toHaveLength(1);
  expect(JSON.stringify(entries[0])).toContain('Feed the cat');
});

test('an idempotency key makes one run of many equal requests', async () => {
  const runs = await Promise.all(
    Array.from({ length: 8 }, () =>
      sdk.workflows.trigger(
        'new-comment',
        { recipients: ['once'], data: { comment: 'Once.' } },
        { idempotencyKey: 'only-one' },
      ),
    ),
  );
  expect(new Set(runs.map((run) => run.workflow_run_id)).size).toBe(1);
  const entries = await waitFor('the notification', async () => {
    const page = await sdk.users.feeds.listItems('once', inApp());
    return page.entries.length > 0 ? page.entries : undefined;
  });
  expect(entries).toHaveLength(1);
});

test('a user token signed by the SDK opens that user’s feed and nobody else’s', async () => {
  const token = await signUserToken('mara', { signingKey: server.development.signing_key_pem });
  const get = (user: string) =>
    fetch(`${server.origin}/v1/users/${user}/feeds/${inApp()}`, {
      headers: {
        authorization: `Bearer ${server.development.public_key}`,
        'x-knock-user-token': token,
      },
    });
  expect((await get('mara')).status).toBe(200);
  expect((await get('ines')).status).toBe(401);
});
