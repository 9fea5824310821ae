import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Broadcast, getBroadcast } from '../../src/broadcasts/broadcast.ts';
import { createBroadcast, type NewBroadcast } from '../../src/broadcasts/create-broadcast.ts';
import { type Feeder, startFeeder } from '../../src/broadcasts/feeder.ts';
import { broadcastProgress } from '../../src/broadcasts/progress.ts';
import { openBulkStream } from '../../src/engine/bulk-stream.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { createLogFollower, type LogFollower } from '../../src/engine/log-follower.ts';
import type { Logger } from '../../src/lib/log.ts';
import { createEngineWorld, type EngineWorld, feedStep } from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

let world: EngineWorld;
let feeders: Feeder[];
let follower: LogFollower;
/** Chunks that the follower took in and nobody executed. */
let queue: ChunkRef[];
let errors: string[];

beforeEach(async () => {
  world = await createEngineWorld();
  feeders = [];
  queue = [];
  follower = createLogFollower({ take: (refs) => queue.push(...refs), onGap: () => undefined });
  errors = [];
});
afterEach(async () => {
  await Promise.all(feeders.map((feeder) => feeder.close()));
  await world.close();
});

function feed(isOwner: () => boolean = () => true): Feeder {
  const log = {
    ...silentLog,
    error: (_about: unknown, text: string) => errors.push(text),
  } as unknown as Logger;
  const feeder = startFeeder({
    db: world.test.db,
    clock: world.clock,
    log,
    isOwner,
    openStream: () =>
      openBulkStream({
        url: world.test.url,
        clock: world.clock,
        log: silentLog,
        isCrowded: () => false,
        onAppended: (refs) => follower.report(refs),
      }),
  });
  feeders.push(feeder);
  return feeder;
}

async function users(count: number): Promise<void> {
  await world.test.db.query(
    `insert into recipient (environment_id, collection, id, properties)
     select $1, '$users', 'user-' || n, '{}'
     from generate_series(1, $2::int) as n`,
    [world.ctx.environment.id, count],
  );
}

async function create(input: Partial<NewBroadcast> = {}): Promise<Broadcast> {
  const { workflowKey, versionId } = await world.workflow({ steps: [feedStep('News')] });
  return await createBroadcast(world.ctx, {
    workflowKey,
    versionId,
    actor: null,
    tenant: null,
    data: {},
    settings: {},
    starts: true,
    ...input,
  });
}

const stateOf = async ({ public_id }: Broadcast): Promise<string> =>
  (await getBroadcast(world.ctx, { id: public_id })).state;

/** Executes what is in the log until the broadcast is in this state. */
async function executeUntil(broadcast: Broadcast, state: string, also?: () => Promise<void>) {
  await waitFor(
    `the broadcast to be ${state}`,
    async () => {
      await also?.();
      // What was committed and never reported is found, as in a server.
      await follower.catchUp(world.test.db);
      await world.execute(queue.splice(0));
      return (await stateOf(broadcast)) === state ? true : undefined;
    },
    25_000,
  );
}

/** How many messages there are, and of how many people. */
async function counted(): Promise<{ messages: number; people: number }> {
  const [row] = await world.test.db.query<{ messages: number; people: number }>(
    'select count(*)::int as messages, count(distinct recipient_id)::int as people from message',
  );
  return row ?? { messages: 0, people: 0 };
}

test('two feeders that both believe to be the owner send everybody one message', async () => {
  await users(5_200);
  const broadcast = await create();
  feed();
  feed();
  await executeUntil(broadcast, 'finished');
  expect(await counted()).toEqual({ messages: 5_200, people: 5_200 });
});

test('sessions that are ended again and again cost nobody a message and send none twice', async () => {
  await users(6_000);
  const broadcast = await create();
  feed();
  let kills = 0;
  await executeUntil(broadcast, 'finished', async () => {
    if (kills >= 15) return;
    const ended = await world.test.db.query(
      `select pg_terminate_backend(pid)
       from pg_stat_activity
       where application_name = 'belfry bulk'
         and datname = current_database()`,
    );
    kills += ended.length;
  });
  expect(kills).toBeGreaterThan(2);
  expect(await counted()).toEqual({ messages: 6_000, people: 6_000 });
});

test('a new owner goes on in the middle of freezing and of sending', async () => {
  await users(12_000);
  const broadcast = await create({ canarySize: 0 });
  let owner = 0;
  const takeOver = (): void => {
    owner += 1;
    const number = owner;
    feed(() => owner === number);
  };
  takeOver();
  await waitFor('a page', async () => {
    const [row] = await world.test.db.query('select 1 from broadcast_page limit 1');
    return row;
  });
  takeOver();
  await waitFor('a part', async () => {
    const [row] = await world.test.db.query('select 1 from broadcast_part limit 1');
    return row;
  });
  takeOver();
  await executeUntil(broadcast, 'finished');
  expect(await counted()).toEqual({ messages: 12_000, people: 12_000 });
});

test('no more than 20,000 recipients of a broadcast wait in the log', async () => {
  await users(25_000);
  const broadcast = await create({ canarySize: 0 });
  feed();
  const sent = async () => (await broadcastProgress(world.ctx, broadcast)).sent;
  await waitFor('20,000 to be sent', async () => ((await sent()) === 20_000 ? true : undefined));
  // Something else that the feeder does in a later round shows that it had its chance.
  const other = await create({ canarySize: 0 });
  await waitFor('the other broadcast to be sent', async () =>
    (await broadcastProgress(world.ctx, other)).sent > 0 ? true : undefined,
  );
  expect(await sent()).toBe(20_000);
});

test('a broadcast that does nothing for a minute raises the alarm until it goes on', async () => {
  await users(700);
  const broadcast = await create({ canarySize: 0 });
  const feeder = feed();
  const progress = async () =>
    broadcastProgress(world.ctx, await getBroadcast(world.ctx, { id: broadcast.public_id }));
  await waitFor('all to be sent', async () => ((await progress()).sent === 700 ? true : undefined));
  expect(await progress()).toMatchObject({ stuck: false, done: 0 });
  expect(feeder.stats()).toEqual({ unfinished: 1, stuck: 0 });
  world.clock.move(61_000);
  expect(await progress()).toMatchObject({ stuck: true });
  await waitFor('the alarm', () => (errors.length > 0 ? true : undefined));
  expect(feeder.stats()).toEqual({ unfinished: 1, stuck: 1 });
  expect(errors).toEqual(['a broadcast is stuck: nothing was done for a minute']);
  await executeUntil(broadcast, 'finished');
  expect(await progress()).toMatchObject({ stuck: false, done: 700 });
  await waitFor('the end of the alarm', () => (feeder.stats().stuck === 0 ? true : undefined));
});

test('conditions that fail pause their own broadcast with the reason, and the others are sent', async () => {
  await users(600);
  const endless = '{% for i in (1..90000) %}{{ recipient.id }} and so on{% endfor %}';
  await world.test.db.query(
    `insert into audience (environment_id, key, kind, conditions)
     values ($1, 'endless', 'condition', $2)`,
    [
      world.ctx.environment.id,
      { all: [{ variable: endless, operator: 'equal_to', argument: '1' }] },
    ],
  );
  const failing = await create({ audience: 'endless' });
  const other = await create({ workflowKey: failing.workflow_key, canarySize: 0 });
  feed();
  await executeUntil(other, 'finished');
  expect(await broadcastProgress(world.ctx, other)).toMatchObject({ done: 600 });
  expect(await getBroadcast(world.ctx, { id: failing.public_id })).toMatchObject({
    state: 'paused',
    reason: expect.stringContaining('conditions of the audience fail for the user user-1'),
  });
});

test('large data for members of many tenants is in each chunk once, and everybody gets it', async () => {
  await world.test.db.query(
    `with audience as (
       insert into audience (environment_id, key, kind)
       values ($1, 'tenants', 'static')
       returning id
     )
     insert into audience_member (audience_id, user_id, tenant)
     select id, 'user-' || n, 'tenant-' || n
     from audience, generate_series(1, 60) as n`,
    [world.ctx.environment.id],
  );
  const data = { text: 'x'.repeat(200_000) };
  const broadcast = await create({ audience: 'tenants', data, canarySize: 0 });
  feed();
  await executeUntil(broadcast, 'finished');
  const chunks = await world.test.db.query<{ bytes: number; runs: number }>(
    'select octet_length(body) as bytes, run_count as runs from chunk where kind = 0',
  );
  for (const { bytes, runs } of chunks) {
    expect(bytes).toBeGreaterThan(200_000);
    expect(bytes).toBeLessThan(220_000);
    // What executors store for each tenant has a bound.
    expect(runs * 200_000).toBeLessThanOrEqual(4 * 1024 * 1024);
  }
  expect(await broadcastProgress(world.ctx, broadcast)).toMatchObject({ done: 60, failed: 0 });
  const whole = await world.test.db.query<{ tenants: number }>(
    `select count(distinct tenant)::int as tenants
     from workflow_run
     where data = $1`,
    [JSON.stringify(data)],
  );
  expect(whole).toEqual([{ tenants: 60 }]);
});

test('what the log has forgotten is done', async () => {
  await users(600);
  const broadcast = await create({ canarySize: 0 });
  let isOwner = true;
  feed(() => isOwner);
  await waitFor('all to be sent', async () =>
    (await broadcastProgress(world.ctx, broadcast)).sent === 600 ? true : undefined,
  );
  isOwner = false;
  await world.execute(queue.splice(0));
  await world.test.db.query('truncate chunk, receipt');
  isOwner = true;
  await executeUntil(broadcast, 'finished');
  expect(await broadcastProgress(world.ctx, broadcast)).toMatchObject({ done: 600, failed: 0 });
});

test('an environment has at most 50 unfinished broadcasts', async () => {
  const first = await create({ key: 'first' });
  for (let i = 1; i < 50; i++) await create({ workflowKey: first.workflow_key });
  await expect(create()).rejects.toMatchObject({ code: 'conflict' });
  await expect(create({ key: 'first' })).rejects.toMatchObject({ code: 'conflict' });
});
