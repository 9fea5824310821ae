import { afterAll, beforeAll, expect, test } from 'vitest';
import { createOrdersWorld, type OrdersWorld, type Place } from '../support/orders-world.ts';
import { waitFor } from '../support/wait.ts';

// With the engine and its executor processes: orders meet fan-outs that are under way.
let world: OrdersWorld;
let place: Place;
beforeAll(async () => {
  world = await createOrdersWorld();
  const [first] = world.places;
  if (!first) throw new Error('no place');
  place = first;
}, 60_000);
afterAll(() => world.close());

/** Triggers the workflow for an object with so many subscribers. */
async function triggerFor(id: string, workflow: string, subscribers: number): Promise<string> {
  await world.test.db.query(
    `insert into subscription (environment_id, object_collection, object_id, recipient_collection, recipient_id)
     select $1, 'projects', $2, '$users', 'user-' || n
     from generate_series(1, $3::int) as n`,
    [place.environmentId, id, subscribers],
  );
  const recipients = [{ recipient: { collection: 'projects', id } }];
  return world.trigger(place, workflow, 1, { recipients });
}

async function reached(runId: string): Promise<number> {
  const [row] = await world.test.db.query<{ recipients: number }>(
    'select recipients::int as recipients from fan_out where workflow_run_id = $1',
    [runId],
  );
  return row?.recipients ?? 0;
}

/** Resolves when nothing that was accepted waits: it is done, or set aside. */
const settled = () =>
  waitFor(
    'an empty queue',
    async () => {
      const { pending } = await world.ledger();
      return pending === 0 ? true : undefined;
    },
    30_000,
  );

async function recipientsOf(runId: string): Promise<{ items: number; recipients: number }> {
  const [row] = await world.test.db.query<{ items: number; recipients: number }>(
    `select count(*)::int as items, count(distinct recipient_id)::int as recipients
     from message
     where workflow_run_id = $1`,
    [runId],
  );
  return row ?? { items: 0, recipients: 0 };
}

const SUBSCRIBERS = 10_000;
const ALL = SUBSCRIBERS + 1;

/** So slow that a fan-out has a page every 40 seconds: it is under way for as long as a test needs it. */
const slow = (workflow: string) =>
  world.give({
    verb: 'slow',
    runsPerSecond: 50,
    scope: { environmentId: place.environmentId, workflow },
  });

const firstPage = (runId: string) =>
  waitFor('a page', async () => ((await reached(runId)) > 0 ? true : undefined));

test('a hold stops a fan-out that is under way; released, it reaches everybody else once', async () => {
  const slowed = await slow('note');
  const runId = await triggerFor('held', 'note', SUBSCRIBERS);
  await firstPage(runId);
  const order = await world.give({
    scope: { environmentId: place.environmentId, workflow: 'note' },
  });
  const atHold = await reached(runId);
  await world.end(slowed);
  await settled();
  expect(await reached(runId)).toBe(atHold);
  expect(atHold).toBeLessThan(SUBSCRIBERS);
  await world.end(order);
  await world.done(runId, ALL);
  await settled();
  expect(await recipientsOf(runId)).toEqual({ items: ALL, recipients: ALL });
}, 90_000);

test('a discard ends it; replayed, it reaches everybody else once', async () => {
  const slowed = await slow('news');
  const runId = await triggerFor('discarded', 'news', SUBSCRIBERS);
  await firstPage(runId);
  const order = await world.give({
    verb: 'discard',
    scope: { environmentId: place.environmentId, workflow: 'news' },
  });
  await world.end(slowed);
  await settled();
  expect(await reached(runId)).toBeLessThan(SUBSCRIBERS);
  await world.end(order);
  await world.done(runId, ALL);
  await settled();
  expect(await recipientsOf(runId)).toEqual({ items: ALL, recipients: ALL });
}, 90_000);

test('a slow lets it go on at its rate: it is never far ahead of what is done', async () => {
  const order = await slow('note');
  const runId = await triggerFor('slowed', 'note', SUBSCRIBERS);
  await waitFor('items', async () => ((await world.messages(runId)) >= 50 ? true : undefined));
  expect(await reached(runId)).toBeLessThanOrEqual(6_000);
  await world.end(order);
  await world.done(runId, ALL);
  expect(await recipientsOf(runId)).toEqual({ items: ALL, recipients: ALL });
}, 90_000);
