import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eraseBodies } from '../../src/bodies/erase.ts';
import type { Database } from '../../src/db/database.ts';
import { ensurePartitions } from '../../src/db/partitions.ts';
import { sweepDeletions } from '../../src/deletion/deletion-clock.ts';
import { GRACE_MS } from '../../src/deletion/open-deletions.ts';
import { NO_FAULTS } from '../../src/drill/stand-ins/faults.ts';
import { deleteRecipient } from '../../src/recipients/delete-recipients.ts';
import { USERS } from '../../src/recipients/reference.ts';
import { enforceRetention } from '../../src/retention/enforce.ts';
import { type BodiesWorld, createBodiesWorld } from '../support/bodies-world.ts';
import { silentLog } from '../support/log.ts';

let own: BodiesWorld;
beforeAll(async () => {
  own = await createBodiesWorld();
});
afterEach(() => own.store.setFaults(NO_FAULTS));
afterAll(() => own.close());

/** Deletes a user and sweeps up what is his. */
async function deleteUser(id: string): Promise<void> {
  const { world } = own;
  world.clock.move(1);
  await deleteRecipient(world.ctx, { collection: USERS, id });
  for (const laterMs of [1, GRACE_MS]) {
    world.clock.move(laterMs);
    const sweep = () => sweepDeletions(world.test.db, world.clock);
    while ((await sweep()) > 0);
  }
}

/** Everything that the store and the ring have, as text. */
async function everything(): Promise<string> {
  const { prefix } = own.store.config;
  const texts: string[] = [];
  for (const key of await own.store.objects()) {
    texts.push((await own.direct.get(key.slice(prefix.length))).toString('latin1'));
  }
  const rows = await own.world.test.db.query<{ text: string }>(
    `select convert_from(bytes, 'UTF8') as text from body_pack`,
  );
  return [...texts, ...rows.map(({ text }) => text)].join('\n');
}

const isThere = async (id: string): Promise<boolean> =>
  (await everything()).includes(`Dear ${id},`);

const openErasures = () => own.world.test.db.query('select from body_erasure');

test('what was said to a deleted user is in no object any more, and what was said to others is', async () => {
  const { ids } = await own.send(4);
  await own.markSent(ids);
  await own.moveAll();
  expect(await isThere('user-1')).toBe(true);
  await deleteUser('user-1');
  expect(await openErasures()).toHaveLength(1);
  await own.steps.erase();
  expect(await openErasures()).toEqual([]);
  expect(await isThere('user-1')).toBe(false);
  expect(await isThere('user-2')).toBe(true);
  const said = await own.read(ids);
  expect(said.map((body) => typeof body)).toEqual(['object', 'string', 'object', 'object']);
});

test('what waits for the store is blanked where it waits, and goes out blank', async () => {
  const { ids } = await own.send(4);
  const bytes = () =>
    own.world.test.db.query<{ bytes: number; xmin: string }>(
      'select octet_length(bytes) as bytes, xmin::text from body_pack',
    );
  const [before] = await bytes();
  await deleteUser('user-2');
  await deleteUser('user-3');
  await own.steps.erase();
  const [blanked] = await bytes();
  expect(blanked).toMatchObject({ bytes: before?.bytes });
  await own.steps.erase();
  // It is megabytes: what is blank already is not written again.
  expect(await bytes()).toEqual([blanked]);
  expect(await own.world.test.db.query('select from body_pack')).toHaveLength(1);
  const rows = await own.world.test.db.query<{ text: string }>(
    `select convert_from(bytes, 'UTF8') as text from body_pack`,
  );
  expect(rows[0]?.text).toContain('Dear user-0,');
  expect(rows[0]?.text).not.toContain('Dear user-2,');
  expect(rows[0]?.text).not.toContain('Dear user-3,');
  await own.markSent([ids[0] ?? '', ids[1] ?? '']);
  await own.moveAll();
  await own.steps.erase();
  expect(await openErasures()).toEqual([]);
  expect(await isThere('user-2')).toBe(false);
  expect(await own.ringRows()).toBe(0);
  expect((await own.read(ids)).map((body) => typeof body)).toEqual([
    ...['object', 'object', 'string', 'string'],
  ]);
});

test('a pack that is moved while it is looked for is not taken for one that is nowhere', async () => {
  const { ids } = await own.send(2);
  await own.markSent(ids);
  await deleteUser('user-1');
  own.world.clock.move(3_600_000);
  const { db } = own.world.test;
  let isMoved = false;
  const meanwhile: Database = {
    ...db,
    query: async (...args: Parameters<Database['query']>) => {
      const rows = await db.query(...args);
      if (!isMoved) await own.moveAll();
      isMoved = true;
      return rows as never;
    },
  };
  const ctx = { db: meanwhile, store: own.direct, nowMs: own.world.clock.now, log: silentLog };
  await eraseBodies({ ...ctx, may: async () => true, troubled: new Map() }, undefined);
  expect(isMoved).toBe(true);
  expect(await own.ringRows()).toBe(0);
  expect(await openErasures()).toHaveLength(1);
  await own.steps.erase();
  expect(await openErasures()).toEqual([]);
  expect(await isThere('user-1')).toBe(false);
});

test('a deletion that the store cannot hear of is not forgotten', async () => {
  const { ids } = await own.send(2);
  await own.markSent(ids);
  await own.moveAll();
  await deleteUser('user-0');
  const steps = own.newSteps();
  own.store.setFaults({ kind: 'internal_error', share: 1 });
  const open = (await openErasures()).length;
  expect(open).toBeGreaterThan(0);
  expect(await steps.erase()).toBe(0);
  expect(await openErasures()).toHaveLength(open);
  // A wrong byte that came over the wire must not be written for good.
  own.store.setFaults({ kind: 'flip', share: 1 });
  expect(await own.newSteps().erase()).toBe(0);
  expect(await openErasures()).toHaveLength(open);
  own.store.setFaults(NO_FAULTS);
  expect(await own.newSteps().erase()).toBe(open);
  expect(await isThere('user-0')).toBe(false);
  expect(typeof (await own.read(ids.slice(1)))[0]).toBe('object');
});

test('the objects of a month go with its messages, when the store is there, and those of others stay', async () => {
  const { world } = own;
  const { db } = world.test;
  const before = await own.store.objects();
  const { ids } = await own.send(2);
  await own.markSent(ids);
  await own.moveAll();
  const month = await own.store.objects();
  expect(month).toHaveLength(before.length + 1);
  world.clock.move(100 * 86_400_000);
  await ensurePartitions(db, world.clock.now());
  const { ids: kept } = await own.send(2);
  await own.markSent(kept);
  await own.moveAll();
  await own.steps.expire();
  expect(await own.store.objects()).toHaveLength(month.length + 1);
  const days = { logs: undefined, messages: 30, apiLogs: undefined, audit: undefined };
  await enforceRetention({ db, log: silentLog, nowMs: world.clock.now(), days, retryMs: 50 });
  const steps = own.newSteps();
  own.store.setFaults({ kind: 'slow_down', share: 1 });
  await expect(steps.expire()).rejects.toThrow();
  own.store.setFaults(NO_FAULTS);
  await own.newSteps().expire();
  expect(await own.store.objects()).toHaveLength(1);
  expect(await db.query('select from body_object')).toHaveLength(1);
  expect((await own.read(kept)).map((body) => typeof body)).toEqual(['object', 'object']);
});

test('an object that is gone keeps no other from being blanked, and is waited for a month', async () => {
  const { clock, test: database } = own.world;
  await ensurePartitions(database.db, clock.now());
  const lost = await own.send(1);
  await own.markSent(lost.ids);
  const before = await own.store.objects();
  await own.moveAll();
  const gone = (await own.store.objects()).filter((key) => !before.includes(key));
  const { ids } = await own.send(2);
  await own.markSent(ids);
  await own.moveAll();
  const { prefix } = own.store.config;
  await own.direct.delete(gone.map((key) => key.slice(prefix.length)));
  await deleteUser('user-0');
  const open = (await openErasures()).length;
  const steps = own.newSteps();
  expect(await steps.erase()).toBe(open - 1);
  expect(await isThere('user-0')).toBe(false);
  clock.move(3_600_000);
  expect(await own.newSteps().erase()).toBe(0);
  clock.move(31 * 86_400_000);
  expect(await own.newSteps().erase()).toBe(1);
  expect(await openErasures()).toEqual([]);
});
