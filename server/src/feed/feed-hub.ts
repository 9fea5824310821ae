import type { Clock } from '../lib/clock.ts';
import { createDynamicThreshold } from '../lib/dynamic-threshold.ts';
import { BelfryError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { type Burst, createBurst } from './burst.ts';
import { showsNewItems } from './conditions.ts';
import { type FeedCounts, type FeedMetadata, feedMetadata } from './count-feed.ts';
import { createFairQueue } from './fair-queue.ts';
import type { FeedFilter } from './feed-filter.ts';
import { type FeedTopic, feedTopicKey } from './feed-topic.ts';
import { createWatchList, type WatchTopics } from './watch-list.ts';

/**
 * Tells whoever looks at a feed that it has new items. Knows neither HTTP nor sockets.
 *
 * A topic is one user's feed; its subscriptions are the browser tabs that look at it, each with one
 * or more references (a view with filters of its own). A change of the topic leads to one count
 * query for all of them; changes that arrive while it runs lead to one more, however many they are.
 *
 * A reference gets attention when more items match its filters than when it was last told. What it
 * was told is kept for each subscription and handed on when a re-join replaces it, so nothing falls
 * between the two. A reference that was never told anything compares with the items that are older
 * than `SETTLED_MS`: it may be told too much once, never too little.
 */
export type FeedHub = {
  /** Resolves once changes of the topic are being reported. Rejects with `overloaded`. */
  readonly join: (request: JoinRequest) => Promise<FeedSubscription>;
  /** Items were added to these feeds, and their transaction is committed. */
  readonly notify: (changes: readonly FeedTopic[]) => void;
  /** Topics that are watched at the moment. */
  readonly topicCount: () => number;
  readonly close: () => void;
};

type JoinRequest = {
  /** Whose feed it is: accounts share the topics. */
  readonly accountId: number;
  readonly topic: FeedTopic;
  /** Filters by reference id. Empty: the default view, without attention to anybody. */
  readonly references: ReadonlyMap<string, FeedFilter>;
  readonly push: (event: NewMessageEvent) => void;
  /** The subscription of the same viewer that this one takes the place of; it is left. */
  readonly replaces?: FeedSubscription | undefined;
};

export type FeedSubscription = {
  readonly leave: () => void;
};

export type NewMessageEvent = {
  readonly event: 'new-message';
  readonly metadata: FeedMetadata;
  readonly data: { readonly [reference: string]: { readonly metadata: FeedMetadata } };
  readonly attn: readonly string[];
};

export type FeedHubOptions = WatchTopics & {
  /** Counts a feed for each filter: `countFeed` on the database. */
  readonly count: (
    topic: FeedTopic,
    filters: readonly FeedFilter[],
    settledBefore: Date,
  ) => Promise<readonly FeedCounts[]>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Feeds that are counted at the same time. */
  readonly concurrency?: number;
  readonly maxTopics?: number;
  /** How long a topic stays watched after its last viewer left. */
  readonly lingerMs?: number;
};

type Topic = {
  readonly accountId: number;
  readonly key: string;
  readonly name: FeedTopic;
  readonly watched: Promise<void>;
  readonly subscriptions: Set<Subscription>;
  /** Grows with each reported change. */
  serial: number;
  failures: number;
  timer: NodeJS.Timeout | undefined;
};

type Subscription = FeedSubscription & {
  readonly topic: Topic;
  readonly references: readonly Reference[];
  readonly push: (event: NewMessageEvent) => void;
  ready: boolean;
  /** The topic's serial up to which this viewer was told. */
  serial: number;
  /** Matching items at that time, by filter key. */
  readonly known: Map<string, number>;
  readonly burst: Burst;
};

type Reference = { readonly id: string; readonly key: string; readonly filter: FeedFilter };

/** Feeds that are counted at the same time, unless told: by few statements, for they are counted together. */
const FEEDS_AT_ONCE = 256;

const SETTLED_MS = 30_000;
const FILTERS_PER_QUERY = 20;
const RETRY_MS = 1_000;
const TOPIC_RETRY_MS = 5_000;
const MAX_RETRIES = 30;

const defaultFilter: FeedFilter = { status: 'all', archived: 'exclude', insertedAt: {} };

export function createFeedHub(options: FeedHubOptions): FeedHub {
  const {
    clock,
    log,
    concurrency = FEEDS_AT_ONCE,
    maxTopics = 100_000,
    lingerMs = 5_000,
  } = options;
  const topics = new Map<string, Topic>();
  const places = createDynamicThreshold(maxTopics);
  const watchList = createWatchList(options, log);
  const subscriptions = new WeakMap<FeedSubscription, Subscription>();
  const queue = createFairQueue(concurrency, async (key) => {
    const topic = topics.get(key);
    if (!topic) return;
    try {
      await tell(topic);
      topic.failures = 0;
    } catch (error) {
      log.warn({ err: error, channelId: topic.name.channelId }, 'feed could not be counted');
      topic.failures += 1;
      if (topic.failures <= MAX_RETRIES) setTimeout(() => recount(topic), RETRY_MS).unref();
    }
  });

  const recount = (topic: Topic): void => {
    if (topic.subscriptions.size > 0) queue.add(topic.name.environmentId, topic.key);
  };

  const tell = async (topic: Topic): Promise<void> => {
    const { serial } = topic;
    const viewers = [...topic.subscriptions].filter((viewer) => viewer.ready);
    const counts = await countAll(topic.name, viewers);
    for (const viewer of viewers) {
      // One that left meanwhile keeps what it was told, for the one that replaces it.
      if (!topic.subscriptions.has(viewer)) continue;
      const news = newsFor(viewer, counts);
      const event = eventFor(viewer, counts, new Set([...news.keys(), ...viewer.burst.take()]));
      viewer.serial = serial;
      for (const { key } of viewer.references) viewer.known.set(key, counts.get(key)?.ever ?? 0);
      if (event) viewer.push(event);
      if (news.size > 0) viewer.burst.told([...news.keys()], Math.max(...news.values()));
    }
  };

  const countAll = async (
    topic: FeedTopic,
    viewers: readonly Subscription[],
  ): Promise<Map<string, FeedCounts>> => {
    const filters = new Map(
      viewers.flatMap((viewer) => viewer.references.map(({ key, filter }) => [key, filter])),
    );
    const settledBefore = new Date(clock.now() - SETTLED_MS);
    const counts = new Map<string, FeedCounts>();
    const entries = [...filters];
    for (let start = 0; start < entries.length; start += FILTERS_PER_QUERY) {
      const part = entries.slice(start, start + FILTERS_PER_QUERY);
      const found = await options.count(
        topic,
        part.map(([, filter]) => filter),
        settledBefore,
      );
      part.forEach(([key], index) => {
        const count = found[index];
        if (count) counts.set(key, count);
      });
    }
    return counts;
  };

  const open = (name: FeedTopic, accountId: number): Topic => {
    const key = feedTopicKey(name);
    const known = topics.get(key);
    if (known) return known;
    if (!places.take(accountId, 1)) {
      const held = places.held(accountId);
      throw new BelfryError(
        'rate_limited',
        `This account watches ${held} feeds, more than are free of the server's ${maxTopics}; leave some`,
        { retryAfterMs: TOPIC_RETRY_MS, budget: 'topics' },
      );
    }
    const topic: Topic = {
      accountId,
      key,
      name,
      watched: watchList.watch(key),
      subscriptions: new Set(),
      serial: 0,
      failures: 0,
      timer: undefined,
    };
    topics.set(key, topic);
    return topic;
  };

  const forget = (topic: Topic): void => {
    clearTimeout(topic.timer);
    if (topics.get(topic.key) !== topic) return;
    topics.delete(topic.key);
    places.giveBack(topic.accountId, 1);
    queue.remove(topic.name.environmentId, topic.key);
    watchList.unwatch(topic.key);
  };

  const leave = (topic: Topic, viewer: Subscription): void => {
    viewer.burst.stop();
    if (!topic.subscriptions.delete(viewer) || topic.subscriptions.size > 0) return;
    topic.timer = setTimeout(() => forget(topic), lingerMs).unref();
  };

  return {
    join: async (request) => {
      const topic = open(request.topic, request.accountId);
      const replaced = request.replaces && subscriptions.get(request.replaces);
      const references = referencesOf(request.references);
      const viewer: Subscription = {
        topic,
        references,
        push: request.push,
        ready: false,
        serial: serialToContinue(topic, replaced),
        known: new Map(
          references.flatMap(({ key }) => {
            const known = replaced?.known.get(key);
            return known === undefined ? [] : [[key, known]];
          }),
        ),
        burst: createBurst(clock, () => recount(topic)),
        leave: () => leave(topic, viewer),
      };
      subscriptions.set(viewer, viewer);
      topic.subscriptions.add(viewer);
      clearTimeout(topic.timer);
      request.replaces?.leave();
      try {
        await topic.watched;
      } catch (error) {
        topic.subscriptions.delete(viewer);
        forget(topic);
        throw error;
      }
      viewer.ready = true;
      // Changes during the join, or between the one that was replaced and this one. Deferred, so
      // that whoever joins can say so before it is told anything.
      if (viewer.serial < topic.serial) setImmediate(() => recount(topic));
      return viewer;
    },
    notify: (changes) => {
      for (const change of changes) {
        const topic = topics.get(feedTopicKey(change));
        if (!topic) continue;
        topic.serial += 1;
        recount(topic);
      }
    },
    topicCount: () => topics.size,
    close: () => {
      for (const topic of topics.values()) {
        clearTimeout(topic.timer);
        for (const viewer of topic.subscriptions) viewer.burst.stop();
        topic.subscriptions.clear();
      }
      topics.clear();
    },
  };
}

/** Up to where the viewer was told: unknown, when the topic was not watched for a while. */
function serialToContinue(topic: Topic, replaced: Subscription | undefined): number {
  if (!replaced) return topic.serial;
  return replaced.topic === topic ? replaced.serial : -1;
}

function referencesOf(filters: ReadonlyMap<string, FeedFilter>): Reference[] {
  if (filters.size === 0) return [{ id: '', key: filterKey(defaultFilter), filter: defaultFilter }];
  return [...filters].map(([id, filter]) => ({ id, key: filterKey(filter), filter }));
}

/** Equal filters have equal keys: readers build them with their members in one order. */
function filterKey(filter: FeedFilter): string {
  return JSON.stringify(filter);
}

/** References that more items match than they were told of, and how many more. */
function newsFor(
  viewer: Subscription,
  counts: ReadonlyMap<string, FeedCounts>,
): Map<string, number> {
  const news = new Map<string, number>();
  for (const { id, key, filter } of viewer.references) {
    const count = counts.get(key);
    if (!count || !showsNewItems(filter)) continue;
    const items = count.ever - (viewer.known.get(key) ?? count.settled);
    if (items > 0) news.set(id, items);
  }
  return news;
}

/** What a viewer is told, or undefined when no reference is to be told anything. */
function eventFor(
  viewer: Subscription,
  counts: ReadonlyMap<string, FeedCounts>,
  attention: ReadonlySet<string>,
): NewMessageEvent | undefined {
  if (attention.size === 0) return undefined;
  const named = viewer.references.filter(({ id }) => id !== '');
  return {
    event: 'new-message',
    metadata: feedMetadata(counts.get(viewer.references[0]?.key ?? '')),
    data: Object.fromEntries(
      named.map(({ id, key }) => [id, { metadata: feedMetadata(counts.get(key)) }]),
    ),
    attn: named.flatMap(({ id }) => (attention.has(id) ? [id] : [])),
  };
}
