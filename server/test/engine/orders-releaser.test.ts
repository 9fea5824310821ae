import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ChunkRef, RUNS } from '../../src/engine/log/chunk.ts';
import { asideSlot } from '../../src/engine/log/slots.ts';
import { endOrder, insertOrder } from '../../src/engine/orders/order-table.ts';
import { createReleaser } from '../../src/engine/orders/releaser.ts';
import { schedule } from '../../src/engine/scheduler/scheduler.ts';
import { createSchedulerState } from '../../src/engine/scheduler/state.ts';
import { createEngineWorld, type EngineWorld, feedStep } from '../support/engine-world.ts';
import { users } from '../support/triggers.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const by = { author: 'ada', reason: 'test' };
const nothing = { runs: 0, deliveries: 0, estimated: false, oldest: null, samples: [] };

/** A hold that set ten runs aside and is over; its id. */
async function endedHold(): Promise<number> {
  const { db } = world.test;
  const scope = { environmentId: world.ctx.environment.id };
  const given = { verb: 'hold', scope, ...by } as const;
  const { id } = await insertOrder(db, world.clock.now(), given, nothing);
  await world.services.orders.reload();
  const of = await world.workflow({ steps: [feedStep('Hi')] });
  await world.execute((await world.accept({ ...of, recipients: users(10) })).refs);
  await endOrder(db, world.clock.now(), id, by);
  await world.services.orders.reload();
  return id;
}

it('what the database refuses an order keeps nobody from what another one set aside', async () => {
  const { db } = world.test;
  const refused = await endedHold();
  const other = await endedHold();
  const queued: ChunkRef[] = [];
  const releaser = createReleaser({
    db,
    clock: world.clock,
    queue: (ref) => queued.push(ref),
    openSlices: () => 1,
  });
  const table = `chunk_${asideSlot(refused)}`;
  await db.query(`alter table ${table} rename to elsewhere`);
  await expect(releaser.work()).rejects.toThrow('does not exist');
  expect(queued.map(({ orderId }) => orderId)).toEqual([other]);
  await db.query(`alter table elsewhere rename to ${table}`);
  await releaser.work();
  expect(queued.map(({ orderId }) => orderId)).toEqual([other, refused]);
  await world.execute(queued);
  world.clock.move(5_000);
  await releaser.work();
  const left = await db.query('select id from work_order where cleared_at is null');
  expect(left).toEqual([]);
});

it('what the scheduler lost of an order is given to it again, whatever other orders have there', async () => {
  const lost = await endedHold();
  const queued: ChunkRef[] = [];
  const releaser = createReleaser({
    db: world.test.db,
    clock: world.clock,
    queue: (ref) => queued.push(ref),
    openSlices: (orderId) => (orderId === lost ? 0 : 1),
  });
  await releaser.work();
  expect(queued.map(({ orderId }) => orderId)).toEqual([lost]);
  for (let round = 0; round < 15; round++) {
    world.clock.move(5_000);
    await releaser.work();
  }
  expect(queued.map(({ orderId }) => orderId)).toEqual([lost, lost]);
  await world.execute(queued.slice(1));
});

it('the scheduler knows what it has of each order, also of those that share a slot', () => {
  const state = createSchedulerState({ assignmentRuns: 100 });
  state.slots = 1;
  const ref = { stream: 1, laneId: 4, kind: RUNS, flow: 0, runCount: 100, sliceCount: 1 } as const;
  const refs = [1, 9].map((orderId) => ({
    ...{ ...ref, slot: asideSlot(orderId), sequence: orderId, dueMs: undefined },
    orderId,
  }));
  const [first] = schedule(state, { type: 'appended', refs }, 0);
  expect([...state.openSlicesOfOrder]).toEqual([
    [1, 1],
    [9, 1],
  ]);
  schedule(state, { type: 'finished', assignmentId: first?.id ?? 0, serviceMs: 1 }, 1);
  expect([...state.openSlicesOfOrder.keys()]).toEqual([9]);
});
