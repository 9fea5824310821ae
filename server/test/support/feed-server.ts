import { Registry } from 'prom-client';
import { buildApp } from '../../src/api/app.ts';
import { createAuthentication } from '../../src/api/authentication.ts';
import { attachSocket, type SocketLimits, type SocketServer } from '../../src/api/socket.ts';
import { createBudgets } from '../../src/budgets/budgets.ts';
import { readConfig } from '../../src/config.ts';
import type { Context } from '../../src/context.ts';
import { createEnvironmentsInUse } from '../../src/control/environments-in-use.ts';
import { createHideSecrets } from '../../src/control/hide-secrets.ts';
import { createPublicVars } from '../../src/control/public-vars.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { countFeed } from '../../src/feed/count-feed.ts';
import { createFeedHub, type FeedHub } from '../../src/feed/feed-hub.ts';
import { createCatalogs } from '../../src/guides/catalog.ts';
import { createGuideHub } from '../../src/guides/guide-hub.ts';
import { createTraffic } from '../../src/ops/traffic.ts';
import { testQuarantine } from './quarantine.ts';
import { testSecrets } from './secrets.ts';

export type FeedServer = {
  readonly url: string;
  readonly socketUrl: string;
  readonly hub: FeedHub;
  readonly socket: SocketServer;
  /** Topic keys that the hub asked to be told of, in order. */
  readonly watched: readonly string[];
  readonly unwatched: readonly string[];
  readonly close: () => Promise<void>;
};

/** The whole HTTP and socket side on a free port. Without an engine nothing here triggers. */
export async function startFeedServer(
  ctx: Context,
  options: {
    readonly limits?: Partial<SocketLimits>;
    readonly lingerMs?: number;
    readonly engine?: Engine;
  } = {},
): Promise<FeedServer> {
  const watched: string[] = [];
  const unwatched: string[] = [];
  const authentication = createAuthentication(ctx);
  const noEngine = async (): Promise<never> => {
    throw new Error('this server has no engine');
  };
  const budgets = createBudgets({
    clock: ctx.clock,
    db: ctx.db,
    connections: 8,
    pressure: () => 0,
  });
  const guides = createCatalogs(createEnvironmentsInUse(ctx));
  const guideHub = createGuideHub({ catalogs: guides, log: ctx.log });
  const app = buildApp({
    ...ctx,
    config: readConfig({}),
    engine: options.engine ?? { trigger: noEngine, cancel: noEngine },
    workflows: { published: async () => undefined, invalidate: () => {}, close: async () => {} },
    authentication,
    traffic: createTraffic(ctx),
    quarantine: testQuarantine(ctx, { traffic: createTraffic(ctx) }),
    budgets,
    metrics: new Registry(),
    publicVars: createPublicVars(),
    guides,
    guideHub,
    secrets: testSecrets,
    hideSecrets: createHideSecrets(testSecrets),
    readiness: () => ({ ready: true, parts: {} }),
  });
  const hub = createFeedHub({
    count: (topic, filters, settledBefore) =>
      countFeed(ctx.db, topic, filters, { nowMs: ctx.clock.now(), settledBefore }),
    watch: async (keys) => {
      watched.push(...keys);
    },
    unwatch: async (keys) => {
      unwatched.push(...keys);
    },
    clock: ctx.clock,
    log: ctx.log,
    ...(options.lingerMs === undefined ? {} : { lingerMs: options.lingerMs }),
  });
  const socket = attachSocket(ctx, app.server, {
    authentication,
    hubs: { feeds: hub, guides: guideHub },
    budgets,
    ...(options.limits ? { limits: options.limits } : {}),
  });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  return {
    url,
    socketUrl: `${url.replace('http', 'ws')}/ws/v1/websocket`,
    hub,
    socket,
    watched,
    unwatched,
    close: async () => {
      await socket.close();
      hub.close();
      guideHub.close();
      await app.close();
    },
  };
}
