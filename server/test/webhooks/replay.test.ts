import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { DUE } from '../../src/webhooks/delivery.ts';
import { DELETE } from '../../src/webhooks/forget.ts';
import { MOVE, REPLAY_PAGE, replayRange } from '../../src/webhooks/replay.ts';
import { createWebhookWorld, type Receiver, startReceiver, type WebhookWorld } from './support.ts';

const DELIVERED = ['message.delivered'];
const ROWS = 30_000;

let webhooks: WebhookWorld;
let receiver: Receiver;

beforeAll(async () => {
  webhooks = await createWebhookWorld();
});
afterAll(() => webhooks.close());
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(async () => {
  await webhooks.world.test.db.query('delete from webhook_endpoint');
  await receiver.close();
});

const people = (count: number): string[] => Array.from({ length: count }, (_, i) => `user-${i}`);

async function setStates(number: number, state: number, where: string): Promise<void> {
  await webhooks.world.test.db.query(
    `update webhook_delivery set state = $2 where endpoint_id = $1 and ${where}`,
    [number, state],
  );
}

test('a replay of a time sends what failed in it again, once, under the ids that it had', async () => {
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify(...people(3));
  webhooks.world.clock.move(60_000);
  const from = new Date(webhooks.world.clock.now());
  await webhooks.notify(...people(7));
  webhooks.world.clock.move(60_000);
  const until = new Date(webhooks.world.clock.now());
  await webhooks.notify(...people(2));
  await webhooks.sendAll();
  const ids = receiver.received.map((one) => one.id);
  expect(ids).toHaveLength(12);
  const { number } = await webhooks.endpointNow(id);
  await setStates(number, 2, 'id % 2 = 0');
  const failed = (await webhooks.log(id)).filter(
    (entry) =>
      entry.status === 'failed' &&
      entry.created_at >= from.toISOString() &&
      entry.created_at < until.toISOString(),
  );
  await replayRange(webhooks.world.ctx, { id, from, until, onlyFailed: true });
  await webhooks.sendAll();
  const again = receiver.received.slice(12).map((one) => one.id);
  expect(again.sort()).toEqual(failed.map((entry) => entry.event_id).sort());
  expect(ids).toEqual(expect.arrayContaining(again));
});

test('a replay of everything goes on page by page, and ends', async () => {
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  const from = new Date(webhooks.world.clock.now());
  const count = REPLAY_PAGE + 20;
  await webhooks.notify(...people(count));
  await webhooks.sendAll();
  webhooks.world.clock.move(1_000);
  await replayRange(webhooks.world.ctx, { id, from, onlyFailed: false });
  await webhooks.sendAll();
  const times = Map.groupBy(receiver.received, (one) => one.id);
  expect(times.size).toBe(count);
  expect([...times.values()].every((requests) => requests.length === 2)).toBe(true);
  const [row] = await webhooks.world.test.db.query(
    'select replayed, ended_at is not null as ended from webhook_replay order by id desc limit 1',
  );
  expect(row).toEqual({ replayed: count, ended: true });
});

test('what is sent, replayed and forgotten is found by an index, however much there is', async () => {
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  const { number } = await webhooks.endpointNow(id);
  const { db } = webhooks.world.test;
  await db.query(
    `insert into webhook_delivery (endpoint_id, type, state, event_id, subject, created_at, due_at)
     select $1 + n % 10, 5, case when n % 50 = 0 then 0 else 1 end, gen_random_uuid(), gen_random_uuid(),
            now() - n * interval '1 second', now()
     from generate_series(1, $2::int) as n`,
    [number, ROWS],
  );
  await db.query(
    `insert into webhook_replay (endpoint_id, only_failed, until, at, created_at)
     values ($1, true, now(), now() - interval '1 hour', now())`,
    [number],
  );
  await db.query('analyze webhook_delivery');
  const [replay] = await db.query<{ id: number }>('select max(id) as id from webhook_replay');
  const plans: [string, unknown[]][] = [
    [DUE, [[number], [16], [], new Date()]],
    [MOVE, [replay?.id, new Date()]],
    [DELETE, [new Date(0)]],
    [
      `select id from webhook_delivery where endpoint_id = $1 and (created_at, id) < ($2, 1)
       order by created_at desc, id desc limit 51`,
      [number, new Date()],
    ],
  ];
  for (const [text, values] of plans) {
    const rows = await db.query<{ 'QUERY PLAN': string }>(`explain ${text}`, values);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).not.toContain('Seq Scan on webhook_delivery');
    expect(plan).toContain('webhook_delivery_');
  }
});
