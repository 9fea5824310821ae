import { type Credentials, createAccount } from '../../src/accounts/create-account.ts';
import type { Context, EnvironmentContext } from '../../src/context.ts';
import { createEnvironmentsInUse } from '../../src/control/environments-in-use.ts';
import { publishWorkflows } from '../../src/control/publish.ts';
import { createWorkflowVersions } from '../../src/control/workflow-versions.ts';
import type { TriggerRequest } from '../../src/engine/engine.ts';
import { executeCalls } from '../../src/engine/executor/call.ts';
import { createCallTools } from '../../src/engine/executor/call-tools.ts';
import { createCallWriter } from '../../src/engine/executor/call-writer.ts';
import { createChunkCache } from '../../src/engine/executor/chunk-cache.ts';
import type { WorkReport } from '../../src/engine/executor/commit-evaluation.ts';
import { createEnvironmentDefaults } from '../../src/engine/executor/environment-defaults.ts';
import { createKnownOrders } from '../../src/engine/executor/governance.ts';
import { executeRuns, type WorkerServices } from '../../src/engine/executor/run-worker.ts';
import { openAppender } from '../../src/engine/log/appender.ts';
import { parseRunsBody } from '../../src/engine/log/body.ts';
import { CALLS, type ChunkRef, DELIVERIES, RUNS } from '../../src/engine/log/chunk.ts';
import { openStream, type Stream } from '../../src/engine/log/stream.ts';
import type { SliceOrder } from '../../src/engine/protocol.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import type { ModelEndpoint } from '../../src/workflows/step.ts';
import { type MovableClock, movableClock } from './clock.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { silentLog } from './log.ts';
import { testSecrets } from './secrets.ts';
import { triggerRequest } from './triggers.ts';

/** An account with the engine's parts at hand, nothing of which runs by itself. */
export type EngineWorld = {
  readonly test: TestDatabase;
  readonly clock: MovableClock;
  readonly ctx: EnvironmentContext;
  readonly channels: { readonly [key: string]: string };
  readonly services: WorkerServices;
  /** Publishes a workflow of these steps; returns its version's id. */
  readonly publish: (key: string, content: JsonObject) => Promise<number>;
  /** Accepts triggers in one commit; returns where they lie and their run ids. */
  readonly accept: (
    ...requests: Partial<TriggerRequest>[]
  ) => Promise<{ readonly refs: readonly ChunkRef[]; readonly runIds: readonly string[] }>;
  readonly openStream: () => Promise<Stream>;
  /** Executes every slice of these chunks, a chunk an order. */
  readonly execute: (refs: readonly ChunkRef[], stream?: Stream) => Promise<WorkReport[]>;
  /** Executes chunks, then moves the clock to those that wait, until nothing is left; returns the rounds. */
  readonly executeAll: (refs: readonly ChunkRef[]) => Promise<number>;
  /** Publishes a workflow under a key of its own. */
  readonly workflow: (
    content: JsonObject,
  ) => Promise<{ readonly workflowKey: string; readonly versionId: number }>;
  readonly close: () => Promise<void>;
};

const MAX_ROUNDS = 20;

export type EngineWorldOptions = {
  /** Where AI steps ask. */
  readonly model?: ModelEndpoint;
};

export async function createEngineWorld(options: EngineWorldOptions = {}): Promise<EngineWorld> {
  const test = await createTestDatabase({ max: 8 });
  const { db } = test;
  const clock = movableClock();
  const ctx: Context = { db, clock, log: silentLog };
  const credentials: Credentials = await createAccount(ctx, { name: 'acme' });
  const [row] = await db.query<{ id: number; public_id: string; account_id: number }>(
    `select id, public_id, account_id
     from environment
     where slug = 'development'`,
  );
  if (!row) throw new Error('no environment');
  const environment = {
    id: row.id,
    publicId: row.public_id,
    accountId: row.account_id,
    slug: 'development',
    settings: {},
  };
  const environments = createEnvironmentsInUse({
    db,
    clock,
    log: silentLog,
    secrets: testSecrets,
  });
  const services: WorkerServices = {
    clock,
    log: silentLog,
    chunks: createChunkCache(parseRunsBody),
    workflows: createWorkflowVersions({ db, environments, log: silentLog }),
    environments,
    // Asked for each time: a test may have changed them a moment ago.
    secretBox: testSecrets,
    environmentDefaults: (environmentId) => createEnvironmentDefaults(db, clock)(environmentId),
    orders: await createKnownOrders(db),
    announce: () => undefined,
  };
  let reported: ChunkRef[] = [];
  const appender = await openAppender({
    url: test.url,
    clock,
    log: silentLog,
    isCrowded: () => false,
    onAppended: (refs) => reported.push(...refs),
  });
  const streams: Stream[] = [];
  let keys = 0;
  const open = async (): Promise<Stream> => {
    const stream = await openStream({
      url: test.url,
      applicationName: 'test worker',
      log: silentLog,
    });
    streams.push(stream);
    return stream;
  };
  const ownStream = await open();
  let answered: ChunkRef[] = [];
  const callTools = createCallTools({ clock, allowPrivate: true, model: options.model });
  const callWriter = createCallWriter({
    url: test.url,
    applicationName: 'test calls',
    log: silentLog,
    clock,
    onAppended: (refs) => answered.push(...refs),
  });
  const callServices = { ...services, db, writer: callWriter, tools: callTools.of };
  const call = async (ref: ChunkRef): Promise<WorkReport> => {
    answered = [];
    await executeCalls(callServices, ref.slot, slicesOf(ref));
    return { runs: 0, messages: 0, appended: answered, feeds: [] };
  };

  const world: EngineWorld = {
    test,
    clock,
    ctx: { ...ctx, environment },
    channels: credentials.environments.development?.channels ?? {},
    services,
    publish: async (key, content) => {
      const { published } = await publishWorkflows({ ...ctx, environment }, [
        { key, content: { name: key, ...content } },
      ]);
      return published[0]?.versionId ?? 0;
    },
    accept: async (...requests) => {
      reported = [];
      const answers = await Promise.all(
        requests.map((request) =>
          appender.append(triggerRequest({ environmentId: environment.id, ...request })),
        ),
      );
      const runIds = answers.map((answer) =>
        answer.kind === 'conflict' ? '' : answer.workflowRunId,
      );
      return { refs: reported, runIds };
    },
    openStream: open,
    execute: async (refs, stream = ownStream) => {
      const reports: WorkReport[] = [];
      for (const ref of refs) {
        if (ref.kind === CALLS) {
          reports.push(await call(ref));
          continue;
        }
        reports.push(
          await executeRuns(services, stream, {
            id: 1,
            slot: ref.slot,
            careful: false,
            slices: slicesOf(ref),
          }),
        );
      }
      return reports;
    },
    executeAll: async (refs) => {
      let next = [...refs];
      let rounds = 0;
      while (next.length > 0 && rounds < MAX_ROUNDS) {
        clock.moveTo(Math.max(clock.now(), ...next.map((ref) => ref.dueMs ?? 0)));
        const reports = await world.execute(next);
        next = reports.flatMap(({ appended }) => appended.filter((ref) => ref.kind !== DELIVERIES));
        rounds += 1;
      }
      return rounds;
    },
    workflow: async (content) => {
      keys += 1;
      const workflowKey = `workflow-${keys}`;
      return { workflowKey, versionId: await world.publish(workflowKey, content) };
    },
    close: async () => {
      await appender.close();
      await callWriter.close();
      await callTools.close();
      for (const stream of streams) await stream.session.close().catch(() => undefined);
      await test.drop();
    },
  };
  return world;
}

/** Orders for every slice of a chunk. */
export function slicesOf(ref: ChunkRef): SliceOrder[] {
  return Array.from({ length: ref.sliceCount }, (_, slice) => ({
    stream: ref.stream,
    sequence: ref.sequence,
    laneId: ref.laneId,
    slice,
    skip: [],
  }));
}

export const appendedRuns = (reports: readonly WorkReport[]): ChunkRef[] =>
  reports.flatMap((report) => report.appended.filter((ref) => ref.kind === RUNS));

export const appendedCalls = (reports: readonly WorkReport[]): ChunkRef[] =>
  reports.flatMap((report) => report.appended.filter((ref) => ref.kind === CALLS));

export const appendedDeliveries = (reports: readonly WorkReport[]): ChunkRef[] =>
  reports.flatMap((report) => report.appended.filter((ref) => ref.kind === DELIVERIES));

/** A step that puts `body` into the feed. */
export function feedStep(body: string, ref = 'in_app_feed_1', more: JsonObject = {}): JsonObject {
  return {
    ref,
    type: 'channel',
    channel_key: 'in-app',
    template: { markdown_body: body },
    ...more,
  };
}

export function emailStep(ref = 'email_1', more: JsonObject = {}): JsonObject {
  return {
    ref,
    type: 'channel',
    channel_key: 'email',
    template: { subject: 'Hello {{ recipient.name }}', text_body: 'Text' },
    ...more,
  };
}

/** A step that asks the trigger's `data.url`. */
export function fetchStep(settings: JsonObject = {}, ref = 'fetch_1'): JsonObject {
  return {
    ref,
    type: 'http_fetch',
    settings: { method: 'get', url: '{{ data.url }}', ...settings },
  };
}

/** A step that posts to the trigger's `data.url`. */
export function webhookStep(ref = 'http_1'): JsonObject {
  return {
    ref,
    type: 'channel',
    channel_key: 'webhook',
    template: { method: 'post', url: '{{ data.url }}', body: '{{ recipient.id }}' },
  };
}

export function delayStep(value: number, unit = 'seconds', ref = 'delay_1'): JsonObject {
  return { ref, type: 'delay', settings: { delay_for: { unit, value } } };
}
