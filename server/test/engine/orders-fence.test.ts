import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import { openSession } from '../../src/db/database.ts';
import { recordCancellation } from '../../src/engine/cancel.ts';
import type { ExportedRun } from '../../src/engine/engine.ts';
import { createChunkCache } from '../../src/engine/executor/chunk-cache.ts';
import { executeDeliveries } from '../../src/engine/executor/deliver.ts';
import { createDeliveryWriter } from '../../src/engine/executor/delivery-writer.ts';
import { createKnownOrders, type KnownOrders } from '../../src/engine/executor/governance.ts';
import { executeRuns } from '../../src/engine/executor/run-worker.ts';
import { parseDeliveriesBody } from '../../src/engine/log/body.ts';
import { CALLS, type ChunkRef, DELIVERIES, RUNS } from '../../src/engine/log/chunk.ts';
import { countAside, endOrder, insertOrder } from '../../src/engine/orders/order-table.ts';
import { createOrders } from '../../src/engine/orders/orders.ts';
import { schedule } from '../../src/engine/scheduler/scheduler.ts';
import { createSchedulerState } from '../../src/engine/scheduler/state.ts';
import { findQueuedRun } from '../../src/runs/queued-run.ts';
import { segmentsOf } from '../support/engine-rows.ts';
import {
  appendedDeliveries,
  appendedRuns,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  feedStep,
  slicesOf,
  webhookStep,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { users } from '../support/triggers.ts';
import { waitFor } from '../support/wait.ts';

// One executor's work by hand, so that it can stop anywhere.
let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const by = { author: 'ada', reason: 'test' };
const nothing = { runs: 0, deliveries: 0, estimated: false, oldest: null, samples: [] };

async function give(verb: 'hold' | 'discard' = 'hold') {
  const scope = { environmentId: world.ctx.environment.id };
  return insertOrder(world.test.db, world.clock.now(), { verb, scope, ...by }, nothing);
}
const end = (id: number) => endOrder(world.test.db, world.clock.now(), id, by);

async function accepted(count: number) {
  const of = await world.workflow({ steps: [feedStep('Hi')] });
  return world.accept({ ...of, recipients: users(count) });
}

const messages = async (runId: string): Promise<number> => {
  const [row] = await world.test.db.query<{ n: number }>(
    'select count(*) as n from message where workflow_run_id = $1',
    [runId],
  );
  return row?.n ?? 0;
};

/** Resolves when somebody waits for the lock of the table. */
const somebodyWaits = () =>
  waitFor('somebody who waits', async () => {
    const rows = await world.test.db.query(
      `select from pg_locks
       where relation = 'governance'::regclass
         and not granted`,
    );
    return rows.length > 0 ? true : undefined;
  });

describe('work that was evaluated before an order and not written yet', () => {
  it('is set aside, by whoever did not hear of the order', async () => {
    const { refs, runIds } = await accepted(450);
    const order = await give();
    await world.execute(refs);
    expect(await messages(runIds[0] ?? '')).toBe(0);
    expect(await countAside(world.test.db, order.id)).toEqual({ runs: 450, deliveries: 0 });
    await end(order.id);
  });

  it('is not set aside by an order that has ended', async () => {
    const { refs, runIds } = await accepted(120);
    const order = await give();
    await world.services.orders.reload();
    await end(order.id);
    await world.execute(refs);
    expect(await messages(runIds[0] ?? '')).toBe(120);
    expect(await countAside(world.test.db, order.id)).toEqual({ runs: 0, deliveries: 0 });
  });

  it('is written before the order counts when its statement is under way', async () => {
    const { refs, runIds } = await accepted(100);
    const [ref] = refs as [ChunkRef];
    const stream = await world.openStream();
    await stream.session.query('begin');
    const work = { id: 1, slot: ref.slot, careful: false, slices: slicesOf(ref) };
    await executeRuns(world.services, stream, work);
    let isGiven = false;
    const giving = give().then((order) => {
      isGiven = true;
      return order;
    });
    await somebodyWaits();
    expect(isGiven).toBe(false);
    await stream.session.query('commit');
    const order = await giving;
    expect(await messages(runIds[0] ?? '')).toBe(100);
    await end(order.id);
  });

  it('does not wait for a backup that reads every table', async () => {
    const backup = await openSession({
      url: world.test.url,
      applicationName: 'backup',
      log: silentLog,
    });
    await backup.query('begin');
    await backup.query('lock table governance, work_order in access share mode');
    await end((await give()).id);
    await backup.close();
  });

  it('that is in the way for ever is named in the error, and nothing was changed', async () => {
    const order = await give();
    const stuck = await openSession({
      url: world.test.url,
      applicationName: 'stuck writer',
      log: silentLog,
    });
    await stuck.query('begin');
    const [row] = await stuck.query<{ pid: number }>(
      'select pg_backend_pid() as pid from governance for key share',
    );
    const ending = endOrder(world.test.db, world.clock.now(), order.id, by, 1);
    await expect(ending).rejects.toThrow(
      `database session ${row?.pid} (stuck writer) has been in a transaction`,
    );
    await stuck.close();
    await expect(end(order.id)).resolves.toMatchObject({ endedBy: 'ada' });
  });
});

/** What an executor delivers with, and the messages that its provider was called for. */
async function deliveriesUnder(orders: KnownOrders, appended: ChunkRef[] = []) {
  const writer = createDeliveryWriter({
    url: world.test.url,
    applicationName: 'test deliveries',
    log: silentLog,
    clock: world.clock,
    random: () => 0.5,
    onAppended: (placed) => appended.push(...placed),
  });
  const asked: string[] = [];
  const provider = {
    name: 'test',
    deliver: async ({ id }: { id: string }) => {
      asked.push(id);
      return { kind: 'sent' as const, detail: {} };
    },
    close: async () => undefined,
  };
  const services = {
    db: world.test.db,
    chunks: createChunkCache(parseDeliveriesBody),
    providers: { forChannel: () => provider, close: async () => undefined },
    writer,
    orders,
    onFeed: () => undefined,
  };
  return { writer, services, asked };
}

describe('a delivery', () => {
  it('is not begun by an executor that did not hear of the order, is exported, and goes out once in the end', async () => {
    const of = await world.workflow({ steps: [webhookStep()] });
    const { refs } = await world.accept({ ...of, recipients: users(3) });
    const deliveries = appendedDeliveries(await world.execute(refs));
    const orders = await createKnownOrders(world.test.db);
    const order = await give();
    const appended: ChunkRef[] = [];
    const { writer, services, asked } = await deliveriesUnder(orders, appended);
    for (const ref of deliveries) await executeDeliveries(services, ref.slot, slicesOf(ref));
    expect(asked).toEqual([]);
    expect(await countAside(world.test.db, order.id)).toEqual({ runs: 0, deliveries: 3 });
    const exported: ExportedRun[] = [];
    for await (const run of ordersOver(world.test.db, []).export(order.id)) exported.push(run);
    expect(new Set(exported.map((run) => run.message_id)).size).toBe(3);
    expect(exported.map((run) => run.recipient).sort()).toEqual(['user-0', 'user-1', 'user-2']);
    await end(order.id);
    await orders.reload();
    for (const ref of appended) await executeDeliveries(services, ref.slot, slicesOf(ref));
    expect(new Set(asked).size).toBe(3);
    expect(asked).toHaveLength(3);
    await writer.close();
  });

  it('is not begun by an executor that heard of orders and cannot load them', async () => {
    const { db } = world.test;
    const of = await world.workflow({ steps: [webhookStep()] });
    const { refs } = await world.accept({ ...of, recipients: users(3) });
    const [ref] = appendedDeliveries(await world.execute(refs)) as [ChunkRef];
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    let isSlow = false;
    const orders = await createKnownOrders(db, {
      query: async (statement, values) => {
        if (isSlow) {
          reached.resolve();
          await gate.promise;
        }
        return db.query(statement, values);
      },
    });
    const { writer, services, asked } = await deliveriesUnder(orders);
    isSlow = true;
    orders.tellChanged();
    const delivering = executeDeliveries(services, ref.slot, slicesOf(ref));
    await reached.promise;
    const order = await give();
    expect(asked).toEqual([]);
    gate.resolve();
    await delivering;
    expect(asked).toEqual([]);
    expect(orders.isChanged()).toBe(false);
    expect(await countAside(db, order.id)).toEqual({ runs: 0, deliveries: slicesOf(ref).length });
    await end(order.id);
    await writer.close();
  });
});

describe('a run that was set aside', () => {
  it('while it waited goes on where it was, and a cancellation of meanwhile stops it', async () => {
    const of = await world.workflow({ steps: [delayStep(60), feedStep('Later')] });
    const { refs, runIds } = await world.accept(
      { ...of, recipients: users(2), cancellationKey: 'mine' },
      { ...of, recipients: users(3) },
    );
    const paused = appendedRuns(await world.execute(refs));
    world.clock.move(60_000);
    const order = await give();
    const asides = appendedRuns(await world.execute(paused));
    expect(await countAside(world.test.db, order.id)).toEqual({ runs: 5, deliveries: 0 });
    const cancel = { environmentId: world.ctx.environment.id, workflowKey: of.workflowKey };
    await recordCancellation(world.test.db, world.clock.now(), {
      ...cancel,
      cancellationKey: 'mine',
    });
    await end(order.id);
    await world.execute(asides);
    const [cancelled = '', free = ''] = runIds;
    expect([await messages(cancelled), await messages(free)]).toEqual([0, 3]);
    const segments = await segmentsOf(world.test.db, free);
    expect(segments.map((segment) => segment.segment)).toEqual([1, 1, 1]);
  });

  it('before it was executed is not stopped by a cancellation, as any that is only queued', async () => {
    const of = await world.workflow({ steps: [feedStep('Now')] });
    const { refs, runIds } = await world.accept({
      ...of,
      recipients: users(2),
      cancellationKey: 'mine',
    });
    const order = await give();
    const asides = appendedRuns(await world.execute(refs));
    await recordCancellation(world.test.db, world.clock.now(), {
      environmentId: world.ctx.environment.id,
      workflowKey: of.workflowKey,
      cancellationKey: 'mine',
    });
    await end(order.id);
    await world.execute(asides);
    expect(await messages(runIds[0] ?? '')).toBe(2);
  });

  it('is found by its id: queued while it is held, cancelled while it is discarded', async () => {
    const { refs } = await accepted(150);
    const hold = await give();
    const asides = (await world.execute(refs)).flatMap((report) => report.appended);
    const orders = ordersOver(world.test.db, []);
    const ids: string[] = [];
    for await (const run of orders.export(hold.id)) ids.push(run.run_id);
    expect(new Set(ids).size).toBe(150);
    const [id = ''] = ids;
    expect(await findQueuedRun(world.ctx, id)).toMatchObject({ id, status: 'queued' });
    await world.test.db.query(
      'truncate chunk_0, chunk_1, chunk_2, chunk_3, chunk_4, chunk_5, chunk_6, chunk_7',
    );
    await world.test.db.query(
      'truncate chunk_8, chunk_9, chunk_10, chunk_11, chunk_12, chunk_13, chunk_14, chunk_15',
    );
    expect(await findQueuedRun(world.ctx, id)).toMatchObject({ id, status: 'queued' });
    const discard = await give('discard');
    await end(hold.id);
    await world.execute(asides);
    expect(await findQueuedRun(world.ctx, id)).toMatchObject({ id, status: 'cancelled' });
    await end(discard.id);
    expect(await findQueuedRun(world.ctx, id)).toMatchObject({ id, status: 'queued' });
  });
});

function ordersOver(db: Database, refs: readonly ChunkRef[]) {
  const states = {
    [RUNS]: createSchedulerState({ assignmentRuns: 100 }),
    [DELIVERIES]: createSchedulerState({ assignmentRuns: 10 }),
    [CALLS]: createSchedulerState({ assignmentRuns: 10 }),
  };
  schedule(states[RUNS], { type: 'appended', refs }, 0);
  return createOrders({
    db,
    readDb: db,
    clock: world.clock,
    log: silentLog,
    states,
    govern: async () => undefined,
    queue: () => undefined,
  });
}

/** Counts statements and the rows that they answer. */
function counted(db: Database) {
  const cost = { statements: 0, rows: 0 };
  const count =
    (query: Database['query']): Database['query'] =>
    async (statement, values) => {
      const rows = await query(statement, values);
      cost.statements += 1;
      cost.rows += rows.length;
      return rows as never;
    };
  const counting: Database = {
    ...db,
    query: count(db.query),
    transaction: (work) => db.transaction((tx) => work({ query: count(tx.query) })),
  };
  return { cost, counting };
}

describe('an export', () => {
  it('has everything once although more is set aside while it is read', async () => {
    const parts: (readonly ChunkRef[])[] = [];
    for (let i = 0; i < 30; i++) parts.push((await accepted(1)).refs);
    const order = await give();
    for (const refs of parts.slice(0, 25)) await world.execute(refs);
    const ids: string[] = [];
    for await (const run of ordersOver(world.test.db, []).export(order.id)) {
      ids.push(run.run_id);
      // In the middle of a pass.
      if (ids.length === 3) for (const refs of parts.slice(25)) await world.execute(refs);
    }
    expect(ids).toHaveLength(30);
    expect(new Set(ids).size).toBe(30);
    await end(order.id);
  });
});

describe('what an order costs does not depend on how much is queued', () => {
  for (const workflow of [undefined, 'any']) {
    it(workflow ? 'of a workflow' : 'of an environment', async () => {
      const few = (await accepted(20)).refs;
      const many: ChunkRef[] = [];
      for (let i = 0; i < 8; i++) {
        const of = await world.workflow({ steps: [feedStep('Hi')] });
        const requests = Array.from({ length: 40 }, () => ({ ...of, recipients: users(1_000) }));
        many.push(...(await world.accept(...requests)).refs);
      }
      expect(many.length).toBeGreaterThan(400);
      const costs: { statements: number; rows: number }[] = [];
      for (const refs of [few, many]) {
        const { cost, counting } = counted(world.test.db);
        const scope = {
          environmentId: world.ctx.environment.id,
          ...(workflow ? { workflow } : {}),
        };
        const order = await ordersOver(counting, refs).give({ verb: 'hold', scope, ...by });
        costs.push(cost);
        await end(order.id);
      }
      const [little, much] = costs as [(typeof costs)[0], (typeof costs)[0]];
      // At most 200 chunks are read for the preview, 20 at once.
      expect(much.statements).toBeLessThanOrEqual(little.statements + (workflow ? 10 : 0));
      expect(much.rows).toBeLessThanOrEqual(little.rows + (workflow ? 200 : 0));
    });
  }
});

describe('a preview', () => {
  it('counts whole lanes exactly, with the oldest and samples', async () => {
    const { refs } = await accepted(730);
    const orders = ordersOver(world.test.db, refs);
    const counts = await orders.preview({ environmentId: world.ctx.environment.id });
    expect(counts).toMatchObject({ runs: 730, deliveries: 0, estimated: false });
    expect(counts.samples).toHaveLength(5);
    expect(counts.oldest?.getTime()).toBe(world.clock.now());
  });

  it('reads what a narrower scope needs, and estimates only where not all was read', async () => {
    const of = await world.workflow({ steps: [feedStep('Hi')] });
    const some = await world.accept(
      { ...of, recipients: users(30), tenant: 'blue' },
      { ...of, recipients: users(90), tenant: 'green' },
    );
    const scope = { environmentId: world.ctx.environment.id, tenant: 'blue' };
    expect(await ordersOver(world.test.db, some.refs).preview(scope)).toMatchObject({
      runs: 30,
      estimated: false,
    });
    const requests = Array.from({ length: 300 }, (_, i) => ({
      ...of,
      recipients: users(500),
      tenant: i % 2 === 0 ? 'blue' : 'green',
    }));
    const { refs } = await world.accept(...requests);
    const counts = await ordersOver(world.test.db, refs).preview(scope);
    expect(counts.estimated).toBe(true);
    expect(counts.runs).toBeGreaterThan(60_000);
    expect(counts.runs).toBeLessThan(90_000);
    expect(counts.samples.every((sample) => sample.tenant === 'blue')).toBe(true);
  });
});
