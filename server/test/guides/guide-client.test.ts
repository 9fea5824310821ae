import { createPrivateKey } from 'node:crypto';
import * as client from '@knocklabs/client';
import knockClient, { type KnockGuideClient as Guides } from '@knocklabs/client';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { JsonObject } from '../../src/lib/json.ts';
import { identify } from '../../src/recipients/identify.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type FeedServer, startFeedServer } from '../support/feed-server.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';
import { openSocket, type TestSocket } from '../support/phoenix-socket.ts';
import { waitFor } from '../support/wait.ts';
import { pushGuides, step } from './support.ts';

type Knock = Guides['knock'];
// Its types describe a CommonJS module; what is imported here is the class itself.
const KnockClient = knockClient as unknown as new (
  apiKey: string,
  options: { readonly host: string },
) => Knock;

/** The unmodified guide client of the wire contract, and a bare socket, against the real server. */
let database: TestDatabase;
let world: MessageWorld;
let server: FeedServer;
let userId = '';
let users = 0;
const closers: (() => void)[] = [];

beforeAll(async () => {
  // The client opens its socket only where there is a window.
  vi.stubGlobal('window', globalThis);
  database = await createTestDatabase();
});
afterAll(async () => {
  for (const close of closers) close();
  vi.unstubAllGlobals();
  await server.close();
  await database.drop();
});
beforeEach(async () => {
  for (const close of closers.splice(0)) close();
  await server?.close();
  world = await createMessageWorld(database.db);
  server = await startFeedServer(world.ctx);
  users += 1;
  userId = `guide-client-${users}`;
});

const publicKey = () => world.credentials.environments.development?.public_key ?? '';
const channelId = () => world.channels['in-app-guide'] ?? '';
const push = (guides: { readonly [key: string]: JsonObject }, group?: JsonObject) =>
  pushGuides(server.url, world.credentials, guides, group ? { group } : {});
/** What is published was changed long ago, so that nobody who joins is told of it again. */
const settle = () => database.db.query(`update guide set updated_at = now() - interval '1 hour'`);

function connect(target: { readonly tenant?: string; readonly data?: JsonObject } = {}): Guides {
  const knock = new KnockClient(publicKey(), { host: server.url });
  knock.authenticate(userId);
  const guides = new client.KnockGuideClient(knock, channelId(), target, {
    trackLocationFromWindow: false,
    throttleCheckInterval: 0,
    orderResolutionDuration: 0,
  });
  closers.push(() => {
    guides.cleanup();
    knock.teardown();
  });
  return guides;
}

async function listen(guides: Guides): Promise<void> {
  guides.subscribe();
  const socket = guides.knock.client().socket as unknown as {
    readonly channels: readonly { topic: string; state: string }[];
  };
  await waitFor('the join', () =>
    socket.channels.some(
      ({ topic, state }) => topic === `guides:${channelId()}` && state === 'joined',
    )
      ? true
      : undefined,
  );
}

const shown = (guides: Guides) => Object.keys(guides.store.state.guides).sort();
const eventually = (guides: Guides, keys: readonly string[]) =>
  waitFor(`the guides ${keys.join()}`, () =>
    shown(guides).join() === keys.join() ? true : undefined,
  );
/** The guide that the application shows now. */
function selected(guides: Guides): string | undefined {
  const state = () => guides.store.state;
  guides.selectGuide(state(), { type: 'banner' });
  return guides.selectGuide(state(), { type: 'banner' })?.key;
}

test('fetches guides, and keeps what its user does with them', async () => {
  await push({ tour: { steps: [step('step_1', { title: 'Hi' }), step('step_2', {})] } });
  const guides = connect();
  expect(await guides.fetch()).toEqual({ status: 'ok' });
  expect(shown(guides)).toEqual(['tour']);
  const [first, second] = guides.store.state.guides.tour?.steps ?? [];
  expect(first?.content).toEqual({ title: 'Hi' });
  await first?.markAsSeen();
  await first?.markAsInteracted({ metadata: { button: 'primary' } });
  await first?.markAsArchived();
  await second?.markAsArchived();
  const again = connect();
  await waitFor('what was done', async () => {
    await again.fetch({ force: true });
    return shown(again).length === 0 ? true : undefined;
  });
  expect(again.store.state.ineligibleGuides.tour?.reason).toBe('marked_as_archived');
  expect(again.store.state.guideGroupDisplayLogs.default).toEqual(expect.any(String));
});

test('its reset makes a guide as new', async () => {
  await push({ tour: {} });
  const guides = connect();
  await guides.fetch();
  const [seen] = guides.store.state.guides.tour?.steps ?? [];
  await seen?.markAsSeen();
  const guide = guides.store.state.guides.tour;
  if (!guide) throw new Error('the guide is missing');
  await waitFor('what was seen', async () => {
    const rows = await database.db.query('select from guide_engagement where user_id = $1', [
      userId,
    ]);
    return rows.length > 0 ? true : undefined;
  });
  await guides.resetEngagement(guide);
  expect(guides.store.state.guides.tour?.steps[0]?.message.seen_at).toBeNull();
});

test('hears of guides that come, change and go, and of their order', async () => {
  await push({ tour: {} });
  await settle();
  const guides = connect();
  await guides.fetch();
  await listen(guides);
  await push({ news: {} });
  await eventually(guides, ['news', 'tour']);
  await waitFor('the order', () =>
    guides.store.state.guideGroups[0]?.display_sequence.join() === 'tour,news' ? true : undefined,
  );
  await push({ news: { steps: [step('step_1', { title: 'Newer' })] } });
  await waitFor('the change', () =>
    guides.store.state.guides.news?.steps[0]?.content.title === 'Newer' ? true : undefined,
  );
  await push({ tour: { active: false } });
  await eventually(guides, ['news']);
  await push(
    { tour: { active: true } },
    { display_sequence_unthrottled: ['tour'], display_interval: 9 },
  );
  await eventually(guides, ['news', 'tour']);
  await waitFor('the pace', () =>
    guides.store.state.guideGroups[0]?.display_interval === 9 ? true : undefined,
  );
  expect(guides.store.state.guides.tour?.bypass_global_group_limit).toBe(true);
  await push({ news: { archived_at: '2026-01-01T00:00:00Z' } });
  await eventually(guides, ['tour']);
});

test('hears only of what its user may see', async () => {
  const forPros = {
    target_property_conditions: {
      all: [{ variable: 'recipient.plan', operator: 'equal_to', argument: 'pro' }],
    },
  };
  const guides = connect();
  await guides.fetch();
  await listen(guides);
  await push({ 'for-pros': forPros, open: {} });
  await eventually(guides, ['open']);
  await identify(world.development, {
    collection: '$users',
    id: userId,
    properties: { plan: 'pro' },
  });
  await push({ 'for-pros': { ...forPros, name: 'Changed' } });
  await eventually(guides, ['for-pros', 'open']);
  await push({
    open: {
      ...forPros,
      target_property_conditions: {
        all: [{ variable: 'recipient.plan', operator: 'equal_to', argument: 'free' }],
      },
    },
  });
  await eventually(guides, ['for-pros']);
});

test('what it targets with decides: data and tenant', async () => {
  const onlyHere = {
    target_property_conditions: {
      all: [
        { variable: 'data.page', operator: 'equal_to', argument: 'billing' },
        { variable: 'tenant.id', operator: 'equal_to', argument: '"acme"' },
      ],
    },
    steps: [step('step_1', { title: '{{ data.page }} of {{ tenant.id }}' })],
  };
  const here = connect({ tenant: 'acme', data: { page: 'billing' } });
  const elsewhere = connect({ tenant: 'acme', data: { page: 'home' } });
  for (const guides of [here, elsewhere]) {
    await guides.fetch();
    await listen(guides);
  }
  await push({ tour: onlyHere, done: {} });
  await eventually(here, ['done', 'tour']);
  await eventually(elsewhere, ['done']);
  expect(here.store.state.guides.tour?.steps[0]?.content.title).toBe('billing of acme');
});

test('shows one guide at a time, and the next after the throttle window', async () => {
  await push(
    { tour: {}, news: {} },
    { display_sequence: ['news', 'tour'], display_interval: 3600 },
  );
  const guides = connect();
  await guides.fetch();
  expect(await waitFor('a guide', () => selected(guides))).toBe('news');
  await guides.store.state.guides.news?.steps[0]?.markAsArchived();
  const later = connect();
  await waitFor('the window', async () => {
    await later.fetch({ force: true });
    return later.store.state.guideGroupDisplayLogs.default;
  });
  expect(shown(later)).toEqual(['tour']);
  expect(selected(later)).toBeUndefined();
});

async function bareSocket(): Promise<TestSocket> {
  const socket = await openSocket(server.socketUrl, { api_key: publicKey() });
  closers.push(() => socket.socket.close());
  return socket;
}

const topic = () => `guides:${channelId()}`;

test('a change between the fetch and the join is told to who joins', async () => {
  await push({ tour: {} });
  const socket = await bareSocket();
  socket.send('1', '1', topic(), 'phx_join', { user_id: userId });
  expect((await socket.reply('1'))[4]).toEqual({ status: 'ok', response: {} });
  const event = await socket.event('guide.updated');
  expect(event).toEqual([
    '1',
    null,
    topic(),
    'guide.updated',
    {
      topic: topic(),
      event: 'guide.updated',
      data: { guide: expect.objectContaining({ key: 'tour' }), eligible: true },
    },
  ]);
  expect((await socket.event('guide_group.updated'))[4]).toMatchObject({
    data: { guide_group: { key: 'default', display_sequence: ['tour'] } },
  });
});

test('who is not to see a guide hears that, and nothing of what it says', async () => {
  const socket = await bareSocket();
  socket.send('1', '1', topic(), 'phx_join', { user_id: userId });
  await socket.reply('1');
  await push({ tour: { steps: [step('step_1', { title: 'Secret plan' })] } });
  await socket.event('guide.added');
  const never = { all: [{ variable: 'recipient.x', operator: 'equal_to', argument: 'y' }] };
  const steps = [step('step_1', { title: 'Very secret plan' })];
  await push({ tour: { target_property_conditions: never, steps } });
  const [, , , , payload] = await socket.event('guide.updated');
  expect(payload.data).toMatchObject({ eligible: false, guide: { key: 'tour', steps: [] } });
  expect(JSON.stringify(payload)).not.toContain('secret');
});

test('a guide appears when its time comes, without anybody publishing anything', async () => {
  await push({ tour: { active_from: new Date(Date.now() + 1_500).toISOString() } });
  await settle();
  const socket = await bareSocket();
  socket.send('1', '1', topic(), 'phx_join', { user_id: userId });
  await socket.reply('1');
  const [, , , , payload] = await socket.event('guide.added');
  expect(payload.data).toMatchObject({ guide: { key: 'tour', active: true }, eligible: true });
});

test('another environment’s pushes are not heard', async () => {
  const socket = await bareSocket();
  socket.send('1', '1', topic(), 'phx_join', { user_id: userId });
  await socket.reply('1');
  await pushGuides(server.url, world.credentials, { theirs: {} }, { environment: 'production' });
  await push({ ours: {} });
  await socket.event('guide.added');
  expect(JSON.stringify(socket.frames)).not.toContain('theirs');
});

test('a socket with a user token hears of that user’s guides only', async () => {
  const pem = world.credentials.environments.development?.signing_key_pem ?? '';
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: 'RS256' })
    .setSubject(userId)
    .setExpirationTime('1h')
    .sign(createPrivateKey(pem));
  const socket = await openSocket(server.socketUrl, { api_key: publicKey(), user_token: token });
  closers.push(() => socket.socket.close());
  socket.send('1', '1', topic(), 'phx_join', { user_id: 'somebody-else' });
  expect((await socket.reply('1'))[4]).toMatchObject({ status: 'error' });
  socket.send('2', '2', topic(), 'phx_join', { user_id: userId });
  expect((await socket.reply('2'))[4]).toMatchObject({ status: 'ok' });
});

test.for<[string, JsonObject]>([
  ['FEED', { user_id: 'x' }],
  ['00000000-0000-4000-8000-000000000000', { user_id: 'x' }],
  ['GUIDES', {}],
  ['GUIDES', { user_id: 'a/b' }],
  ['GUIDES', { user_id: 'x', data: 'text' }],
  ['GUIDES', { user_id: 'x', tenant: { id: 5 } }],
  ['GUIDES', { user_id: 'x', data: { text: 'x'.repeat(20_000) } }],
])('a join of guides:%s with %o is refused', async ([name, payload]) => {
  const socket = await bareSocket();
  const of = name.replace('FEED', world.channels['in-app'] ?? '').replace('GUIDES', channelId());
  socket.send('1', '1', `guides:${of}`, 'phx_join', payload);
  expect((await socket.reply('1'))[4]).toMatchObject({ status: 'error' });
});
