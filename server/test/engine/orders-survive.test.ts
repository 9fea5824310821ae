import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { orderCrashRounds } from '../support/order-crash-rounds.ts';
import { createOrdersWorld, type OrdersWorld, type Place } from '../support/orders-world.ts';
import { users } from '../support/triggers.ts';
import { waitFor } from '../support/wait.ts';

const RING = Array.from({ length: 16 }, (_, slot) => slot);

describe('an order', () => {
  let world: OrdersWorld;
  let acme: Place;
  beforeEach(async () => {
    world = await createOrdersWorld();
    [acme] = world.places as [Place, Place];
  });
  afterEach(() => world.close());

  const ringChunks = async (): Promise<number> => {
    const tables = RING.map((slot) => `select count(*) as n from chunk_${slot}`);
    const [row] = await world.test.db.query<{ n: number }>(
      `select sum(n)::int as n from (${tables.join(' union all ')}) as slots`,
    );
    return row?.n ?? 0;
  };

  it('that is held does not pin the ring or memory, and survives a restart', async () => {
    const order = await world.give({ scope: { accountId: acme.accountId } });
    const held = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        world.trigger(acme, 'note', 500, { recipients: users(500, `r${i}`) }),
      ),
    );
    await world.aside(order, 5_000);
    await waitFor('nothing to be queued or under way', () => {
      const { queuedRuns, assignments } = world.engine().stats();
      return queuedRuns === 0 && assignments === 0 ? true : undefined;
    });
    await waitFor(
      'the ring to be empty',
      async () => ((await ringChunks()) === 0 ? true : undefined),
      30_000,
    );
    expect(await world.ledger()).toMatchObject({ accepted: 5_000, held: 5_000 });
    await world.stop();
    await world.start();
    const later = await world.trigger(acme, 'note', 50);
    await world.aside(order, 5_050);
    expect(world.engine().stats()).toMatchObject({ queuedRuns: 0 });
    await world.end(order);
    for (const id of held) await world.done(id, 500);
    await world.done(later, 50);
    expect(await world.ledger()).toMatchObject({ accepted: 5_050, done: 5_050, held: 0 });
  });

  it('takes its room back when what it set aside is done', async () => {
    const order = await world.give({ scope: { accountId: acme.accountId } });
    const held = await world.trigger(acme, 'note', 300);
    await world.aside(order, 300);
    await world.end(order);
    await world.done(held, 300);
    await waitFor('the order to be cleared', async () => {
      const rows = await world.test.db.query(
        `select from work_order
         where cleared_at is not null
           and not exists (select from chunk where order_id = work_order.id)`,
      );
      return rows.length === 1 ? true : undefined;
    });
    expect(await world.messages(held)).toBe(300);
    // Sequences that were deleted with their chunks are not used again.
    await world.stop();
    await world.start();
    const next = await world.trigger(acme, 'note', 300);
    await world.done(next, 300);
    expect(await world.ledger()).toMatchObject({ accepted: 600, done: 600 });
  });

  it('is answered although executors are frozen, which begin nothing of it when they wake', async () => {
    const executors = world.engine().processIds();
    const warm = await world.trigger(acme, 'hook', 5);
    await waitFor('5 records of calls', async () => {
      const rows = await world.test.db.query('select from delivery');
      return rows.length === 5 ? true : undefined;
    });
    for (const pid of executors) process.kill(pid, 'SIGSTOP');
    const feed = await world.trigger(acme, 'note', 400);
    const hook = await world.trigger(acme, 'hook', 40);
    const order = await world.give({ scope: { environmentId: acme.environmentId } });
    for (const pid of executors) {
      try {
        process.kill(pid, 'SIGCONT');
      } catch {
        // It is gone: that is how it was kept from beginning anything.
      }
    }
    await world.aside(order, 440);
    expect(world.calls).toHaveLength(5);
    expect([await world.messages(feed), await world.messages(hook)]).toEqual([0, 0]);
    await world.end(order);
    await world.done(feed, 400);
    await waitFor('45 calls', () => (world.calls.length === 45 ? true : undefined));
    expect(await world.messages(warm)).toBe(5);
  });

  it('exports everything once, also what is still on its way', async () => {
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        world.trigger(acme, 'note', 500, { recipients: users(500, `r${i}`), tenant: 'blue' }),
      ),
    );
    const order = await world.give({ scope: { accountId: acme.accountId } });
    const [row] = await world.test.db.query<{ n: number }>(
      'select count(*) as n from recipient_run',
    );
    const ids = new Set<string>();
    let lines = 0;
    for await (const run of world.orders().export(order.id)) {
      expect(run).toMatchObject({ workflow: 'note', tenant: 'blue', actor: null });
      ids.add(run.run_id);
      lines += 1;
    }
    expect(ids.size).toBe(lines);
    expect(lines).toBe(10_000 - (row?.n ?? 0));
    await world.end(order);
    await expect(world.orders().export(order.id)[Symbol.asyncIterator]().next()).rejects.toThrow(
      'not in force',
    );
  });

  it('to slow goes on at its rate after a restart, and everything is done once', async () => {
    await world.give({ verb: 'slow', scope: { accountId: acme.accountId }, runsPerSecond: 60 });
    const slow = await world.trigger(acme, 'hook', 200);
    await waitFor('a beginning', async () => ((await world.messages(slow)) > 0 ? true : undefined));
    await world.stop();
    await world.start();
    await world.done(slow, 200);
    await waitFor('200 calls', () => (world.calls.length === 200 ? true : undefined), 20_000);
    expect(new Set(world.calls).size).toBe(200);
    expect(await world.ledger()).toMatchObject({ accepted: 200, done: 200 });
  });
});

it('kill -9 of everything at any time between hold, discard, release and replay loses and repeats nothing', async () => {
  const result = await orderCrashRounds(6);
  expect(result).toMatchObject({ lost: 0, duplicates: 0, done: result.acknowledged });
  expect(result.setAside).toBeGreaterThan(100);
  expect(result.ledger).toMatchObject({ state: 'balanced', gap_runs: 0 });
}, 180_000);
