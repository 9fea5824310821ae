import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKey } from '../../src/accounts/keys.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { holdWith } from '../../src/start-quarantine.ts';
import { silentLog } from '../support/log.ts';
import { by, createOrdersWorld, type OrdersWorld, type Place } from '../support/orders-world.ts';

let world: OrdersWorld;
let acme: Place;
let other: Place;
beforeAll(async () => {
  world = await createOrdersWorld(1);
  [acme, other] = world.places as [Place, Place];
});
afterAll(() => world.close());

const active = () => world.orders().list({ active: true, limit: 1_000 });
const until = () => ({ reason: 'backlog over rate', untilMs: Date.now() + 3_600_000 });

test('the quarantine ends its own holds and no other of the same account', async () => {
  const hold = holdWith(world.orders());
  const given = await world.give({ scope: { accountId: acme.accountId } });
  await hold(acme.accountId, true, until());
  await hold(other.accountId, true, { ...until(), author: 'mara' });
  expect((await active()).map(({ author }) => author)).toEqual([
    'mara (quarantine)',
    'quarantine',
    by.author,
  ]);
  await hold(acme.accountId, false, until());
  await hold(other.accountId, false, until());
  expect((await active()).map(({ id }) => id)).toEqual([given.id]);
  await world.end(given);
});

test('no operator token has a name by which the server calls itself', async () => {
  const ctx = { db: world.test.db, clock: systemClock, log: silentLog };
  for (const name of ['quarantine', ' Belfry', 'operator_1', 'mara (quarantine)']) {
    await expect(createKey(ctx, { kind: 'operator', name })).rejects.toMatchObject({
      code: 'invalid_params',
    });
  }
  expect(await createKey(ctx, { kind: 'operator', name: 'mara' })).toMatchObject({
    kind: 'operator',
  });
});

test('pauses that nobody asked for are half of the orders at the most, those by hand go on', async () => {
  const hold = holdWith(world.orders());
  await world.test.db.query(
    `
    insert into work_order (verb, account_id, author, reason, created_at)
    select 'hold', $1, 'quarantine', 'backlog over rate', now()
    from generate_series(1, 50)`,
    [acme.accountId],
  );
  await expect(hold(other.accountId, true, until())).rejects.toMatchObject({ code: 'conflict' });
  await hold(other.accountId, true, { ...until(), author: 'mara' });
  expect(await active()).toHaveLength(51);
});
