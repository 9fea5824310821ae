import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { pino } from 'pino';
import type { Credentials } from './accounts/create-account.ts';
import { buildApp } from './api/app.ts';
import { createAuthentication } from './api/authentication.ts';
import { listen } from './api/listen.ts';
import type { PartState, Services } from './api/services.ts';
import { attachSocket, type SocketServer } from './api/socket.ts';
import { createRecorder } from './api-logs/recorder.ts';
import { lazyStore } from './bodies/lazy-store.ts';
import { createBodyReader } from './bodies/read-bodies.ts';
import { createRequestBudgets } from './bodies/request-budgets.ts';
import { type Feeder, startFeeder } from './broadcasts/feeder.ts';
import { startHousekeeping } from './broadcasts/housekeeping.ts';
import { createBudgets } from './budgets/budgets.ts';
import { createDatabaseShares } from './budgets/database-shares.ts';
import { createLoopPressure, highPressureOf } from './budgets/pressure.ts';
import { type Carrier, startCarrier } from './carrier/start-carrier.ts';
import type { Config } from './config.ts';
import type { Context } from './context.ts';
import { createEnvironmentsInUse } from './control/environments-in-use.ts';
import { createHideSecrets } from './control/hide-secrets.ts';
import { createPublicVars } from './control/public-vars.ts';
import { createPublishedWorkflows } from './control/published-workflows.ts';
import { openDatabase } from './db/database.ts';
import { migrate } from './db/migrate.ts';
import { StartError } from './db/start-error.ts';
import { startDeletionClock } from './deletion/deletion-clock.ts';
import { type RunningEngine, startEngine } from './engine/start.ts';
import { countFeed } from './feed/count-feed.ts';
import { createFeedHub, type FeedHub } from './feed/feed-hub.ts';
import { createLinkTokens } from './feed/link-tokens.ts';
import { installationSecret, prepareFirstStart } from './first-start.ts';
import { createCatalogs } from './guides/catalog.ts';
import { createGuideHub } from './guides/guide-hub.ts';
import { systemClock } from './lib/clock.ts';
import { FAULT_VARIABLE, mustNotStart } from './lib/fault-point.ts';
import type { Logger } from './lib/log.ts';
import { createSecretBox } from './lib/secret-box.ts';
import { removeCapture } from './log-store/capture.ts';
import { logStoreRetention } from './log-store/config.ts';
import { createLogSearch } from './log-store/log-search.ts';
import { createMetrics } from './metrics.ts';
import { type Canary, startCanary } from './ops/canary.ts';
import { readPastTraffic } from './ops/past-traffic.ts';
import { prepareCanary } from './ops/prepare-canary.ts';
import { createTraffic } from './ops/traffic.ts';
import { openOwnDatabase } from './own-database.ts';
import { createSubscriberTokens } from './recipients/subscriber-tokens.ts';
import { startRetentionClock } from './retention/retention-clock.ts';
import { startScheduleClock } from './schedules/schedule-clock.ts';
import { startQuarantine } from './start-quarantine.ts';
import { createRequests } from './webhooks/requests.ts';
import { startSender } from './webhooks/start-sender.ts';

/** For requests of accounts, and two for keys, operators and whatever else is no account's. */
const ACCOUNT_CONNECTIONS = 8;
/** For counts of the feeds that somebody looks at. */
const FEED_CONNECTIONS = 4;
const API_CONNECTIONS = 2 + ACCOUNT_CONNECTIONS;
const API_STATEMENT_MS = 20_000;
const ENGINE_CONNECTIONS = 3;
/** For what operators ask of the queue: the deeper it is, the longer it takes. */
const QUEUE_CONNECTIONS = 2;
/** For what webhooks are sent, and what they answered. */
const WEBHOOK_CONNECTIONS = 2;
/** One, for logs of requests: they are written one batch after the other. */
const API_LOG_CONNECTIONS = 1;

export type RunningServer = {
  /** The origin, `http://HOST:PORT`. */
  readonly url: string;
  /** What `credentials.json` holds; undefined when this data dir has none. */
  readonly credentials: Credentials | undefined;
  readonly isFirstStart: boolean;
  /** Process ids of the executors, of the embedded database and of the carrier. */
  readonly processIds: () => {
    readonly executors: readonly number[];
    readonly postgres?: number;
    readonly carrier?: number;
  };
  /** Stops accepting, answers what was accepted, lets work under way finish. */
  readonly stop: () => Promise<void>;
};

export type StartOptions = {
  /** Another server runs the database; the sentence says who. This one waits. */
  readonly onStandby?: (sentence: string) => void;
  /** Gives up a start that waits. */
  readonly signal?: AbortSignal;
};

/**
 * Builds every part of the server, from the database up, and resolves when it is ready. Throws a
 * StartError, one sentence for the operator, when it cannot.
 */
export async function startServer(
  config: Config,
  options: StartOptions = {},
): Promise<RunningServer> {
  if (mustNotStart) {
    throw new StartError(
      `${FAULT_VARIABLE} is set, which lets tests stop this server at any statement; unset it.`,
    );
  }
  const log: Logger = pino(
    { level: config.logLevel, redact: ['*.password', '*.secret', '*.authorization'] },
    pino.destination({ dest: 2, sync: true }),
  );
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    return await build(config, options, log, closers, close);
  } catch (error) {
    await close().catch((closeError) =>
      log.debug({ err: closeError }, 'closing after a failed start'),
    );
    throw error;
  }
}

async function build(
  config: Config,
  options: StartOptions,
  log: Logger,
  closers: (() => Promise<void>)[],
  close: () => Promise<void>,
): Promise<RunningServer> {
  const database = await openOwnDatabase(config, log, closers);
  const { disk } = database;
  await migrate(database.url, { log });
  const db = openDatabase({
    url: database.url,
    max: API_CONNECTIONS,
    applicationName: 'belfry server',
    log,
    statementTimeoutMs: API_STATEMENT_MS,
  });
  closers.push(db.close);
  const feedDb = openDatabase({
    url: database.url,
    max: FEED_CONNECTIONS,
    applicationName: 'belfry feeds',
    log,
    statementTimeoutMs: API_STATEMENT_MS,
    plansForAnyValues: true,
  });
  closers.push(feedDb.close);
  // Reading a long log again takes its time.
  const engineDb = openDatabase({
    url: database.url,
    max: ENGINE_CONNECTIONS,
    applicationName: 'belfry engine',
    log,
  });
  closers.push(engineDb.close);
  const queueDb = openDatabase({
    url: database.url,
    max: QUEUE_CONNECTIONS,
    applicationName: 'belfry orders',
    log,
  });
  closers.push(queueDb.close);
  const ctx: Context = { db, clock: systemClock, log };

  const parts: Record<string, PartState> = {};
  let engine: RunningEngine | undefined;
  // By environment, as the feeds that wait to be counted.
  const feedShares = createDatabaseShares({
    db: feedDb,
    connections: FEED_CONNECTIONS,
    nowMs: () => performance.now(),
  });
  const hub: FeedHub = createFeedHub({
    ...ctx,
    count: (topic, filters, settledBefore) =>
      countFeed(feedShares.of(topic.environmentId), topic, filters, {
        nowMs: systemClock.now(),
        settledBefore,
      }),
    watch: async (topics) => engine?.watchFeeds(topics, []),
    unwatch: async (topics) => engine?.watchFeeds([], topics),
  });
  closers.push(async () => hub.close());
  // Without the secrets: what guides render goes to browsers.
  const guides = createCatalogs(createEnvironmentsInUse(ctx));
  const guideHub = createGuideHub({ catalogs: guides, log });
  closers.push(async () => guideHub.close());

  const secret = await installationSecret(config.dataDir);
  engine = await startEngine({
    databaseUrl: database.url,
    db: engineDb,
    readDb: queueDb,
    clock: systemClock,
    log,
    executors: config.executors,
    ownsDatabase: config.databaseUrl === undefined,
    executor: {
      smtpUrl: config.smtpUrl,
      mailFrom: config.mailFrom,
      allowPrivateWebhooks: config.allowPrivateWebhooks,
      model: config.model,
      installationSecret: secret,
      publicUrl: config.publicUrl,
      bodies: config.objectStore,
      logLevel: config.logLevel,
    },
    onFeeds: (feeds) => hub.notify(feeds),
    onStandby: (sentence) => options.onStandby?.(sentence),
    isOutOfRoom: () => disk?.isOut() === true,
    signal: options.signal ?? new AbortController().signal,
  });
  closers.push(engine.stop);
  const started = engine;
  const carrier = carrierOf(config, {
    databaseUrl: database.url,
    isOwner: () => started.stats().owner,
    log,
  });
  if (carrier) closers.push(carrier.stop);
  // What makes work of its own accord rests while there is no room for it.
  const mayMakeWork = (): boolean => started.stats().owner && disk?.isLow() !== true;
  const broadcasts: Feeder = startFeeder({
    db: engineDb,
    clock: systemClock,
    log,
    isOwner: mayMakeWork,
    openStream: started.openBulkStream,
  });
  closers.push(broadcasts.close);
  const schedules = startScheduleClock({
    db: engineDb,
    clock: systemClock,
    log,
    isOwner: mayMakeWork,
    openStream: started.openBulkStream,
  });
  closers.push(schedules.close);
  const housekeeping = startHousekeeping({
    db: engineDb,
    clock: systemClock,
    log,
    isOwner: () => started.stats().owner,
  });
  closers.push(housekeeping.close);
  const deletions = startDeletionClock({
    db: engineDb,
    clock: systemClock,
    log,
    isOwner: () => started.stats().owner,
  });
  closers.push(deletions.close);
  const store = config.objectStore && lazyStore(config.objectStore, systemClock, Math.random);
  closers.push(async () => store?.close());
  const webhookDb = openDatabase({
    url: database.url,
    max: WEBHOOK_CONNECTIONS,
    applicationName: 'belfry webhooks',
    log,
    statementTimeoutMs: API_STATEMENT_MS,
  });
  closers.push(webhookDb.close);
  const secrets = createSecretBox(secret);
  const { allowPrivateWebhooks: allowPrivate } = config;
  const webhooks = startSender({
    db: webhookDb,
    clock: systemClock,
    log,
    random: Math.random,
    secrets,
    requests: createRequests({ allowPrivate, clock: systemClock }),
    isOwner: () => started.stats().owner,
  });
  closers.push(webhooks.close);
  const retention = startRetentionClock({
    db: engineDb,
    clock: systemClock,
    log,
    days: config.retention,
    isOwner: () => started.stats().owner,
  });
  closers.push(retention.close);
  const { credentials, isNew } = await prepareFirstStart(ctx, config);

  const workflows = createPublishedWorkflows(db);
  closers.push(async () => workflows.close());
  const budgets = createBudgets({
    clock: systemClock,
    db,
    connections: ACCOUNT_CONNECTIONS,
    pressure: createLoopPressure(),
    highPressure: highPressureOf(availableParallelism()),
  });
  closers.push(async () => budgets.close());
  const apiLogDb = openDatabase({
    url: database.url,
    max: API_LOG_CONNECTIONS,
    applicationName: 'belfry api logs',
    log,
    statementTimeoutMs: API_STATEMENT_MS,
  });
  closers.push(apiLogDb.close);
  const { apiLogsPerSecond: perSecond } = config;
  const recorder = createRecorder({
    db: apiLogDb,
    clock: systemClock,
    log,
    perSecond,
    hasRoom: () => disk?.isLow() !== true,
  });
  closers.push(recorder.close);
  const logSearch = createLogSearch({ url: config.logStore?.url, clock: systemClock, log });
  closers.push(logSearch.close);
  const traffic = createTraffic({ ...ctx, past: await readPastTraffic(ctx) });
  const quarantine = startQuarantine(ctx, { config, engine, traffic });
  closers.push(quarantine.stop);
  let sockets: SocketServer | undefined;
  let canary: Canary | undefined;
  const development = credentials?.environments.development;
  const services: Services = {
    ...ctx,
    config,
    engine,
    workflows,
    publicVars: createPublicVars(),
    guides,
    guideHub,
    bodies: createBodyReader({ db, store: store?.open, log, budgets: readBudgets() }),
    secrets,
    hideSecrets: createHideSecrets(secrets),
    authentication: createAuthentication(ctx),
    unsubscribeTokens: createSubscriberTokens(secret, 'unsubscribe'),
    preferenceTokens: createSubscriberTokens(secret, 'preferences'),
    linkTokens: createLinkTokens(secret),
    traffic,
    recorder: perSecond === 0 ? undefined : recorder,
    logSearch,
    quarantine,
    budgets,
    disk,
    broadcasts,
    schedules,
    webhooks,
    stores:
      carrier &&
      (() => ({ ...carrier.report(), keptBodies: started.stats().executors.keptBodies })),
    metrics: createMetrics({
      engine: () => engine?.stats(),
      sockets: () => sockets?.connectionCount() ?? 0,
      budgets,
      broadcasts: broadcasts.stats,
      schedules: schedules.stats,
      deletions: deletions.stats,
      webhooks: webhooks.stats,
      retention: retention.stats,
      apiLogs: recorder.stats,
      disk: () => disk?.state(),
      carrier: carrier?.report,
      canary: () => canary?.status(),
      quarantine: quarantine.levels,
    }),
    readiness: () => {
      const states = { ...database.state(), ...engineStates(engine), ...parts };
      const ready = Object.values(states).every((part) => part.state === 'up');
      return { ready, parts: { ...states, ...canaryState(canary) } };
    },
    canary: () => canary,
    demo: development && { publicKey: development.public_key, channels: development.channels },
  };
  const app = buildApp(services);
  sockets = attachSocket(ctx, app.server, {
    authentication: services.authentication,
    hubs: { feeds: hub, guides: guideHub },
    budgets,
  });
  const { close: closeSockets } = sockets;
  await listen(app, config);
  parts.http = { state: 'up' };
  closers.push(async () => {
    parts.http = { state: 'draining' };
    budgets.pause.end();
    await closeSockets();
    await app.close();
  });

  await engine.started;
  if (config.logStore === undefined) {
    await removeCapture(engineDb).catch((error: unknown) =>
      log.warn(
        { err: error },
        'what was made for a log store is still there; the next start removes it',
      ),
    );
  }
  const { port } = app.server.address() as AddressInfo;
  const running = engine;
  if (config.canaryMs !== undefined) {
    canary = startCanary(ctx, {
      url: originOf(LOOPBACK[config.host] ?? config.host, port),
      intervalMs: config.canaryMs,
      isOwner: () => running.stats().owner,
      prepare: async () => {
        const account = await prepareCanary(ctx);
        running.overlookAccount(account.accountId);
        return account;
      },
    });
    closers.push(canary.stop);
  }
  return {
    url: originOf(config.host, port),
    credentials,
    isFirstStart: isNew,
    processIds: () => ({
      executors: running.processIds(),
      ...(database.pid() === undefined ? {} : { postgres: database.pid() ?? 0 }),
      ...carrierId(carrier),
    }),
    stop: close,
  };
}

function carrierId(carrier: Carrier | undefined): { readonly carrier?: number } {
  const pid = carrier?.processId();
  return pid === undefined ? {} : { carrier: pid };
}

/** What an environment may ask the object store: a hundred pages of contents at once, then two a second. */
const readBudgets = () =>
  createRequestBudgets({ perSecond: 100, burst: 5_000, nowMs: systemClock.now });

/** Undefined: no store is configured, and there is nothing to carry. */
function carrierOf(
  { objectStore, logStore, retention, logLevel, databaseUrl: external }: Config,
  {
    databaseUrl,
    isOwner,
    log,
  }: { readonly databaseUrl: string; readonly isOwner: () => boolean; readonly log: Logger },
): Carrier | undefined {
  if (objectStore === undefined && logStore === undefined) return undefined;
  const logs = logStore && { ...logStore, retention: logStoreRetention(retention) };
  const ownsDatabase = external === undefined;
  const carrier = { databaseUrl, ownsDatabase, logLevel, bodies: objectStore, logs };
  return startCarrier({ carrier, isOwner, log });
}

/** Where a server that listens everywhere is reached from its own machine. */
const LOOPBACK: { readonly [host: string]: string } = { '0.0.0.0': '127.0.0.1', '::': '::1' };

const originOf = (host: string, port: number): string =>
  `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

/** Says that something is wrong; the parts say whether requests are taken. */
function canaryState(canary: Canary | undefined): Record<string, PartState> {
  const status = canary?.status();
  if (!status) return {};
  if (status.state !== 'silent') return { canary: { state: 'up' } };
  const { missing = [], error } = status.last ?? {};
  const reason = `the last ${status.missedInARow} triggers of the server's own did not get through; not ${missing.join(', not ')}`;
  return { canary: { state: 'silent', reason: error ? `${reason} (${error})` : reason } };
}

function engineStates(engine: RunningEngine | undefined): Record<string, PartState> {
  const stats = engine?.stats();
  if (!stats) return { scheduler: { state: 'starting' } };
  const { trouble } = stats.appender;
  return {
    appender: trouble === undefined ? { state: 'up' } : { state: 'down', reason: trouble },
    scheduler: stats.owner
      ? { state: 'up' }
      : { state: 'down', reason: 'the session to the database was lost; it is being opened again' },
    executors:
      stats.executors.executors > 0
        ? { state: 'up' }
        : { state: 'starting', reason: 'no executor process takes work yet' },
  };
}
