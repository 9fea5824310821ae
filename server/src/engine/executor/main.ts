import { pino } from 'pino';
import { lazyStore } from '../../bodies/lazy-store.ts';
import { createBodyReader } from '../../bodies/read-bodies.ts';
import { createRingGate, type RingGate } from '../../bodies/ring-gate.ts';
import { createProviders } from '../../channels/registry.ts';
import { deriveWebhookSigningSecret } from '../../channels/webhook-secret.ts';
import { createEnvironmentsInUse } from '../../control/environments-in-use.ts';
import { createWorkflowVersions } from '../../control/workflow-versions.ts';
import { openDatabase } from '../../db/database.ts';
import { feedTopicKey } from '../../feed/feed-topic.ts';
import { createLinkTokens } from '../../feed/link-tokens.ts';
import { systemClock } from '../../lib/clock.ts';
import { createSecretBox } from '../../lib/secret-box.ts';
import { PREFERENCES_PATH } from '../../recipients/preference-center.ts';
import { createSubscriberTokens } from '../../recipients/subscriber-tokens.ts';
import { UNSUBSCRIBE_PATH } from '../../recipients/unsubscribe.ts';
import type { FeedChange, PreviewAnswer, PreviewRequest } from '../engine.ts';
import { parseDeliveriesBody, parseRunsBody } from '../log/body.ts';
import { CALLS, type ChunkRef, RUNS } from '../log/chunk.ts';
import { openStream, type Stream } from '../log/stream.ts';
import type { ExecutorOptions, FromExecutor, ToExecutor } from '../protocol.ts';
import { executeCalls } from './call.ts';
import { createCallTools } from './call-tools.ts';
import { createCallWriter } from './call-writer.ts';
import { createChunkCache } from './chunk-cache.ts';
import { type DeliverServices, executeDeliveries } from './deliver.ts';
import { createDeliveryWriter } from './delivery-writer.ts';
import { createEnvironmentDefaults } from './environment-defaults.ts';
import { createKnownOrders } from './governance.ts';
import { previewStep } from './preview.ts';
import type { RecipientLinks } from './recipient-links.ts';
import { executeRuns, type WorkerServices } from './run-worker.ts';

/** The executor process: takes orders from the server process over IPC until told to drain. */

type WorkMessage = Extract<ToExecutor, { type: 'work' }>;

const RECONNECT_MS = 200;
const COMPLAIN_MS = 5_000;
/** Then it is tried again, by whatever wants to call a provider. */
const LOAD_ORDERS_MS = 10_000;

// A terminal's ctrl-C reaches the whole group; the server process decides when work ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
// Without a server process nobody would hear of the results.
process.on('disconnect', () => process.exit(0));

const watched = new Set<string>();
const started = Promise.withResolvers<ExecutorOptions>();
let ringGate: RingGate | undefined;
let takeWork: ((message: WorkMessage) => void) | undefined;
process.on('message', hear);
const options = await started.promise;
const log = pino({ level: options.logLevel }, pino.destination({ dest: 2, sync: true })).child({
  part: options.name,
});
const streamOptions = {
  url: options.databaseUrl,
  applicationName: `belfry ${options.name}`,
  log,
  background: options.background,
};

const db = openDatabase({ ...streamOptions, max: 4 });
const orders: WorkMessage[] = [];
let appendedByWriters: ChunkRef[] = [];
let arrivedInFeeds: FeedChange[] = [];
let underWay = 0;
let draining = false;
let failures = 0;
let complainedAtMs = Number.NEGATIVE_INFINITY;
let wakeWorker: (() => void)[] = [];

const ordersDb = openDatabase({
  ...streamOptions,
  max: 1,
  statementTimeoutMs: LOAD_ORDERS_MS,
});
const knownOrders = await createKnownOrders(db, ordersDb);

const secretBox = createSecretBox(options.installationSecret);
const environments = createEnvironmentsInUse({
  db,
  clock: systemClock,
  log,
  secrets: secretBox,
});

ringGate = await gateOfRing();

const services: WorkerServices = {
  ...(ringGate ? { bodies: ringGate } : {}),
  clock: systemClock,
  log,
  chunks: createChunkCache(parseRunsBody),
  workflows: createWorkflowVersions({ db, environments, log }),
  environments,
  environmentDefaults: createEnvironmentDefaults(db, systemClock),
  secretBox,
  ...linksOfRecipients(),
  orders: knownOrders,
  announce: (id, stream, sequence, index) =>
    send({ type: 'evaluating', kind: RUNS, id, stream, sequence, index }),
};

const store = options.bodies && lazyStore(options.bodies, systemClock, Math.random);

const deliverServices = {
  db,
  bodies: createBodyReader({ db, store: store?.open, log }),
  orders: knownOrders,
  secretBox,
  ...trackingOfMessages(),
  onFeed: (change: FeedChange) => {
    arrivedInFeeds.push(change);
  },
  chunks: createChunkCache(parseDeliveriesBody),
  providers: createProviders({
    smtpUrl: options.smtpUrl,
    mailFrom: options.mailFrom,
    allowPrivateWebhooks: options.allowPrivateWebhooks,
    webhookSigningSecret: deriveWebhookSigningSecret(options.installationSecret),
    log,
  }),
  writer: createDeliveryWriter({
    ...streamOptions,
    clock: systemClock,
    random: Math.random,
    onAppended: (refs) => {
      appendedByWriters.push(...refs);
    },
  }),
};

const callTools = createCallTools({
  clock: systemClock,
  allowPrivate: options.allowPrivateWebhooks,
  model: options.model,
});

const callServices = {
  ...services,
  db,
  writer: createCallWriter({
    ...streamOptions,
    clock: systemClock,
    onAppended: (refs) => {
      appendedByWriters.push(...refs);
    },
  }),
  tools: callTools.of,
};

const workers = Array.from({ length: options.concurrency }, () => work());

takeWork = (message) => {
  if (message.kind === RUNS) {
    orders.push(message);
    wakeWorker.pop()?.();
  } else {
    void waitForOthers(message);
  }
};

send({ type: 'ready' });

function linksOfRecipients(): RecipientLinks {
  const { publicUrl, installationSecret } = options;
  if (publicUrl === undefined) return {};
  const unsubscribe = createSubscriberTokens(installationSecret, 'unsubscribe');
  const preferences = createSubscriberTokens(installationSecret, 'preferences');
  return {
    unsubscribeUrl: (to) => `${publicUrl}${UNSUBSCRIBE_PATH}/${unsubscribe.sign(to)}`,
    preferencesUrl: (to) => `${publicUrl}${PREFERENCES_PATH}/${preferences.sign(to)}`,
  };
}

async function gateOfRing(): Promise<RingGate | undefined> {
  if (options.bodies === undefined) return undefined;
  const gate = createRingGate({ ...options.bodies, db, nowMs: systemClock.now, log });
  await gate.look();
  return gate;
}

function trackingOfMessages(): Pick<DeliverServices, 'tracking'> {
  const { publicUrl, installationSecret } = options;
  if (publicUrl === undefined) return {};
  return { tracking: { publicUrl, tokens: createLinkTokens(installationSecret) } };
}

function hear(message: ToExecutor): void {
  switch (message.type) {
    case 'start':
      started.resolve(message.options);
      break;
    case 'work':
      takeWork?.(message);
      break;
    case 'watch':
      for (const topic of message.add) watched.add(topic);
      for (const topic of message.remove) watched.delete(topic);
      send({ type: 'answered', id: message.id });
      break;
    case 'govern':
      govern(message.id);
      break;
    case 'preview':
      void preview(message.id, message.request);
      break;
    case 'ping': {
      const { user, system } = process.cpuUsage();
      const cpuMs = (user + system) / 1_000;
      const rssBytes = process.memoryUsage.rss();
      const keptBodies = ringGate?.keptCount();
      send({
        ...{ type: 'pong', id: message.id, cpuMs, rssBytes },
        ...(keptBodies === undefined ? {} : { keptBodies }),
      });
      break;
    }
    case 'drain':
      // Before there is work there is nothing to finish.
      if (takeWork) void drain();
      else process.exit(0);
      break;
  }
}

async function preview(id: number, request: PreviewRequest): Promise<void> {
  const answer = await previewStep(services, db, request).catch(
    (error): PreviewAnswer => ({ kind: 'error', reason: String(error) }),
  );
  send({ type: 'previewed', id, answer });
}

/** One session executes one order after the other. */
async function work(): Promise<void> {
  let stream: Stream | undefined;
  while (!draining || orders.length > 0) {
    const order = orders.shift();
    if (!order) {
      await new Promise<void>((resolve) => {
        wakeWorker.push(resolve);
      });
      continue;
    }
    underWay += 1;
    const startedMs = performance.now();
    try {
      stream ??= await openStream(streamOptions);
      const report = await executeRuns(services, stream, order);
      send({
        type: 'done',
        kind: RUNS,
        id: order.id,
        serviceMs: performance.now() - startedMs,
        runs: report.runs,
        messages: report.messages,
        appended: report.appended,
        feeds: heard(report.feeds),
      });
    } catch (error) {
      complain(error, 'work came back undone');
      await stream?.session.close().catch(() => undefined);
      stream = undefined;
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      send({ type: 'returned', kind: RUNS, id: order.id });
    }
    underWay -= 1;
  }
  await stream?.session.close();
}

/** Deliveries and calls: many at once, on no session of their own. */
async function waitForOthers(order: WorkMessage): Promise<void> {
  underWay += 1;
  const startedMs = performance.now();
  const isCalls = order.kind === CALLS;
  try {
    if (isCalls) await executeCalls(callServices, order.slot, order.slices);
    else await executeDeliveries(deliverServices, order.slot, order.slices);
    send({
      type: 'done',
      kind: order.kind,
      id: order.id,
      serviceMs: performance.now() - startedMs,
      runs: 0,
      messages: isCalls ? 0 : order.slices.length,
      appended: takeAppended(),
      feeds: takeArrived(),
    });
  } catch (error) {
    complain(error, `${isCalls ? 'calls' : 'deliveries'} came back undone`);
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    send({ type: 'returned', kind: order.kind, id: order.id });
  }
  underWay -= 1;
}

/**
 * Nothing begins any more under the orders from before, from this moment on: no provider is called until those in
 * force are loaded, and results of other orders are not written. So the answer does not wait for the database.
 */
function govern(id: number): void {
  knownOrders.tellChanged();
  send({ type: 'answered', id });
  knownOrders.reload().catch((error) => log.warn({ err: error }, 'orders could not be loaded yet'));
}

/** The first of a series of failures at once, then how many there were. */
function complain(error: unknown, message: string): void {
  failures += 1;
  const nowMs = performance.now();
  if (nowMs - complainedAtMs < COMPLAIN_MS) return;
  log.warn({ err: error, failures }, message);
  complainedAtMs = nowMs;
  failures = 0;
}

function takeAppended(): ChunkRef[] {
  const refs = appendedByWriters;
  appendedByWriters = [];
  return refs;
}

function takeArrived(): FeedChange[] {
  const feeds = heard(arrivedInFeeds);
  arrivedInFeeds = [];
  return feeds;
}

/** The changes that somebody listens to, each feed once. */
function heard(feeds: readonly FeedChange[]): FeedChange[] {
  if (watched.size === 0) return [];
  const byTopic = new Map<string, FeedChange>();
  for (const feed of feeds) {
    const topic = feedTopicKey(feed);
    if (watched.has(topic)) byTopic.set(topic, feed);
  }
  return [...byTopic.values()];
}

async function drain(): Promise<void> {
  draining = true;
  for (const wake of wakeWorker) wake();
  wakeWorker = [];
  await Promise.all(workers);
  while (underWay > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await deliverServices.writer.close();
  await callServices.writer.close();
  await callTools.close();
  await deliverServices.providers.close();
  store?.close();
  await db.close();
  await ordersDb.close();
  process.disconnect();
}

/** To a server process that is gone it fails; `disconnect` ends this one. */
function send(message: FromExecutor): void {
  process.send?.(message, undefined, undefined, () => undefined);
}
