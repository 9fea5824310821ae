import knockClient, { type Feed, type FeedClientOptions } from '@knocklabs/client';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type FeedServer, startFeedServer } from '../support/feed-server.ts';
import { createMessageWorld, type MessageFixture, type MessageWorld } from '../support/messages.ts';
import { operatingEngine } from '../support/operations.ts';
import { waitFor } from '../support/wait.ts';

type Knock = Feed['knock'];
// Its types describe a CommonJS module; what is imported here is the class itself.
const KnockClient = knockClient as unknown as new (
  apiKey: string,
  options: { readonly host: string },
) => Knock;

/** The unmodified client of the wire contract, against the real HTTP and socket side. */
let database: TestDatabase;
let world: MessageWorld;
let server: FeedServer;
let engine: Awaited<ReturnType<typeof operatingEngine>>;
let userId = '';
let users = 0;
const clients: Knock[] = [];

beforeAll(async () => {
  // The client opens its socket only where there is a window.
  vi.stubGlobal('window', globalThis);
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
  engine = await operatingEngine(database.url);
  server = await startFeedServer(world.ctx, { engine });
});
afterAll(async () => {
  for (const client of clients) client.teardown();
  vi.unstubAllGlobals();
  await server.close();
  await engine.close();
  await database.drop();
});
beforeEach(() => {
  users += 1;
  userId = `client-user-${users}`;
});

const channelId = (): string => world.channels['in-app'] ?? '';

function connectClient(): Knock {
  const knock = new KnockClient(world.credentials.environments.development?.public_key ?? '', {
    host: server.url,
  });
  knock.authenticate(userId);
  clients.push(knock);
  return knock;
}

function openFeed(knock: Knock, options: FeedClientOptions = {}): Feed {
  return knock.feeds.initialize(channelId(), options);
}

async function listen(feed: Feed): Promise<void> {
  const joinedBefore = joins(feed);
  feed.listenForUpdates();
  await waitFor('the join', () => (joins(feed) > joinedBefore ? true : undefined));
}

/** Channels of the feed's topic that its socket has joined. */
function joins(feed: Feed): number {
  const socket = feed.knock.client().socket;
  const channels: readonly { topic: string; state: string }[] =
    socket && 'channels' in socket && Array.isArray(socket.channels) ? socket.channels : [];
  return channels.filter(
    (channel) => channel.topic === feed.socketChannelTopic && channel.state === 'joined',
  ).length;
}

async function arrive(...fixtures: readonly MessageFixture[]): Promise<string[]> {
  const ids = await world.insert(fixtures.map((fixture) => ({ userId, ...fixture })));
  server.hub.notify([
    { environmentId: world.development.environment.id, channelId: channelId(), userId },
  ]);
  return ids;
}

const state = (feed: Feed) => feed.store.getState();
const itemIds = (feed: Feed): string[] => state(feed).items.map((item) => item.id);
const settled = (feed: Feed, ids: readonly string[]) =>
  waitFor(`items ${ids.join()}`, () => (itemIds(feed).join() === ids.join() ? true : undefined));

test('fetches, hears of new items, and its counts agree with the server’s', async () => {
  const [first = ''] = await arrive({});
  const feed = openFeed(connectClient());
  await feed.fetch();
  expect(itemIds(feed)).toEqual([first]);
  await listen(feed);
  const received: unknown[] = [];
  feed.on('items.received.realtime', (event: unknown) => received.push(event));
  const [second = ''] = await arrive({ data: { n: 2 } });
  await settled(feed, [second, first]);
  expect(received).toHaveLength(1);
  expect(state(feed).metadata).toMatchObject({ total_count: 2, unread_count: 2, unseen_count: 2 });
  expect(state(feed).items[0]?.data).toEqual({ n: 2 });
});

test('marks items as seen, read, interacted and archived, and back', async () => {
  const ids = await arrive({}, {}, {});
  const feed = openFeed(connectClient());
  await feed.fetch();
  const [newest, middle, oldest] = state(feed).items;
  if (!newest || !middle || !oldest) throw new Error('items are missing');
  await feed.markAsRead(newest);
  await feed.markAsSeen([newest, middle]);
  await feed.markAsInteracted(middle, { button: 'primary' });
  await feed.markAsArchived(oldest);
  const optimistic = state(feed).metadata;
  await feed.fetch();
  expect(itemIds(feed)).toEqual([ids[2], ids[1]]);
  expect(state(feed).metadata).toMatchObject({ total_count: 2, unread_count: 0, unseen_count: 0 });
  expect(optimistic.unread_count).toBe(0);
  await feed.markAsUnread(newest);
  await feed.markAsUnseen(newest);
  await feed.markAsUnarchived(oldest);
  await feed.fetch();
  expect(itemIds(feed)).toEqual(ids.toReversed());
  expect(state(feed).metadata).toMatchObject({ total_count: 3, unread_count: 2, unseen_count: 2 });
});

test('marks a whole view, and nothing outside it', async () => {
  const knock = connectClient();
  await arrive({ tenant: 'a' }, { tenant: 'b' }, {});
  const feed = openFeed(knock, { tenant: 'a' });
  await feed.fetch();
  expect(state(feed).items).toHaveLength(2);
  await feed.markAllAsRead();
  await feed.fetch();
  expect(state(feed).metadata.unread_count).toBe(0);
  const everything = openFeed(knock);
  await everything.fetch();
  expect(everything.store.getState().metadata).toMatchObject({ total_count: 3, unread_count: 1 });
  await everything.markAllAsSeen();
  await everything.markAllAsArchived();
  await everything.fetch();
  expect(everything.store.getState().metadata.total_count).toBe(0);
});

test('a second feed on the same topic re-joins, and each hears what its filters match', async () => {
  const knock = connectClient();
  const all = openFeed(knock);
  await all.fetch();
  await listen(all);
  const acme = openFeed(knock, { tenant: 'acme', has_tenant: true });
  await acme.fetch();
  acme.listenForUpdates();
  // The first channel is left and a new one joined for both.
  await waitFor('the re-join', () => (joins(acme) === 1 ? true : undefined));
  const [plain = ''] = await arrive({});
  await settled(all, [plain]);
  expect(itemIds(acme)).toEqual([]);
  const [tagged = ''] = await arrive({ tenant: 'acme' });
  await settled(acme, [tagged]);
  await settled(all, [tagged, plain]);
});

test('two tabs of a user both hear of an item', async () => {
  const feeds = [openFeed(connectClient()), openFeed(connectClient())];
  for (const feed of feeds) {
    await feed.fetch();
    await listen(feed);
  }
  const [id = ''] = await arrive({});
  for (const feed of feeds) await settled(feed, [id]);
});

test('catches up after a burst of more items than a page', async () => {
  const feed = openFeed(connectClient());
  await feed.fetch();
  await listen(feed);
  const ids: string[] = [];
  for (let i = 0; i < 30; i++) ids.push(...(await arrive({}, {}, {}, {})));
  await settled(feed, ids.toReversed());
  // All in one millisecond, as one slice of the engine writes them; after those above, which got a
  // millisecond each and may be ahead of the clock.
  const insertedMs = Date.now() + 500;
  await arrive(...Array.from({ length: 120 }, () => ({ insertedMs })));
  await waitFor('the burst', () => (state(feed).items.length === 240 ? true : undefined));
  expect(state(feed).metadata.total_count).toBe(240);
});

test('loads further pages', async () => {
  const ids = await arrive(...Array.from({ length: 7 }, () => ({})));
  const feed = openFeed(connectClient(), { page_size: 3 });
  await feed.fetch();
  const newestFirst = ids.toReversed();
  await settled(feed, newestFirst.slice(0, 3));
  await feed.fetchNextPage();
  await settled(feed, newestFirst.slice(0, 6));
  await feed.fetchNextPage();
  await settled(feed, newestFirst);
  expect(state(feed).pageInfo.after).toBeNull();
});

test('reads and changes a single message', async () => {
  const [id = ''] = await arrive({});
  const knock = connectClient();
  expect(await knock.messages.updateStatus(id, 'read')).toMatchObject({ id, status: 'delivered' });
  expect((await knock.messages.removeStatus(id, 'read')).read_at).toBeNull();
  const interacted = await knock.messages.updateStatus(id, 'interacted', {
    metadata: { button: 'one' },
  });
  expect(interacted.engagement_statuses).toEqual(['read', 'interacted']);
  expect(await knock.messages.get(id)).toMatchObject({ id, recipient: userId });
});
