import { expect, test } from 'vitest';
import type { FeedCounts } from '../../src/feed/count-feed.ts';
import { createFairQueue } from '../../src/feed/fair-queue.ts';
import { type FeedFilter, readFeedFilter } from '../../src/feed/feed-filter.ts';
import {
  createFeedHub,
  type FeedHub,
  type FeedHubOptions,
  type NewMessageEvent,
} from '../../src/feed/feed-hub.ts';
import type { FeedTopic } from '../../src/feed/feed-topic.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

const topic: FeedTopic = { environmentId: 1, channelId: 'c', userId: 'u' };

/** Items by tenant, counted without a database; each count waits for `release` when it is held. */
function createItems() {
  const items: string[] = [];
  let waiting: (() => void)[] = [];
  const state = { held: false, queries: 0, failing: 0 };
  const count = async (_: FeedTopic, filters: readonly FeedFilter[]): Promise<FeedCounts[]> => {
    state.queries += 1;
    if (state.failing > 0) {
      state.failing -= 1;
      throw new Error('no database');
    }
    const counts = filters.map(({ tenant }) => {
      const total = items.filter((item) => tenant === undefined || item === tenant).length;
      return { total, unread: total, unseen: total, ever: total, settled: 0 };
    });
    if (state.held) await new Promise<void>((resolve) => waiting.push(resolve));
    return counts;
  };
  const release = (): void => {
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  return { items, state, count, release };
}

function start(options: Partial<FeedHubOptions>): FeedHub {
  return createFeedHub({
    count: createItems().count,
    watch: async () => {},
    unwatch: async () => {},
    clock: { now: () => Date.now() },
    log: silentLog,
    ...options,
  });
}

const views = (tenants: Record<string, string | undefined>) =>
  new Map(
    Object.entries(tenants).map(([id, tenant]) => [id, readFeedFilter(tenant ? { tenant } : {})]),
  );

test('a reference gets attention exactly when more items match its filters', async () => {
  const { items, count } = createItems();
  const hub = start({ count });
  const events: NewMessageEvent[] = [];
  await hub.join({
    accountId: 1,
    topic,
    references: views({ all: undefined, a: 'a', b: 'b' }),
    push: (event) => events.push(event),
  });
  items.push('a');
  hub.notify([topic]);
  const first = await waitFor('the first event', () => events[0]);
  expect(first).toMatchObject({
    event: 'new-message',
    attn: ['all', 'a'],
    data: { all: { metadata: { total_count: 1 } }, b: { metadata: { total_count: 0 } } },
  });
  items.push('b');
  hub.notify([topic, { ...topic, userId: 'somebody else' }]);
  const second = await waitFor('the second event', () => events[1]);
  expect(second.attn).toEqual(['all', 'b']);
});

test('a view of read or archived items only is never told of new ones', async () => {
  const { items, state, count } = createItems();
  const hub = start({ count });
  const events: NewMessageEvent[] = [];
  await hub.join({
    accountId: 1,
    topic,
    references: new Map([
      ['read', readFeedFilter({ status: 'read' })],
      ['archived', readFeedFilter({ archived: 'only' })],
    ]),
    push: (event) => events.push(event),
  });
  items.push('a');
  hub.notify([topic]);
  await waitFor('the count', () => (state.queries === 1 ? true : undefined));
  await new Promise((resolve) => setImmediate(resolve));
  expect(events).toEqual([]);
});

test('a burst of changes costs one count under way and one more', async () => {
  const { items, state, count, release } = createItems();
  const hub = start({ count });
  const events: NewMessageEvent[] = [];
  await hub.join({
    accountId: 1,
    topic,
    references: views({ all: undefined }),
    push: (e) => events.push(e),
  });
  state.held = true;
  for (let i = 0; i < 1_000; i++) {
    items.push('a');
    hub.notify([topic]);
  }
  expect(state.queries).toBe(1);
  state.held = false;
  release();
  const last = await waitFor('the last count', () =>
    events.find((event) => event.metadata.total_count === 1_000),
  );
  expect(last.attn).toEqual(['all']);
  expect(state.queries).toBe(2);
});

test('after a burst a viewer is told again when all is quiet, a page’s worth at a time', async () => {
  const { items, count } = createItems();
  const hub = start({ count });
  const events: NewMessageEvent[] = [];
  await hub.join({
    accountId: 1,
    topic,
    references: views({ all: undefined }),
    push: (e) => events.push(e),
  });
  items.push(...Array.from({ length: 120 }, () => 'a'));
  hub.notify([topic]);
  await waitFor('three more events', () => events[3]);
  expect(events.map((event) => event.attn)).toEqual([['all'], ['all'], ['all'], ['all']]);
  expect(events.map((event) => event.metadata.total_count)).toEqual([120, 120, 120, 120]);
});

test('a re-join replaces the filters of the first join and loses nothing in between', async () => {
  const { items, state, count, release } = createItems();
  const hub = start({ count });
  const old: NewMessageEvent[] = [];
  const events: NewMessageEvent[] = [];
  const first = await hub.join({
    accountId: 1,
    topic,
    references: views({ one: undefined }),
    push: (event) => old.push(event),
  });
  items.push('a');
  hub.notify([topic]);
  await waitFor('the first event', () => old[0]);
  // The count is under way when the viewer leaves, and another change comes before it is back.
  state.held = true;
  items.push('a');
  hub.notify([topic]);
  first.leave();
  state.held = false;
  release();
  items.push('b');
  hub.notify([topic]);
  await hub.join({
    accountId: 1,
    topic,
    references: views({ one: undefined, two: 'b' }),
    push: (event) => events.push(event),
    replaces: first,
  });
  const event = await waitFor('the event after the re-join', () => events[0]);
  expect(event.attn).toEqual(['one', 'two']);
  expect(event.data.one?.metadata.total_count).toBe(3);
  expect(old).toHaveLength(1);
});

test('a re-join without anything new in between is told nothing', async () => {
  const { items, state, count } = createItems();
  const hub = start({ count });
  const events: NewMessageEvent[] = [];
  const join = (replaces?: Parameters<FeedHub['join']>[0]['replaces']) =>
    hub.join({
      accountId: 1,
      topic,
      references: views({ one: undefined }),
      push: (event) => events.push(event),
      replaces,
    });
  items.push('a');
  const first = await join();
  await join(first);
  await new Promise((resolve) => setImmediate(resolve));
  expect(state.queries).toBe(0);
  expect(events).toEqual([]);
});

test('a join waits until its topic is watched, and many at once are one call', async () => {
  const calls: string[][] = [];
  let watched = () => {};
  const hub = start({
    watch: (keys) => {
      calls.push([...keys]);
      return new Promise((resolve) => {
        watched = resolve;
      });
    },
  });
  let joined = 0;
  const joins = ['u', 'v', 'u'].map((userId) =>
    hub
      .join({ accountId: 1, topic: { ...topic, userId }, references: new Map(), push: () => {} })
      .then(() => {
        joined += 1;
      }),
  );
  await waitFor('the call', () => calls[0]);
  expect(joined).toBe(0);
  watched();
  await Promise.all(joins);
  expect(calls).toEqual([['1:c:u', '1:c:v']]);
});

test('a join whose topic cannot be watched fails, and the next one tries again', async () => {
  let failures = 1;
  const hub = start({
    watch: async () => {
      if (failures-- > 0) throw new Error('no engine');
    },
  });
  const request = { accountId: 1, topic, references: new Map(), push: () => {} };
  await expect(hub.join(request)).rejects.toThrow('no engine');
  await hub.join(request);
  expect(hub.topicCount()).toBe(1);
});

test('a topic stays watched for a moment after its last viewer left, and no longer', async () => {
  const unwatched: string[] = [];
  const hub = start({
    lingerMs: 20,
    unwatch: async (keys) => {
      unwatched.push(...keys);
    },
  });
  const subscription = await hub.join({
    accountId: 1,
    topic,
    references: new Map(),
    push: () => {},
  });
  subscription.leave();
  subscription.leave();
  expect(hub.topicCount()).toBe(1);
  await waitFor('the end of the watch', () => unwatched[0]);
  expect(unwatched).toEqual(['1:c:u']);
  expect(hub.topicCount()).toBe(0);
});

test('topics are bounded', async () => {
  const hub = start({ maxTopics: 1 });
  await hub.join({ accountId: 1, topic, references: new Map(), push: () => {} });
  await expect(
    hub.join({
      accountId: 1,
      topic: { ...topic, userId: 'v' },
      references: new Map(),
      push: () => {},
    }),
  ).rejects.toMatchObject({ code: 'rate_limited' });
});

test('a count that fails is tried again', async () => {
  const { items, state, count } = createItems();
  const hub = start({ count });
  const events: NewMessageEvent[] = [];
  await hub.join({
    accountId: 1,
    topic,
    references: views({ all: undefined }),
    push: (e) => events.push(e),
  });
  state.failing = 1;
  items.push('a');
  hub.notify([topic]);
  expect((await waitFor('the event', () => events[0])).attn).toEqual(['all']);
});

test('a group with many keys does not delay the others', async () => {
  const order: string[] = [];
  const releases: (() => void)[] = [];
  const queue = createFairQueue(1, (key) => {
    order.push(key);
    return new Promise((resolve) => releases.push(resolve));
  });
  for (let i = 0; i < 100; i++) queue.add(1, `loud ${i}`);
  queue.add(2, 'quiet');
  for (let turn = 0; turn < 3; turn++) {
    const release = await waitFor('the turn', () => releases[turn]);
    release();
  }
  await waitFor('the quiet one', () => (order.includes('quiet') ? true : undefined));
  expect(order.indexOf('quiet')).toBeLessThan(3);
});
