import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OrderScope } from '../../src/engine/engine.ts';
import { createOrdersWorld, type OrdersWorld, type Place } from '../support/orders-world.ts';
import { users } from '../support/triggers.ts';
import { waitFor } from '../support/wait.ts';

let world: OrdersWorld;
let acme: Place;
let other: Place;
beforeEach(async () => {
  world = await createOrdersWorld();
  [acme, other] = world.places as [Place, Place];
});
afterEach(() => world.close());

/** Runs of a workflow run whose first execution is recorded. */
async function runIds(runId: string): Promise<string[]> {
  const rows = await world.test.db.query<{ id: string }>(
    'select id from recipient_run where workflow_run_id = $1 order by id',
    [runId],
  );
  return rows.map((row) => row.id);
}

const inAnHour = () => new Date(Date.now() + 3_600_000);

/** As if its time had come. */
const expire = (id: number) =>
  world.test.db.query('update work_order set expires_at = now() where id = $1', [id]);

describe('after a hold was answered nothing of its scope starts, and all else does', () => {
  const cases: [name: string, scope: (place: Place) => OrderScope][] = [
    ['by account', (place) => ({ accountId: place.accountId })],
    ['by environment', (place) => ({ environmentId: place.environmentId })],
    ['by key', () => ({ apiKeyId: 7 })],
    ['by workflow', (place) => ({ accountId: place.accountId, workflow: 'note' })],
    ['by tenant', (place) => ({ environmentId: place.environmentId, tenant: 'blue' })],
  ];
  for (const [name, scope] of cases) {
    it(name, async () => {
      const order = await world.give({ scope: scope(acme) });
      const inScope = { apiKeyId: 7, tenant: 'blue' };
      const held = await world.trigger(acme, 'note', 250, inScope);
      const free = await world.trigger(other, 'note', 250, { apiKeyId: 8 });
      await world.done(free, 250);
      await world.aside(order, 250);
      expect(await world.messages(held)).toBe(0);
      expect(await world.ledger()).toMatchObject({
        ...{ accepted: 500, done: 250, held: 250, heldRuns: 250, keptRuns: 0 },
      });
      await world.end(order);
      await world.done(held, 250);
      expect(await world.ledger()).toMatchObject({
        accepted: 500,
        done: 500,
        held: 0,
        heldRuns: 0,
      });
    });
  }

  it('by time of acceptance', async () => {
    const early = await world.trigger(acme, 'note', 3);
    await world.done(early, 3);
    const order = await world.give({
      scope: { accountId: acme.accountId, acceptedBefore: new Date(Date.now() - 1_000) },
    });
    const late = await world.trigger(acme, 'note', 3);
    await world.done(late, 3);
    expect((await world.orders().get(order.id)).aside).toEqual({ runs: 0, deliveries: 0 });
  });

  it('by workflow, tenant and key where one chunk holds work of several', async () => {
    const order = await world.give({
      scope: { environmentId: acme.environmentId, tenant: 'blue' },
    });
    const [blue, green] = await Promise.all([
      world.trigger(acme, 'note', 40, { tenant: 'blue' }),
      world.trigger(acme, 'note', 40, { tenant: 'green' }),
    ]);
    await world.done(green ?? '', 40);
    await world.aside(order, 40);
    await world.end(order);
    await world.done(blue ?? '', 40);
  });
});

describe('a backlog', () => {
  it('that is being worked on does not go on after the answer to a hold', async () => {
    const run = await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        world.trigger(acme, 'note', 500, { recipients: users(500, `r${i}`) }),
      ),
    );
    const order = await world.give({ scope: { accountId: acme.accountId } });
    const count = async (): Promise<number> => {
      const [row] = await world.test.db.query<{ n: number }>('select count(*) as n from message');
      return row?.n ?? 0;
    };
    const atAnswer = await count();
    await world.aside(order, 20_000 - atAnswer);
    expect(await count()).toBe(atAnswer);
    expect(atAnswer).toBeLessThan(20_000);
    expect(await world.ledger()).toMatchObject({ accepted: 20_000, pending: 0 });
    await world.end(order);
    for (const id of run) await world.done(id, 500);
    expect(await count()).toBe(20_000);
  });

  it('is released with the run ids that it was accepted with, once', async () => {
    const order = await world.give({ scope: { accountId: acme.accountId } });
    const held = await world.trigger(acme, 'note', 120);
    await world.aside(order, 120);
    const exported: string[] = [];
    for await (const run of world.orders().export(order.id)) exported.push(run.run_id);
    await world.end(order);
    await world.done(held, 120);
    expect(await runIds(held)).toEqual(exported.sort());
  });
});

describe('deliveries to a provider', () => {
  it('do not start after the answer to a hold, and go out once when it is released', async () => {
    const order = await world.give({ scope: { accountId: acme.accountId, workflow: 'hook' } });
    const held = await world.trigger(acme, 'hook', 30);
    await world.aside(order, 30);
    const second = await world.give({ scope: { accountId: acme.accountId } });
    await world.end(order);
    await world.aside(second, 30);
    await world.end(second);
    await waitFor('30 calls', () => (world.calls.length === 30 ? true : undefined));
    expect(new Set(world.calls).size).toBe(30);
    expect(await world.messages(held)).toBe(30);
  });

  it('of runs that are done already are set aside too', async () => {
    for (const pid of world.engine().processIds()) process.kill(pid, 'SIGSTOP');
    const held = await world.trigger(acme, 'hook', 30);
    for (const pid of world.engine().processIds()) process.kill(pid, 'SIGCONT');
    await world.done(held, 30);
    const order = await world.give({ scope: { environmentId: acme.environmentId } });
    const atAnswer = world.calls.length;
    await waitFor('every delivery to be called or aside', async () => {
      const { aside } = await world.orders().get(order.id);
      return aside.deliveries + world.calls.length === 30 ? true : undefined;
    });
    // Calls that were under way have no time limit but the provider's.
    expect(world.calls.length).toBeGreaterThanOrEqual(atAnswer);
    await world.end(order);
    await waitFor('30 calls', () => (world.calls.length === 30 ? true : undefined));
    expect(new Set(world.calls).size).toBe(30);
  });
});

describe('a discard', () => {
  it('keeps what arrives after it, and a replay does the rest exactly once', async () => {
    const hold = await world.give({ scope: { accountId: acme.accountId } });
    const before = await world.trigger(acme, 'note', 230);
    await world.aside(hold, 230);
    const discard = await world.give({ verb: 'discard', scope: { accountId: acme.accountId } });
    await world.end(hold);
    await world.aside(discard, 230);
    const after = await world.trigger(acme, 'note', 20);
    await world.done(after, 20);
    expect(await world.messages(before)).toBe(0);
    expect(await world.ledger()).toMatchObject({
      ...{ accepted: 250, done: 20, discarded: 230, heldRuns: 0, keptRuns: 230 },
    });
    await world.end(discard);
    await world.done(before, 230);
    expect(await world.ledger()).toMatchObject({
      accepted: 250,
      done: 250,
      discarded: 0,
      keptRuns: 0,
    });
  });

  it('that expired drops its data, which stays counted as discarded', async () => {
    const hold = await world.give({ scope: { accountId: acme.accountId } });
    const run = await world.trigger(acme, 'note', 130);
    await world.aside(hold, 130);
    const scope = { accountId: acme.accountId };
    const discard = await world.give({ verb: 'discard', scope, expiresAt: inAnHour() });
    await world.end(hold);
    await world.aside(discard, 130);
    await expire(discard.id);
    await waitFor('the data to be dropped', async () => {
      expect(await world.ledger()).toMatchObject({ accepted: 130, done: 0 });
      const order = await world.orders().get(discard.id);
      return order.droppedAt && order.aside.runs === 0 ? true : undefined;
    });
    expect(await world.ledger()).toMatchObject({ accepted: 130, discarded: 130, keptRuns: 0 });
    await expect(world.end(discard)).rejects.toThrow('cannot be replayed');
    expect(await world.messages(run)).toBe(0);
  });
});

describe('the ledger', () => {
  it('balances at every moment while work is held, discarded, released and replayed', async () => {
    let running = true;
    let checks = 0;
    let mostHeld = 0;
    let mostDiscarded = 0;
    const checking = (async () => {
      while (running) {
        const sum = await world.ledger();
        checks += 1;
        mostHeld = Math.max(mostHeld, sum.held);
        mostDiscarded = Math.max(mostDiscarded, sum.discarded);
      }
    })();
    const triggers: Promise<string>[] = [];
    const more = (name: string) => {
      for (let i = 0; i < 12; i++) {
        triggers.push(world.trigger(acme, 'note', 250, { recipients: users(250, `${name}${i}`) }));
      }
      return Promise.all(triggers);
    };
    await more('first');
    const hold = await world.give({ scope: { accountId: acme.accountId } });
    await more('second');
    await waitFor('something held', () => (mostHeld > 0 ? true : undefined));
    const discard = await world.give({ verb: 'discard', scope: { accountId: acme.accountId } });
    await world.end(hold);
    await more('third');
    await waitFor('something discarded', () => (mostDiscarded > 0 ? true : undefined));
    await world.end(discard);
    for (const id of await Promise.all(triggers)) await world.done(id, 250);
    running = false;
    await checking;
    expect(await world.ledger()).toMatchObject({ accepted: 9_000, done: 9_000 });
    expect(checks).toBeGreaterThan(5);
  });
});

describe('orders that overlap', () => {
  it('hold until the last of them is released, and then it is done once', async () => {
    const first = await world.give({ scope: { accountId: acme.accountId } });
    const second = await world.give({
      scope: { environmentId: acme.environmentId, workflow: 'note' },
    });
    const held = await world.trigger(acme, 'note', 210);
    await world.aside(first, 210);
    await world.end(first);
    await world.aside(second, 210);
    expect(await world.messages(held)).toBe(0);
    await world.end(second);
    await world.done(held, 210);
    expect(await world.ledger()).toMatchObject({ accepted: 210, done: 210 });
  });
});

describe('an order', () => {
  it('that expires is released by itself', async () => {
    const order = await world.give({
      scope: { accountId: acme.accountId },
      expiresAt: inAnHour(),
    });
    const held = await world.trigger(acme, 'note', 15);
    await world.aside(order, 15);
    await expire(order.id);
    await world.done(held, 15);
    expect(await world.orders().get(order.id)).toMatchObject({
      endedBy: 'belfry',
      endReason: 'the order expired',
    });
  });

  it('to slow lets work through at its rate', async () => {
    const order = await world.give({
      verb: 'slow',
      scope: { accountId: acme.accountId },
      runsPerSecond: 40,
    });
    const startedMs = Date.now();
    const slow = await world.trigger(acme, 'note', 160);
    await world.done(slow, 160);
    // The first second's worth is there at once.
    expect(Date.now() - startedMs).toBeGreaterThan(2_000);
    expect(await world.ledger()).toMatchObject({ accepted: 160, done: 160 });
    expect(order.runsPerSecond).toBe(40);
  });

  it('that is unknown, ended, or about everything is refused', async () => {
    await expect(world.orders().end(99, { author: 'ada', reason: '' })).rejects.toThrow(
      'no order 99',
    );
    await expect(world.give({ scope: { workflow: 'note' } })).rejects.toThrow('name an account');
    const order = await world.give({ scope: { accountId: acme.accountId } });
    await world.end(order);
    await expect(world.end(order)).rejects.toThrow('was ended');
  });
});
