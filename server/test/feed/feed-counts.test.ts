import { afterAll, beforeAll, expect, test } from 'vitest';
import { listFeed, readFeedQuery } from '../../src/feed/list-feed.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createMessageWorld, type MessageFixture, type MessageWorld } from '../support/messages.ts';

let database: TestDatabase;
let world: MessageWorld;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
});
afterAll(() => database.drop());

/** Mulberry32: small, and the same everywhere for a seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Query = {
  status?: string;
  archived?: string;
  source?: string;
  tenant?: string;
  has_tenant?: boolean;
  workflow_categories?: string[];
  trigger_data?: Record<string, string | number>;
};

/** The filters of the wire contract, said once more and simply. */
function shows(query: Query, item: MessageFixture): boolean {
  const { status = 'all', archived = 'exclude' } = query;
  if (status === 'unread' && item.read) return false;
  if (status === 'read' && !item.read) return false;
  if (status === 'unseen' && item.seen) return false;
  if (status === 'seen' && !item.seen) return false;
  if (archived === 'exclude' && item.archived) return false;
  if (archived === 'only' && !item.archived) return false;
  if (query.source !== undefined && item.workflow !== query.source) return false;
  if (query.has_tenant === true && item.tenant === null) return false;
  if (query.has_tenant === false && item.tenant !== null) return false;
  if (query.tenant !== undefined && item.tenant !== null && item.tenant !== query.tenant)
    return false;
  if (query.tenant !== undefined && query.has_tenant === false) return false;
  const wanted = query.workflow_categories;
  if (wanted && !wanted.some((category) => item.categories?.includes(category))) return false;
  return Object.entries(query.trigger_data ?? {}).every(
    ([key, value]) => item.data?.[key] === value,
  );
}

test('counts and pages agree with a brute-force count for random items and filters', async () => {
  const seed = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000);
  console.info(`seed ${seed}; repeat with TEST_SEED=${seed}`);
  const random = randomFrom(seed);
  const one = <Value>(values: readonly Value[]): Value => {
    const value = values[Math.floor(random() * values.length)];
    if (value === undefined) throw new Error('nothing to choose from');
    return value;
  };
  const maybe = (): boolean => random() < 0.4;

  const categories = { 'comment-created': ['social', 'work'], alert: ['work'], digest: [] };
  const items: MessageFixture[] = Array.from({ length: 300 }, () => {
    const workflow = one(['comment-created', 'alert', 'digest'] as const);
    return {
      userId: 'grace',
      workflow,
      categories: categories[workflow],
      tenant: one(['a', 'b', null]),
      data: { n: one([1, 2]), s: one(['x', 'y']) },
      seen: maybe(),
      read: maybe(),
      archived: maybe(),
    };
  });
  const ids = await world.insert(items);

  for (let round = 0; round < 150; round++) {
    const query: Query = {
      ...(maybe() ? { status: one(['all', 'unread', 'read', 'unseen', 'seen']) } : {}),
      ...(maybe() ? { archived: one(['exclude', 'include', 'only']) } : {}),
      ...(maybe() ? { source: one(['comment-created', 'alert', 'none']) } : {}),
      ...(maybe() ? { tenant: one(['a', 'b', 'c']) } : {}),
      ...(maybe() ? { has_tenant: one([true, false]) } : {}),
      ...(maybe() ? { workflow_categories: one([['social'], ['work'], ['social', 'none']]) } : {}),
      ...(maybe() ? { trigger_data: one([{ n: 1 }, { n: 2, s: 'x' }, { n: '1' }]) } : {}),
    };
    const shown = items.filter((item) => shows(query, item));
    const newestFirst = ids.filter((_, index) => shows(query, items[index] ?? {})).reverse();
    const page = await listFeed(world.development, {
      userId: 'grace',
      channelId: world.channels['in-app'] ?? '',
      query: readFeedQuery(query),
    });
    const said = `seed ${seed}, query ${JSON.stringify(query)}`;
    expect(page.meta, said).toEqual({
      __typename: 'FeedMetadata',
      total_count: shown.length,
      unread_count: shown.filter((item) => !item.read).length,
      unseen_count: shown.filter((item) => !item.seen).length,
    });
    expect(
      page.entries.map(({ id }) => id),
      said,
    ).toEqual(newestFirst.slice(0, 50));
  }
});
