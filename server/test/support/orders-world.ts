import { randomBytes } from 'node:crypto';
import { createAccount } from '../../src/accounts/create-account.ts';
import type { Context } from '../../src/context.ts';
import { publishWorkflows } from '../../src/control/publish.ts';
import type {
  GiveOrder,
  Order,
  OrderCounts,
  Orders,
  TriggerRequest,
} from '../../src/engine/engine.ts';
import { createLedger } from '../../src/engine/ledger/ledger.ts';
import { type RunningEngine, startEngine } from '../../src/engine/start.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { type HttpServer, serveHttp } from '../channels/support.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { feedStep, fetchStep, webhookStep } from './engine-world.ts';
import { silentLog } from './log.ts';
import { triggerRequest, users } from './triggers.ts';
import { waitFor } from './wait.ts';

export type Place = {
  readonly environmentId: number;
  readonly accountId: number;
  readonly versions: ReadonlyMap<string, number>;
};

/** The engine with its executor processes, accounts with workflows, and a provider that counts its calls. */
export type OrdersWorld = {
  readonly test: TestDatabase;
  readonly engine: () => RunningEngine;
  readonly orders: () => Orders;
  readonly places: readonly Place[];
  /** Recipients whose webhook was called, one entry a call. */
  readonly calls: string[];
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
  /** Accepts a trigger for so many recipients; returns the workflow run's id. */
  readonly trigger: (
    place: Place,
    workflow: string,
    count: number,
    more?: Partial<TriggerRequest>,
  ) => Promise<string>;
  readonly give: (
    order: Partial<GiveOrder> & Pick<GiveOrder, 'scope'>,
  ) => Promise<Order & { readonly concerned: OrderCounts | null }>;
  readonly end: (order: Order) => Promise<Order>;
  /** Resolves when so many runs are set aside by the order. */
  readonly aside: (order: Order, runs: number, deliveries?: number) => Promise<void>;
  /** Messages of workflow runs, by run. */
  readonly messages: (runId: string) => Promise<number>;
  readonly done: (runId: string, count: number) => Promise<void>;
  /** Throws when the ledger has a gap; the sums of all minutes. */
  readonly ledger: () => Promise<{
    accepted: number;
    done: number;
    pending: number;
    held: number;
    discarded: number;
    failed: number;
    heldRuns: number;
    keptRuns: number;
  }>;
  readonly close: () => Promise<void>;
};

export const by = { author: 'ada', reason: 'test' };

export async function createOrdersWorld(executors = 2): Promise<OrdersWorld> {
  const test = await createTestDatabase({ max: 8 });
  const { db } = test;
  const ctx: Context = { db, clock: systemClock, log: silentLog };
  const calls: string[] = [];
  const webhook: HttpServer = await serveHttp((request, response) => {
    let body = '';
    request.on('data', (data) => {
      body += data;
    });
    request.on('end', () => {
      calls.push(body);
      response.writeHead(200).end();
    });
  });
  const places: Place[] = [];
  for (const name of ['acme', 'other']) {
    await createAccount(ctx, { name });
    const [row] = await db.query<{ id: number; public_id: string; account_id: number }>(
      `select e.id, e.public_id, e.account_id
       from environment e
       join account a on a.id = e.account_id
       where e.slug = 'development'
         and a.name = $1`,
      [name],
    );
    if (!row) throw new Error('no environment');
    const environment = {
      id: row.id,
      publicId: row.public_id,
      accountId: row.account_id,
      slug: 'development',
      settings: {},
    };
    const contents = {
      note: { steps: [feedStep('Hi')] },
      news: { steps: [feedStep('News')] },
      hook: { steps: [webhookStep()] },
      fetch: { steps: [fetchStep({ url: '{{ data.url }}/{{ recipient.id }}' }), feedStep('Hi')] },
    };
    const { published } = await publishWorkflows(
      { ...ctx, environment },
      Object.entries(contents).map(([key, content]) => ({
        key,
        content: { name: key, ...content },
      })),
    );
    places.push({
      environmentId: row.id,
      accountId: row.account_id,
      versions: new Map(published.map(({ key, versionId }) => [key, versionId])),
    });
  }
  let engine: RunningEngine | undefined;
  const ledger = createLedger({ db, clock: systemClock, log: silentLog });

  const world: OrdersWorld = {
    test,
    places,
    calls,
    engine: () => {
      if (!engine) throw new Error('the engine does not run');
      return engine;
    },
    orders: () => {
      const { orders } = world.engine();
      if (!orders) throw new Error('the engine takes no orders');
      return orders;
    },
    start: async () => {
      engine = await startEngine({
        databaseUrl: test.url,
        db,
        clock: systemClock,
        log: silentLog,
        executors,
        executor: {
          smtpUrl: undefined,
          mailFrom: 'test@example.com',
          allowPrivateWebhooks: true,
          installationSecret: randomBytes(32).toString('hex'),
          logLevel: 'silent',
        },
        onFeeds: () => undefined,
        onStandby: () => undefined,
        signal: new AbortController().signal,
      });
      await engine.started;
    },
    stop: async () => {
      await engine?.stop();
      engine = undefined;
    },
    trigger: async (place, workflowKey, count, more) => {
      const answer = await world.engine().trigger(
        triggerRequest({
          environmentId: place.environmentId,
          workflowKey,
          versionId: place.versions.get(workflowKey) ?? 0,
          recipients: users(count),
          data: { url: webhook.url },
          ...more,
        }),
      );
      if (answer.kind === 'conflict') throw new Error('conflict');
      return answer.workflowRunId;
    },
    give: (order) => world.orders().give({ verb: 'hold', ...by, ...order }),
    end: (order) => world.orders().end(order.id, by),
    aside: async (order, runs, deliveries = 0) => {
      await waitFor(`${runs} runs and ${deliveries} deliveries aside`, async () => {
        const { aside } = await world.orders().get(order.id);
        return aside.runs === runs && aside.deliveries === deliveries ? true : undefined;
      });
    },
    messages: async (runId) => {
      const [row] = await db.query<{ n: number }>(
        'select count(*) as n from message where workflow_run_id = $1',
        [runId],
      );
      return row?.n ?? 0;
    },
    done: async (runId, count) => {
      await waitFor(
        `${count} messages`,
        async () => ((await world.messages(runId)) === count ? true : undefined),
        20_000,
      );
    },
    ledger: async () => {
      const check = await ledger.check();
      if (check.gapRuns !== 0)
        throw new Error(`the ledger has a gap: ${JSON.stringify(check.gaps)}`);
      const sum = { accepted: 0, done: 0, pending: 0, held: 0, discarded: 0, failed: 0 };
      for (const cell of check.open) {
        for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += cell[name];
      }
      return { ...sum, heldRuns: check.heldRuns, keptRuns: check.keptRuns };
    },
    close: async () => {
      await world.stop();
      await webhook.close();
      await test.drop();
    },
  };
  await world.start();
  return world;
}
