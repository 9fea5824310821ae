import { afterEach, beforeEach, expect, test } from 'vitest';
import { createOrdersWorld, type OrdersWorld, type Place } from '../support/orders-world.ts';

let world: OrdersWorld;
let acme: Place;
beforeEach(async () => {
  world = await createOrdersWorld(1);
  [acme] = world.places as [Place];
});
afterEach(() => world.close());

test('a preview has what a hold set aside, by whatever scope, and not what was discarded', async () => {
  const scope = { accountId: acme.accountId };
  const hold = await world.give({ scope });
  await world.trigger(acme, 'note', 250, { tenant: 'blue' });
  await world.trigger(acme, 'note', 50, { tenant: 'green' });
  await world.aside(hold, 300);
  const { preview } = world.orders();
  const whole = await preview(scope);
  expect(whole).toMatchObject({ runs: 300, deliveries: 0, estimated: false });
  expect(whole.oldest).toBeInstanceOf(Date);
  const blue = await preview({ ...scope, tenant: 'blue' });
  expect(blue).toMatchObject({ runs: 250, estimated: false });
  expect(blue.samples.map(({ tenant }) => tenant)).toEqual(Array(5).fill('blue'));
  expect(await preview({ ...scope, tenant: 'red' })).toMatchObject({ runs: 0, oldest: null });

  const { concerned, ...discard } = await world.give({ verb: 'discard', scope });
  expect(concerned).toMatchObject({ runs: 300 });
  await world.end(hold);
  await world.aside(discard, 300);
  expect(await preview(scope)).toMatchObject({ runs: 0, samples: [] });
});

test('a hold is given although what it concerns cannot be counted, and says so in the audit log', async () => {
  const { db } = world.test;
  const order = await db.transaction(async (tx) => {
    await tx.query('lock table chunk_50 in access exclusive mode');
    return world.give({ scope: { accountId: acme.accountId } });
  });
  expect(order).toMatchObject({ verb: 'hold', concerned: null });
  const lines = await db.query('select concerned from audit_log where order_id = $1', [order.id]);
  expect(lines).toEqual([{ concerned: { runs: null, deliveries: null, estimated: null } }]);
  await world.trigger(acme, 'note', 5);
  await world.aside(order, 5);
});
