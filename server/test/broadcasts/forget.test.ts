import { afterEach, beforeEach, expect, test } from 'vitest';
import { deleteAudience, getAudience, putAudience } from '../../src/broadcasts/audience.ts';
import { addMembers, listMembers } from '../../src/broadcasts/audience-members.ts';
import { type Broadcast, getBroadcast } from '../../src/broadcasts/broadcast.ts';
import { broadcastRecipients } from '../../src/broadcasts/broadcast-recipients.ts';
import {
  createBroadcast,
  type NewBroadcast,
  retryFailed,
} from '../../src/broadcasts/create-broadcast.ts';
import { forgetBroadcasts } from '../../src/broadcasts/forget.ts';
import { startHousekeeping } from '../../src/broadcasts/housekeeping.ts';
import { clearLeftovers } from '../../src/broadcasts/leftovers.ts';
import type { EnvironmentContext } from '../../src/context.ts';
import type { Queryable } from '../../src/db/database.ts';
import { createEngineWorld, type EngineWorld, feedStep } from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

const DAY_MS = 86_400_000;

let world: EngineWorld;
let workflow: { readonly workflowKey: string; readonly versionId: number };

beforeEach(async () => {
  world = await createEngineWorld();
  workflow = await world.workflow({ steps: [feedStep('News')] });
});
afterEach(() => world.close());

const create = (input: Partial<NewBroadcast> = {}, ctx: EnvironmentContext = world.ctx) =>
  createBroadcast(ctx, {
    ...workflow,
    actor: null,
    tenant: null,
    data: {},
    settings: {},
    starts: true,
    ...input,
  });

/** A broadcast in this state, with pages of two recipients, each in a part of its own that is done. */
async function sent(state: string, pages: number, key?: string): Promise<Broadcast> {
  const broadcast = await create({ key });
  await world.test.db.query(
    `with pages as (
       insert into broadcast_page (broadcast_id, page, size, recipients, position)
       select $1, page, 2, array['a' || page, 'b' || page], ''
       from generate_series(0, $2::int - 1) as page
     ), parts as (
       insert into broadcast_part (broadcast_id, page, first, size, slot, stream, sequence, accepted_at)
       select $1, page, first, 1, 0, 1, page * 2 + first, $4
       from generate_series(0, $2::int - 1) as page, generate_series(0, 1) as first
       returning broadcast_id, page, first
     ), done as (
       insert into broadcast_part_done (broadcast_id, page, first, done, failed, done_at)
       select broadcast_id, page, first, 1, 0, $4
       from parts
     )
     update broadcast
     set state = $3, total = $2 * 2, canary_size = 0
     where id = $1`,
    [broadcast.id, pages, state, new Date(world.clock.now())],
  );
  return broadcast;
}

async function listOf(broadcast: Broadcast): Promise<string[]> {
  const names: string[] = [];
  for await (const some of broadcastRecipients(world.ctx, broadcast)) {
    names.push(...some.map(({ recipient }) => recipient));
  }
  return names;
}

const stateOf = async (broadcast: Broadcast): Promise<string> =>
  (await getBroadcast(world.ctx, { id: broadcast.public_id })).state;

async function rows(): Promise<number> {
  const [row] = await world.test.db.query<{ n: number }>(
    `select (select count(*) from broadcast_page) + (select count(*) from broadcast_part)
       + (select count(*) from broadcast_part_done) + (select count(*) from audience_member)
       + (select count(*) from leftover) as n`,
  );
  return row?.n ?? 0;
}

/** Clears leftovers; returns how many rows went before each rest. Cut off after `rests` of them. */
async function clear(rests = Number.POSITIVE_INFINITY): Promise<number[]> {
  const batches: number[] = [];
  let before = await rows();
  const cutOff = new Error('cut off');
  const rest = async (): Promise<void> => {
    const now = await rows();
    batches.push(before - now);
    before = now;
    if (batches.length >= rests) throw cutOff;
  };
  await clearLeftovers(world.test.db, rest).catch((error: unknown) => {
    if (error !== cutOff) throw error;
  });
  return batches;
}

/** Does `task` in a transaction that is committed when somebody waits for it. */
async function whileWaitedFor(
  task: (ctx: EnvironmentContext) => Promise<unknown>,
  other: () => Promise<void>,
): Promise<{ readonly error: unknown }> {
  let ended: Promise<{ readonly error: unknown }> | undefined;
  await world.test.db.transaction(async (tx: Queryable) => {
    const db = { ...tx, transaction: () => Promise.reject(), close: async () => undefined };
    await task({ ...world.ctx, db });
    ended = other().then(
      () => ({ error: undefined }),
      (error: unknown) => ({ error }),
    );
    await waitFor('somebody to wait', async () => {
      const waiting = await world.test.db.query(
        `select
         from pg_stat_activity
         where datname = current_database()
           and wait_event_type = 'Lock'`,
      );
      return waiting.length > 0 ? true : undefined;
    });
  });
  return (await ended) ?? { error: undefined };
}

test('the exact list of who got it is there until 30 days after the end, then nothing of the broadcast is', async () => {
  const broadcast = await sent('finished', 3, 'launch');
  world.clock.move(29 * DAY_MS);
  expect(await forgetBroadcasts(world.test.db, world.clock.now())).toBe(0);
  expect(await listOf(broadcast)).toEqual(['a0', 'b0', 'a1', 'b1', 'a2', 'b2']);
  world.clock.move(2 * DAY_MS);
  expect(await forgetBroadcasts(world.test.db, world.clock.now())).toBe(1);
  await expect(stateOf(broadcast)).rejects.toMatchObject({ code: 'resource_missing' });
  await clear();
  expect(await rows()).toBe(0);
  expect((await create({ key: 'launch' })).id).not.toBe(broadcast.id);
});

test('a broadcast that has not ended is never touched, however old it is', async () => {
  const going = [];
  for (const state of ['freezing', 'canary', 'running', 'paused', 'cancelling']) {
    going.push({ state, broadcast: await sent(state, 2) });
  }
  const ended = [await sent('finished', 2), await sent('cancelled', 2)];
  world.clock.move(400 * DAY_MS);
  expect(await forgetBroadcasts(world.test.db, world.clock.now())).toBe(2);
  await clear();
  for (const broadcast of ended) {
    await expect(stateOf(broadcast)).rejects.toMatchObject({ code: 'resource_missing' });
  }
  for (const { state, broadcast } of going) {
    expect(await stateOf(broadcast)).toBe(state);
    expect(await listOf(broadcast)).toHaveLength(4);
  }
});

test('pages go ten at a time with their parts, and what was cut off is gone on with', async () => {
  await sent('finished', 25);
  await sent('cancelled', 4);
  const kept = await sent('running', 12);
  world.clock.move(31 * DAY_MS);
  expect(await forgetBroadcasts(world.test.db, world.clock.now())).toBe(2);
  const perPage = 1 + 2 + 2;
  expect(await clear(1)).toEqual([10 * perPage]);
  expect(await clear()).toEqual([10 * perPage, 5 * perPage, 1 + 4 * perPage]);
  expect(await rows()).toBe(12 * perPage);
  expect(await listOf(kept)).toHaveLength(24);
});

test('a broadcast stays while those who failed are read from it, and can be retried until it is forgotten', async () => {
  const broadcast = await sent('finished', 2);
  world.clock.move(31 * DAY_MS);
  const retry = await retryFailed(world.ctx, { id: broadcast.public_id });
  expect(await forgetBroadcasts(world.test.db, world.clock.now())).toBe(0);
  await world.test.db.query('update broadcast set total = 0 where id = $1', [retry.id]);
  expect(await forgetBroadcasts(world.test.db, world.clock.now())).toBe(1);
  await expect(retryFailed(world.ctx, { id: broadcast.public_id })).rejects.toMatchObject({
    code: 'resource_missing',
  });
});

test('a list that is read while its broadcast is forgotten fails, it does not end early', async () => {
  const broadcast = await sent('finished', 30);
  world.clock.move(31 * DAY_MS);
  const reading = broadcastRecipients(world.ctx, broadcast);
  await reading.next();
  await forgetBroadcasts(world.test.db, world.clock.now());
  await clear();
  await expect(reading.next()).rejects.toMatchObject({ code: 'resource_missing' });
});

test('an audience is gone at once, its members follow in batches, and a new one of its key is empty', async () => {
  const audience = await putAudience(world.ctx, { key: 'dinos', kind: 'static' });
  await world.test.db.query(
    `insert into audience_member (audience_id, user_id)
     select $1, 'user-' || n
     from generate_series(1, 4500) as n`,
    [audience.id],
  );
  await deleteAudience(world.ctx, 'dinos');
  expect(await rows()).toBe(4_501);
  await expect(getAudience(world.ctx, 'dinos')).rejects.toMatchObject({ code: 'resource_missing' });
  const page = { size: 50 };
  await addMembers(world.ctx, { key: 'dinos', create: true, members: [{ user: { id: 'rex' } }] });
  const members = async () => (await listMembers(world.ctx, { key: 'dinos', page })).entries;
  expect(await members()).toMatchObject([{ userId: 'rex' }]);
  const batches = [...(await clear(1)), ...(await clear())];
  expect(Math.max(...batches)).toBeLessThanOrEqual(2_001);
  expect(batches.length).toBeGreaterThanOrEqual(3);
  expect(await rows()).toBe(1);
  expect(await members()).toMatchObject([{ userId: 'rex' }]);
  await deleteAudience(world.ctx, 'dinos');
  await deleteAudience(world.ctx, 'dinos');
});

test('members that are added while their audience is deleted leave nothing behind', async () => {
  await putAudience(world.ctx, { key: 'dinos', kind: 'static' });
  const members = [{ user: { id: 'rex' } }];
  const { error } = await whileWaitedFor(
    (ctx) => addMembers(ctx, { key: 'dinos', create: false, members }),
    () => deleteAudience(world.ctx, 'dinos'),
  );
  expect(error).toBeUndefined();
  expect(await rows()).toBe(2);
  await clear();
  expect(await rows()).toBe(0);
});

test('an audience is not deleted under a broadcast that begins at that moment', async () => {
  await putAudience(world.ctx, { key: 'dinos', kind: 'static' });
  const { error } = await whileWaitedFor(
    (ctx) => create({ audience: 'dinos' }, ctx),
    () => deleteAudience(world.ctx, 'dinos'),
  );
  expect(error).toMatchObject({ code: 'conflict' });
  expect((await getAudience(world.ctx, 'dinos')).key).toBe('dinos');
});

test('the owner of a database forgets and clears by itself, nobody else does', async () => {
  await sent('finished', 12);
  world.clock.move(31 * DAY_MS);
  const options = { db: world.test.db, clock: world.clock, log: silentLog };
  let asked = 0;
  const standBy = startHousekeeping({ ...options, isOwner: () => ++asked < 0 });
  await waitFor('the stand-by to look', async () => (asked > 0 ? true : undefined));
  await standBy.close();
  expect(await rows()).toBe(60);
  const owner = startHousekeeping({ ...options, isOwner: () => true });
  await waitFor('nothing to be left', async () => ((await rows()) === 0 ? true : undefined));
  await owner.close();
});
