import type { EnvironmentContext } from '../context.ts';
import { createFairQueue } from '../feed/fair-queue.ts';
import { requireChannel } from '../feed/find-channel.ts';
import { createDynamicThreshold } from '../lib/dynamic-threshold.ts';
import { BelfryError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Catalog, Catalogs } from './catalog.ts';
import {
  type ChannelChanges,
  changesBetween,
  eventsFor,
  type GuideEvent,
  nextChangeMs,
  recentChanges,
} from './guide-changes.ts';
import { audiencesOf } from './list-guides.ts';
import { loadViewers, type Viewer } from './load-viewers.ts';

/**
 * Tells whoever looks at guides that some have changed: published, switched on or off, or their time has come. Knows
 * neither HTTP nor sockets; see README.md.
 */
export type GuideHub = {
  /** Throws `resource_missing`, `channel_invalid`, `rate_limited`. */
  readonly join: (ctx: EnvironmentContext, request: GuideJoin) => Promise<GuideSubscription>;
  /** Guides of the environment were published by this process: looks at once. */
  readonly notify: (environmentId: number) => void;
  readonly close: () => void;
};

export type GuideJoin = {
  readonly channelId: string;
  readonly viewer: Viewer;
  /** Guides that the viewer is not eligible for too. */
  readonly force: boolean;
  readonly push: (event: GuideEvent) => void;
};

export type GuideSubscription = { readonly leave: () => void };

type Subscriber = Omit<GuideJoin, 'channelId'> & { readonly channelId: string };

/** The viewers of one environment, and what they have been told of. */
type Room = {
  ctx: EnvironmentContext;
  readonly subscribers: Set<Subscriber>;
  catalog: Catalog;
  toldMs: number;
};

const LOOK_EVERY_MS = 2_000;
/** Viewers that are loaded with one set of statements. */
const PAGE = 200;
const CONCURRENCY = 2;
const MAX_SUBSCRIBERS = 100_000;
const RETRY_MS = 5_000;
/** Changes so young are told again to who joins: the guides that it fetched before may be older than they are. */
const RECENT_MS = 60_000;

export function createGuideHub(options: {
  readonly catalogs: Catalogs;
  readonly log: Logger;
  readonly maxSubscribers?: number;
}): GuideHub {
  const { catalogs, log, maxSubscribers = MAX_SUBSCRIBERS } = options;
  const rooms = new Map<number, Room>();
  const places = createDynamicThreshold(maxSubscribers);
  const queue = createFairQueue(CONCURRENCY, async (key) => {
    const room = rooms.get(Number(key));
    if (!room) return;
    try {
      await look(room);
    } catch (error) {
      // The next look tells it, to some perhaps twice.
      log.warn({ err: error, environment: Number(key) }, 'changed guides could not be told');
    }
  });

  const look = async (room: Room): Promise<void> => {
    const catalog = await catalogs.get(room.ctx);
    const nowMs = room.ctx.clock.now();
    if (catalog === room.catalog && nowMs < nextChangeMs(catalog, room.toldMs)) return;
    const changes = changesBetween(room, { catalog, toldMs: nowMs });
    await tell(room, catalog, changes, [...room.subscribers]);
    room.catalog = catalog;
    room.toldMs = nowMs;
  };

  const tell = async (
    room: Room,
    catalog: Catalog,
    changes: ReadonlyMap<string, ChannelChanges>,
    subscribers: readonly Subscriber[],
  ): Promise<void> => {
    const { ctx } = room;
    for (const [channelId, changed] of changes) {
      const concerned = subscribers.filter((one) => one.channelId === channelId);
      const audiences = audiencesOf(changed.guides.map(({ guide }) => guide));
      for (let start = 0; start < concerned.length; start += PAGE) {
        const page = concerned.slice(start, start + PAGE);
        const nowMs = ctx.clock.now();
        const loaded = await loadViewers(ctx.db, {
          environmentId: ctx.environment.id,
          viewers: page.map(({ viewer }) => viewer),
          audiences,
          nowMs,
        });
        page.forEach((subscriber, index) => {
          const of = loaded[index];
          if (!of || !room.subscribers.has(subscriber)) return;
          const { force } = subscriber;
          const events = eventsFor(changed, { catalog, channelId, loaded: of, nowMs, force });
          for (const event of events) subscriber.push(event);
        });
      }
    }
  };

  const enter = (ctx: EnvironmentContext, catalog: Catalog): Room => {
    const { id } = ctx.environment;
    const known = rooms.get(id);
    if (known) {
      known.ctx = ctx;
      return known;
    }
    const room: Room = { ctx, subscribers: new Set(), catalog, toldMs: ctx.clock.now() };
    rooms.set(id, room);
    return room;
  };

  const timer = setInterval(() => {
    for (const id of rooms.keys()) queue.add(id, String(id));
  }, LOOK_EVERY_MS);
  timer.unref();

  return {
    join: async (ctx, request) => {
      const channelId = request.channelId.toLowerCase();
      await requireChannel(ctx, channelId, 'in_app_guide');
      const { id, accountId } = ctx.environment;
      const catalog = await catalogs.get(ctx);
      if (!places.take(accountId, 1)) {
        throw new BelfryError(
          'rate_limited',
          `This account watches guides with ${places.held(accountId)} sockets, more than are free of the server's ${maxSubscribers}; leave some`,
          { retryAfterMs: RETRY_MS, budget: 'topics' },
        );
      }
      const room = enter(ctx, catalog);
      const subscriber: Subscriber = { ...request, channelId };
      room.subscribers.add(subscriber);
      const recent = recentChanges(catalog, channelId, ctx.clock.now(), RECENT_MS);
      if (recent) {
        // Deferred, so that whoever joins can say so before it is told anything.
        setImmediate(() => {
          tell(room, catalog, new Map([[channelId, recent]]), [subscriber]).catch((error) =>
            log.warn({ err: error, environment: id }, 'recent guides could not be told'),
          );
        });
      }
      return {
        leave: () => {
          if (!room.subscribers.delete(subscriber)) return;
          places.giveBack(accountId, 1);
          if (room.subscribers.size === 0 && rooms.get(id) === room) rooms.delete(id);
        },
      };
    },
    notify: (environmentId) => {
      if (rooms.has(environmentId)) queue.add(environmentId, String(environmentId));
    },
    close: () => {
      clearInterval(timer);
      rooms.clear();
    },
  };
}
