import { createPrivateKey } from 'node:crypto';
import { Knock } from '@knocklabs/node';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EnvironmentCredentials } from '../../src/accounts/create-account.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type FeedServer, startFeedServer } from '../support/feed-server.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';
import { operatingEngine } from '../support/operations.ts';

let database: TestDatabase;
let world: MessageWorld;
let server: FeedServer;
let engine: Awaited<ReturnType<typeof operatingEngine>>;
let credentials: EnvironmentCredentials;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
  engine = await operatingEngine(database.url);
  server = await startFeedServer(world.ctx, { engine });
  const found = world.credentials.environments.development;
  if (!found) throw new Error('no development environment');
  credentials = found;
});
afterAll(async () => {
  await server.close();
  await engine.close();
  await database.drop();
});

type Answer = { readonly status: number; readonly body: Record<string, unknown> };

async function call(
  method: string,
  path: string,
  options: { readonly key?: string; readonly token?: string; readonly body?: unknown } = {},
): Promise<Answer> {
  const response = await fetch(server.url + path, {
    method,
    headers: {
      authorization: `Bearer ${options.key ?? credentials.public_key}`,
      'content-type': 'application/json',
      ...(options.token ? { 'x-knock-user-token': options.token } : {}),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : JSON.parse(text) };
}

const feedPath = (userId: string): string =>
  `/v1/users/${encodeURIComponent(userId)}/feeds/${world.channels['in-app']}`;
const tokenFor = (userId: string) =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'RS256' })
    .setSubject(userId)
    .setExpirationTime('1h')
    .sign(createPrivateKey(credentials.signing_key_pem));

test('the server SDK lists a feed with every style of parameter, and reads its settings', async () => {
  const [id = ''] = await world.insert([
    { userId: 'sdk', tenant: 't', categories: ['x', 'y'], data: { k: 'v' } },
  ]);
  await world.insert([{ userId: 'sdk', tenant: 'u' }]);
  const knock = new Knock({ apiKey: credentials.secret_key, baseURL: server.url });
  const page = await knock.users.feeds.listItems('sdk', world.channels['in-app'] ?? '', {
    tenant: 't',
    has_tenant: true,
    workflow_categories: ['y', 'z'],
    trigger_data: '{"k":"v"}',
    inserted_at: { gt: '2020-01-01T00:00:00Z' },
    status: 'unread',
    page_size: 5,
  });
  expect(page.entries.map((item) => item.id)).toEqual([id]);
  const settings = await knock.users.feeds.getSettings('sdk', world.channels['in-app'] ?? '');
  expect(settings.features.branding_required).toBe(false);
});

test('the server SDK changes and reads messages', async () => {
  const [a = '', b = ''] = await world.insert([{ userId: 'sdk2' }, { userId: 'sdk2' }]);
  const knock = new Knock({ apiKey: credentials.secret_key, baseURL: server.url });
  expect((await knock.messages.markAsSeen(a)).engagement_statuses).toEqual(['seen']);
  expect((await knock.messages.markAsInteracted(a, { metadata: { x: 1 } })).read_at).not.toBeNull();
  expect((await knock.messages.markAsUnread(a)).read_at).toBeNull();
  expect((await knock.messages.archive(b)).engagement_statuses).toEqual(['archived']);
  expect((await knock.messages.unarchive(b)).archived_at).toBeNull();
  const batch = await knock.messages.batch.markAsRead({ message_ids: [b, 'unknown', a] });
  expect(batch.map((message) => message.id)).toEqual([b, a]);
  const contents = await knock.messages.batch.getContent({ message_ids: [a, b] });
  expect(contents).toHaveLength(2);
  const operation = await knock.channels.bulk.updateMessageStatus(
    world.channels['in-app'] ?? '',
    'unread',
    { recipient_ids: ['sdk2'] },
  );
  expect(operation).toMatchObject({ status: 'queued', name: 'messages.unread' });
  const over = await knock.bulkOperations.get(operation.id);
  expect(over).toMatchObject({ status: 'completed', success_count: 2 });
  const events: string[] = [];
  for await (const event of knock.messages.listEvents(a)) events.push(event.type);
  expect(events.sort()).toEqual([
    'message.interacted',
    'message.read',
    'message.seen',
    'message.unread',
    'message.unread',
  ]);
  const listed: string[] = [];
  for await (const message of knock.users.listMessages('sdk2', { page_size: 1 })) {
    listed.push(message.id);
  }
  expect(listed).toEqual([b, a]);
});

test('fields can be left out of the answer', async () => {
  await world.insert([{ userId: 'short' }]);
  const path = `${feedPath('short')}?exclude=entries.blocks,entries.source.key,vars,nothing.there`;
  const { body } = await call('GET', path);
  const [item] = body.entries as Record<string, unknown>[];
  expect(body).not.toHaveProperty('vars');
  expect(item).not.toHaveProperty('blocks');
  expect(item?.source).not.toHaveProperty('key');
  expect(item?.source).toHaveProperty('categories');
});

test('a user token sees its own feed and messages only', async () => {
  const [hers = ''] = await world.insert([{ userId: 'eve' }]);
  const token = await tokenFor('bob');
  expect((await call('GET', feedPath('bob'), { token })).status).toBe(200);
  expect((await call('GET', feedPath('eve'), { token })).status).toBe(401);
  expect((await call('GET', `/v1/messages/${hers}`, { token })).status).toBe(404);
  expect((await call('PUT', `/v1/messages/${hers}/read`, { token })).status).toBe(404);
  const batch = await call('POST', '/v1/messages/batch/read', {
    token,
    body: { message_ids: [hers] },
  });
  expect(batch).toEqual({ status: 200, body: [] });
  const bulk = await call('POST', `/v1/channels/${world.channels['in-app']}/messages/bulk/read`, {
    token,
    body: { user_ids: ['eve'] },
  });
  const over = await call('GET', String(bulk.body.progress_path), { key: credentials.secret_key });
  expect(over.body).toMatchObject({ status: 'completed', success_count: 0 });
});

test('a public key cannot list the messages of the environment', async () => {
  for (const path of ['/v1/messages', '/v1/users/eve/messages', '/v1/messages/x/events']) {
    expect((await call('GET', path)).status, path).toBe(403);
  }
});

test('a key of another environment does not see a message', async () => {
  const [id = ''] = await world.insert([{}]);
  const key = world.credentials.environments.production?.secret_key ?? '';
  expect((await call('GET', `/v1/messages/${id}`, { key })).status).toBe(404);
  expect((await call('GET', `/v1/messages/${id}/content`, { key })).status).toBe(404);
  expect((await call('GET', `/v1/messages/${id}/delivery_logs`, { key })).status).toBe(404);
  expect((await call('PUT', `/v1/messages/${id}/seen`, { key })).status).toBe(404);
});

test.for([
  ['GET', '/v1/users/u/feeds/00000000-0000-4000-8000-000000000000', undefined, 404],
  ['GET', '/v1/users/u/feeds/in-app', undefined, 404],
  ['GET', 'feed?page_size=1000', undefined, 422],
  ['GET', 'feed?page_size=x', undefined, 422],
  ['GET', 'feed?status=green', undefined, 422],
  ['GET', 'feed?has_tenant=maybe', undefined, 422],
  ['GET', 'feed?inserted_at[gt]=never', undefined, 422],
  ['GET', 'feed?trigger_data=%7B', undefined, 422],
  ['GET', 'feed?after=x', undefined, 422],
  ['PUT', '/v1/messages/nothing/seen', undefined, 404],
  ['POST', '/v1/messages/batch/seen', {}, 422],
  ['POST', '/v1/messages/batch/seen', { message_ids: 'x' }, 422],
  ['POST', '/v1/messages/batch/seen', { message_ids: Array(1_001).fill('x') }, 422],
  ['POST', '/v1/messages/batch/interacted', { message_ids: [], metadata: { a: { b: 1 } } }, 422],
  ['POST', '/v1/messages/batch/green', { message_ids: [] }, 404],
  ['POST', '/v1/channels/x/messages/bulk/read', { user_ids: ['x'] }, 404],
] as const)('%s %s is answered with %s', async ([method, path, body, status]) => {
  const url = path.replace(/^feed/, feedPath('u'));
  const answer = await call(method, url, { body });
  expect(answer.status).toBe(status);
  expect(answer.body).toMatchObject({ status, code: expect.any(String) });
});
