import { afterEach, beforeEach, expect, test } from 'vitest';
import { dropPartition, oldPartitions } from '../../src/db/drop-partitions.ts';
import { ensurePartitions } from '../../src/db/partitions.ts';
import type { Logger } from '../../src/lib/log.ts';
import { removeCapture } from '../../src/log-store/capture.ts';
import { ringBytes, truncateShipped } from '../../src/log-store/ring.ts';
import { movableClock } from '../support/clock.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';
import { createStoreWorld, type StoreWorld } from './store-world.ts';
import { deleteRecipient, type Written, write, writeApiLog, writeEnvironment } from './written.ts';

let world: StoreWorld;
beforeEach(async () => {
  world = await createStoreWorld();
});
afterEach(() => world?.close());

const eventIds = (written: readonly Written[]): string[] => written.flatMap((one) => one.eventIds);

async function writeMany(count: number, environmentId = 1): Promise<Written[]> {
  const written: Written[] = [];
  for (let i = 0; i < count; i++) written.push(await write(world.db, { environmentId }));
  return written;
}

/** That every event came, and no row of any table twice. */
function expectOnce(written: readonly Written[]): void {
  expect(world.store.missing('event', eventIds(written))).toBe(0);
  const { event, run, delivery } = world.store.tables();
  expect(event).toMatchObject({ rows: 2 * written.length, distinct: 2 * written.length });
  // A run and its segment have one id.
  expect(run).toMatchObject({ rows: 2 * written.length, distinct: written.length });
  expect(delivery).toMatchObject({ rows: written.length, distinct: written.length });
}

test('what was there before a store was configured arrives, and what is written afterwards', async () => {
  const before = await writeMany(3);
  const log = await writeApiLog(world.db, 1);
  const shipping = await world.ship();
  const after = await writeMany(2);
  const later = await writeApiLog(world.db, 1);
  await shipping.settled();
  const all = [...before, ...after];
  expect(world.store.missing('event', eventIds(all))).toBe(0);
  expect(
    world.store.missing(
      'run',
      all.map(({ runId }) => runId),
    ),
  ).toBe(0);
  expect(world.store.missing('api_log', [log, later])).toBe(0);
  expect(world.store.tables().delivery?.distinct).toBe(5);
});

test('while others want all processors everything arrives as well', async () => {
  let asked = 0;
  const shipping = await world.ship({
    processorsAreBusy: () => {
      asked += 1;
      return true;
    },
  });
  const written = await writeMany(3);
  await shipping.settled();
  expectOnce(written);
  expect(asked).toBeGreaterThan(0);
});

test('a transaction that commits late arrives, and holds nobody up while it is open', async () => {
  const shipping = await world.ship();
  await shipping.settled();
  const commit = Promise.withResolvers<void>();
  const isWritten = Promise.withResolvers<string>();
  const slow = world.db.transaction(async (tx) => {
    isWritten.resolve(await writeApiLog(tx, 1));
    await commit.promise;
  });
  const id = await isWritten.promise;
  const others = await writeMany(2);
  await shipping.settled();
  expect(world.store.missing('event', eventIds(others))).toBe(0);
  expect(world.store.missing('api_log', [id])).toBe(1);
  commit.resolve();
  await slow;
  await shipping.settled();
  expect(world.store.missing('api_log', [id])).toBe(0);
});

test.each(['reset', 'reset_answer', 'internal_error', 'slow_down'] as const)(
  'while half of all requests end with %s everything arrives once',
  async (kind) => {
    const shipping = await world.ship();
    await shipping.settled();
    world.store.setFaults({ kind, share: 0.5 });
    const written = await writeMany(10);
    await shipping.settled();
    expectOnce(written);
  },
);

test('a shipper that ends in the middle is gone on with by the next, and nothing counts twice', async () => {
  const first = await world.ship();
  await first.settled();
  world.store.setFaults({ kind: 'reset_answer', share: 1 });
  const written = await writeMany(3);
  await waitFor('a batch whose answer is lost', () =>
    world.store.tables().event?.inserts === 1 ? true : undefined,
  );
  await first.close();
  written.push(...(await writeMany(2)));
  world.store.setFaults({ share: 0 });
  const second = await world.ship();
  await second.settled();
  expectOnce(written);
  expect(world.store.tables().event?.repeatedInserts).toBeGreaterThan(0);
});

test('a store that says yes and keeps nothing is found out, and gets it again', async () => {
  const shipping = await world.ship();
  await shipping.settled();
  world.wire.swallow(1);
  const written = await writeMany(1);
  await shipping.settled();
  expect(world.store.missing('event', eventIds(written))).toBe(0);
  expect(shipping.stats().failures).toBe(1);
});

test('what a store lost since it was last asked is found with the next lie, and sent again', async () => {
  const clock = movableClock(Date.now());
  const shipping = await world.ship({ clock });
  await shipping.settled();
  const written = await writeMany(1);
  await shipping.settled();
  world.wire.swallow(1);
  written.push(...(await writeMany(1)));
  await shipping.settled();
  expect(world.store.missing('event', eventIds(written))).toBe(2);
  clock.move(11_000);
  world.wire.swallow(1);
  written.push(...(await writeMany(1)));
  await shipping.settled();
  expect(world.store.missing('event', eventIds(written))).toBe(0);
});

test('while a dump holds locks nothing queues behind the shipper, and its bound is not reached again and again', async () => {
  const clock = movableClock(Date.now());
  const shipping = await world.ship({ clock, backlogBytes: 0 });
  await shipping.settled();
  await world.db.query(
    `insert into log_aside (environment_id, at, source, rows, ids)
     select 1, now(), 1, 0, array_agg(gen_random_uuid())
     from generate_series(1, 700000)`,
  );
  await world.db.query('delete from log_aside');
  const bytes = () => ringBytes(world.db);
  const before = await bytes();
  expect(before).toBeGreaterThan(10_000_000);
  const dumped = Promise.withResolvers<void>();
  const isDumping = Promise.withResolvers<void>();
  const dump = world.db.transaction(async (tx) => {
    await tx.query('lock table log_ring, log_aside in access share mode');
    isDumping.resolve();
    await dumped.promise;
  });
  await isDumping.promise;
  world.store.setFaults({ kind: 'internal_error', share: 1 });
  await writeMany(1);
  const gaps = () => world.db.query('select * from log_gap');
  const jumped = await waitFor('the position to jump', async () => {
    clock.move(11_000);
    shipping.wake();
    const found = await gaps();
    return found.length > 0 ? found : undefined;
  });
  const { failures } = shipping.stats();
  await waitFor('more rounds', () => {
    clock.move(11_000);
    shipping.wake();
    return shipping.stats().failures > failures + 3 ? true : undefined;
  });
  expect(await bytes()).toBeGreaterThanOrEqual(before);
  expect(await gaps()).toEqual(jumped);
  dumped.resolve();
  await dump;
  world.store.setFaults({ share: 0 });
  await waitFor('room', async () => {
    clock.move(11_000);
    shipping.wake();
    return (await bytes()) < 10_000_000 ? true : undefined;
  });
  await shipping.settled();
});

test('more than may wait is looked for in the tables when the store is back, without a gap', async () => {
  const clock = movableClock(Date.now());
  const shipping = await world.ship({ clock, backlogBytes: 0 });
  await shipping.settled();
  world.store.setFaults({ kind: 'internal_error', share: 1 });
  const written = await writeMany(5);
  await waitFor('the position to jump', async () => {
    clock.move(11_000);
    shipping.wake();
    const gaps = await world.db.query('select from log_gap');
    return gaps.length > 0 ? true : undefined;
  });
  world.store.setFaults({ share: 0 });
  written.push(...(await writeMany(2)));
  await shipping.settled();
  expect(world.store.missing('event', eventIds(written))).toBe(0);
  expect(
    world.store.missing(
      'run',
      written.map(({ runId }) => runId),
    ),
  ).toBe(0);
  expect(world.store.tables().delivery?.distinct).toBe(7);
});

test('of rows that the store cannot read its code is said and nothing of what is in them', async () => {
  // All at once, when it begins.
  await writeMany(25);
  const sink = await world.connect();
  const refusal = Object.assign(new Error("Cannot parse input: expected ',' before: 'ada'"), {
    code: '27',
  });
  const said: object[] = [];
  const note = (line: object) => said.push(line);
  const shipping = await world.ship({
    sink: { ...sink, insert: () => Promise.reject(refusal) },
    log: { ...silentLog, warn: note, error: note } as unknown as Logger,
  });
  const trouble = await waitFor('the refusal', () => shipping.stats().trouble);
  expect(trouble).toMatch(/cannot read many rows of a batch \(its code 27\): .*BELFRY_LOG_STORE/);
  await shipping.close();
  expect(said).toContainEqual(expect.objectContaining({ reason: trouble }));
  // As a word: ids may have these letters.
  expect(JSON.stringify(said)).not.toMatch(/\bada\b/);
});

test('an account with most of what waits lets the others go first', async () => {
  const [busy, quiet] = [await writeEnvironment(world.db), await writeEnvironment(world.db)];
  const first = await world.ship();
  await first.settled();
  await first.close();
  const flood = await writeMany(20, busy);
  const one = await write(world.db, { environmentId: quiet });
  // As if it had been away for a minute.
  const shipping = await world.ship({ clock: movableClock(Date.now() + 60_000) });
  await shipping.settled();
  expect(world.store.missing('event', eventIds([...flood, one]))).toBe(0);
  const inserts = world.wire.statements.filter(({ query }) =>
    query.startsWith('insert into event '),
  );
  const at = (id: string | undefined) => inserts.findIndex(({ body }) => body.includes(id ?? '-'));
  expect(at(one.eventIds[0])).toBeGreaterThanOrEqual(0);
  expect(at(one.eventIds[0])).toBeLessThan(at(flood[0]?.eventIds[0]));
  expect(await world.db.query('select from log_aside')).toEqual([]);
});

test('another store gets everything again', async () => {
  const written = await writeMany(3);
  const first = await world.ship();
  await first.settled();
  await first.close();
  const other = await createStoreWorld();
  const second = await world.ship({ sink: await other.connect() });
  await second.settled();
  expect(other.store.missing('event', eventIds(written))).toBe(0);
  await second.close();
  await other.close();
});

test('without a store nothing is noted, and with one again what was written meanwhile arrives', async () => {
  const first = await world.ship();
  await first.settled();
  await first.close();
  // What a store that was behind had not got yet.
  const asideAt = new Date(Date.now() - 3_600_000);
  await world.db.query(
    `insert into log_aside (environment_id, at, source, rows, ids)
     values (1, $1, 1, 0, '{}')`,
    [asideAt],
  );
  await removeCapture(world.db);
  expect(await world.db.query('select shipped_at from log_shipper')).toEqual([
    { shipped_at: asideAt },
  ]);
  const written = await writeMany(3);
  expect(await world.db.query('select from log_ring')).toEqual([]);
  const second = await world.ship();
  await second.settled();
  expectOnce(written);
});

test('a slot is given back when all of it is shipped, and not before', async () => {
  const shipping = await world.ship();
  await shipping.settled();
  await shipping.close();
  await writeMany(2);
  const laterMs = Date.now() + 120_000;
  expect(await truncateShipped(world.db, laterMs)).toBe(0);
  const next = await world.ship();
  await next.settled();
  expect(await truncateShipped(world.db, laterMs)).toBeGreaterThan(0);
  expect(await world.db.query('select from log_ring')).toEqual([]);
  expect(await ringBytes(world.db)).toBeGreaterThan(0);
});

test('a deletion that is over is passed on after what was sent before, and what is deleted is not sent', async () => {
  const environment = await writeEnvironment(world.db);
  const shipping = await world.ship();
  await shipping.settled();
  await shipping.close();
  const gone = await write(world.db, { environmentId: environment, recipient: 'gone' });
  await deleteRecipient(world.db, { environmentId: environment, recipient: 'gone' });
  const next = await world.ship();
  await next.settled();
  expect(world.store.missing('event', gone.eventIds)).toBe(2);
  const deleted = world.wire.statements.filter(({ query }) =>
    /^alter table \w+ delete/.test(query),
  );
  expect(deleted.map(({ query }) => /table (\w+)/.exec(query)?.[1])).toEqual([
    'event',
    'run',
    'delivery',
  ]);
  expect(deleted[0]?.query).toContain("recipient_id = 'gone'");
});

test('after a request whose end is unknown nothing is deleted until it cannot land any more', async () => {
  const environment = await writeEnvironment(world.db);
  const clock = movableClock(Date.now());
  const shipping = await world.ship({ clock, inDoubtMs: 60_000 });
  const arrives = async () => {
    const one = await write(world.db);
    await waitFor('what was written', () => {
      shipping.wake();
      return world.store.missing('event', one.eventIds) === 0 ? true : undefined;
    });
  };
  const deletes = () =>
    world.wire.statements.filter(({ query }) => query.includes(' delete where '));
  await arrives();
  await deleteRecipient(world.db, { environmentId: environment, recipient: 'gone' });
  await arrives();
  await arrives();
  expect(deletes()).toEqual([]);
  clock.move(61_000);
  await shipping.settled();
  expect(deletes()).toHaveLength(3);
});

test('partitions come and go while rows of their tables are noted', async () => {
  const shipping = await world.ship();
  await shipping.settled();
  const oldMs = Date.now() - 300 * 86_400_000;
  const made = await ensurePartitions(world.db, oldMs);
  expect(made.length).toBeGreaterThan(0);
  const old = await write(world.db, { atMs: oldMs });
  await shipping.settled();
  expect(world.store.missing('event', old.eventIds)).toBe(0);
  const [oldest] = await oldPartitions(world.db, 'message_event', oldMs);
  if (!oldest) throw new Error('there is no old partition');
  expect(await dropPartition(world.db, 'message_event', oldest)).toBe(true);
  const written = await writeMany(1);
  await shipping.settled();
  expect(world.store.missing('event', eventIds(written))).toBe(0);
});
