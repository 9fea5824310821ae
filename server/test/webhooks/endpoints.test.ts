import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensurePartitions } from '../../src/db/partitions.ts';
import { enableEndpoint } from '../../src/webhooks/change-endpoint.ts';
import { forgetDeliveries, KEEP_MS } from '../../src/webhooks/forget.ts';
import { eventsOfLook } from '../../src/webhooks/start-sender.ts';
import { EVENTS_A_LOOK, SLOTS, Targets } from '../../src/webhooks/targets.ts';
import { closedPort } from '../channels/support.ts';
import { testSecrets } from '../support/secrets.ts';
import { waitFor } from '../support/wait.ts';
import {
  createWebhookWorld,
  ok,
  type Receiver,
  startReceiver,
  status,
  type WebhookWorld,
} from './support.ts';

const DELIVERED = ['message.delivered'];
const HOUR_MS = 3_600_000;

let webhooks: WebhookWorld;
let receiver: Receiver;
const cleanups: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  webhooks = await createWebhookWorld();
  receiver = await startReceiver();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
  await webhooks.close();
  await receiver.close();
});

const people = (count: number): string[] => Array.from({ length: count }, (_, i) => `user-${i}`);

async function statuses(id: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const entry of await webhooks.log(id)) {
    counts[entry.status] = (counts[entry.status] ?? 0) + 1;
  }
  return counts;
}

/** A server that says these bytes to whoever connects, and leaves the connection open. */
async function rawServer(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    socket.once('data', () => onConnection(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('an endpoint that answers nothing holds 16 requests, and another gets all of its events meanwhile', async () => {
  const held: (() => void)[] = [];
  const slow = await startReceiver();
  cleanups.push(slow.close);
  slow.answer = (response) => void held.push(() => response.end());
  const { id: slowId } = await webhooks.endpoint(slow.url, DELIVERED);
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify(...people(40));
  webhooks.sender.refresh();
  await waitFor('the other one', async () => {
    await webhooks.sender.look();
    return (await statuses(id)).delivered === 40 ? true : undefined;
  });
  expect(slow.received.length).toBeLessThanOrEqual(SLOTS);
  expect(await statuses(slowId)).toEqual({ waiting: 40 });
  slow.answer = ok;
  for (const release of held) release();
  await webhooks.sender.settled();
  webhooks.world.clock.move(60_000);
  await webhooks.sendAll();
  webhooks.world.clock.move(60_000);
  await webhooks.sendAll();
  expect(await statuses(slowId)).toEqual({ delivered: 40 });
});

test('an endpoint that is down is asked less and less, and gets every event when it is back', async () => {
  receiver.answer = status(503);
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify(...people(30));
  await webhooks.sendAll();
  // Five failures in a row stop it; those that were under way came to an end.
  expect(receiver.received.length).toBeLessThanOrEqual(SLOTS);
  const soFar = receiver.received.length;
  await webhooks.sendAll();
  expect(receiver.received.length).toBe(soFar);
  webhooks.world.clock.move(3_000);
  await webhooks.sendAll();
  expect(receiver.received.length).toBe(soFar + 1);
  expect(await webhooks.endpointNow(id)).toMatchObject({ status: 'enabled' });
  receiver.answer = ok;
  for (let i = 0; i < 5; i++) {
    webhooks.world.clock.move(60_000);
    await webhooks.sendAll();
  }
  expect(await statuses(id)).toEqual({ delivered: 30 });
  expect(await webhooks.endpointNow(id)).toMatchObject({ failures_in_a_row: 0 });
  const delivered = receiver.received.slice(soFar + 1).map((one) => one.id);
  expect(new Set(delivered).size).toBe(30);
});

test('an event is tried eight times under one id, and has failed then', async () => {
  receiver.answer = status(400);
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify('ada');
  const started = webhooks.world.clock.now();
  for (let i = 0; i < 400 && (await statuses(id)).waiting; i++) {
    webhooks.world.clock.move(5_000);
    await webhooks.sendAll();
  }
  expect(receiver.received).toHaveLength(8);
  expect(new Set(receiver.received.map((one) => one.id)).size).toBe(1);
  expect(webhooks.world.clock.now() - started).toBeLessThan(HOUR_MS / 2);
  const [entry] = await webhooks.log(id);
  expect(entry).toMatchObject({ status: 'failed', next_attempt_at: null });
  expect(entry?.attempts).toHaveLength(8);
  expect(entry?.attempts.at(-1)).toMatchObject({
    attempt: 8,
    status: 400,
    error: 'answered 400: no',
  });
});

test('an endpoint that asks for time gets it', async () => {
  receiver.answer = status(429, { 'retry-after': '600' });
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify('ada');
  await webhooks.sendAll();
  const [entry] = await webhooks.log(id);
  expect(Date.parse(entry?.next_attempt_at ?? '')).toBe(webhooks.world.clock.now() + 600_000);
});

test('what is no answer, or one without an end, is an attempt that failed or the status that was said', async () => {
  const impatient = await createWebhookWorld({ timeoutMs: 1_000 });
  cleanups.push(impatient.close);
  const urls = {
    nothing: `http://127.0.0.1:${await closedPort()}`,
    silent: await rawServer(() => undefined),
    garbage: await rawServer((socket) => void socket.write('SSH-2.0-OpenSSH_9.6\r\n')),
    headers: await rawServer(
      (socket) => void socket.write(`HTTP/1.1 200 OK\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`),
    ),
    cut: await rawServer((socket) => void socket.end('HTTP/1.1 200 OK\r\ncontent-le')),
    endless: await rawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      const timer = setInterval(() => socket.write('1\r\na\r\n'), 20);
      socket.on('close', () => clearInterval(timer));
    }),
    redirect: await rawServer(
      (socket) =>
        void socket.write(
          `HTTP/1.1 302 Found\r\nlocation: ${receiver.url}\r\ncontent-length: 0\r\n\r\n`,
        ),
    ),
  };
  const ids: Record<string, string> = {};
  for (const [name, url] of Object.entries(urls)) {
    ids[name] = (await impatient.endpoint(url, DELIVERED)).id;
  }
  await impatient.notify('ada');
  await impatient.sendAll();
  const found: Record<string, unknown> = {};
  for (const [name, id] of Object.entries(ids)) {
    const [entry] = await impatient.log(id);
    found[name] = [entry?.status, entry?.attempts[0]?.status];
  }
  expect(found).toEqual({
    nothing: ['waiting', null],
    silent: ['waiting', null],
    garbage: ['waiting', null],
    headers: ['waiting', null],
    cut: ['waiting', null],
    endless: ['delivered', 200],
    redirect: ['waiting', 302],
  });
  expect(receiver.received).toEqual([]);
});

test('an endpoint that failed for a day is suspended with the reason; its events wait until it is enabled', async () => {
  receiver.answer = status(500);
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify(...people(30));
  for (let hour = 0; hour < 30; hour++) {
    await webhooks.sendAll();
    webhooks.world.clock.move(HOUR_MS);
  }
  const suspended = await webhooks.endpointNow(id);
  expect(suspended.status).toBe('suspended');
  expect(suspended.reason).toMatch(
    /^no attempt succeeded since \d{4}-\d\d-\d\d \d\d:\d\d UTC: \d+ in a row failed, the last: answered 500: no$/,
  );
  const asked = receiver.received.length;
  await webhooks.notify('late');
  await webhooks.sendAll();
  expect(receiver.received).toHaveLength(asked);
  receiver.answer = ok;
  await enableEndpoint(webhooks.world.ctx, { id });
  webhooks.world.clock.move(HOUR_MS);
  await webhooks.sendAll();
  expect(await statuses(id)).toEqual({ delivered: 31 });
});

test('an endpoint that says 410 Gone is suspended at once', async () => {
  receiver.answer = status(410);
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify('ada');
  await webhooks.sendAll();
  expect(await webhooks.endpointNow(id)).toMatchObject({
    status: 'suspended',
    reason: 'it answered 410 Gone; enable it when it is back',
  });
});

test('for an endpoint that is suspended for a week nothing is recorded any more', async () => {
  receiver.answer = status(410);
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify('ada');
  await webhooks.sendAll();
  webhooks.world.clock.move(8 * 24 * HOUR_MS);
  await ensurePartitions(webhooks.world.test.db, webhooks.world.clock.now());
  await webhooks.sendAll();
  expect(await webhooks.endpointNow(id)).toMatchObject({ status: 'disabled' });
  expect((await webhooks.endpointNow(id)).reason).toContain('nothing was recorded for it since');
  await webhooks.notify('bob');
  expect(await webhooks.log(id)).toHaveLength(1);
});

test('a private address is refused, and so is a name of one', async () => {
  const strict = await createWebhookWorld({ allowPrivate: false });
  cleanups.push(strict.close);
  const { port } = new URL(receiver.url);
  const ids = [
    (await strict.endpoint(`https://127.0.0.1:${port}`, DELIVERED)).id,
    (await strict.endpoint(`https://localhost:${port}`, DELIVERED)).id,
    (await strict.endpoint(receiver.url, DELIVERED)).id,
  ];
  await strict.notify('ada');
  await strict.sendAll();
  const errors = [];
  for (const id of ids) errors.push((await strict.log(id))[0]?.attempts[0]?.error);
  expect(errors).toEqual([
    expect.stringContaining('127.0.0.1 is not a public address'),
    expect.stringContaining('localhost is 127.0.0.1, which is not a public address'),
    'the url is not https',
  ]);
});

test('two servers that send the same event at once record it once', async () => {
  receiver.answer = status(500);
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify('ada');
  const other = webhooks.anotherSender();
  await Promise.all([webhooks.sendAll(), webhooks.sendAll(other)]);
  const [entry] = await webhooks.log(id);
  expect(entry).toMatchObject({ status: 'waiting' });
  expect(entry?.attempts).toHaveLength(1);
});

test('a look takes at most 64 events, as many of each endpoint that has some', async () => {
  const urls = ['/a', '/b', '/c', '/d', '/e', '/f', '/g', '/h'];
  for (const path of urls) await webhooks.endpoint(`${receiver.url}${path}`, DELIVERED);
  const held: ServerResponse[] = [];
  receiver.answer = (response) => void held.push(response);
  await webhooks.notify(...people(50));
  webhooks.sender.refresh();
  await webhooks.sender.look();
  expect(webhooks.sender.stats().underWay).toBe(EVENTS_A_LOOK);
  await waitFor('the requests', () => (held.length === EVENTS_A_LOOK ? true : undefined));
  for (const response of held) response.end();
  await webhooks.sender.settled();
  const [counts] = await webhooks.world.test.db.query<{ least: number; most: number }>(
    `select min(n)::int as least, max(n)::int as most
     from (select count(*) as n from webhook_delivery where attempts > 0 group by endpoint_id) as each`,
  );
  expect(counts).toEqual({ least: 8, most: 8 });
});

test('an account with many endpoints gets no more of a look than one with a single one', () => {
  const targets = new Targets();
  const row = (id: number, accountId: number) => ({
    id,
    public_id: '',
    url: '',
    secret: '',
    previous_secret: null,
    previous_until: null,
    environment_id: accountId,
    environment_public_id: '',
    account_id: accountId,
    slug: 'development',
  });
  const many = Array.from({ length: 19 }, (_, i) => row(i + 1, 1));
  targets.update([...many, row(20, 2)], testSecrets, 0);
  const events = [...many, row(20, 2)].flatMap(({ id }) =>
    Array.from({ length: 16 }, () => ({ endpoint_id: id })),
  );
  const taken = targets.take(events, 24);
  expect(taken).toHaveLength(24);
  expect(taken.filter((event) => event.endpoint_id === 20)).toHaveLength(12);
  expect(new Set(taken.map((event) => event.endpoint_id)).size).toBe(13);
});

test('the busier the server is, the fewer events a look takes, and never none', () => {
  expect([0, 0.39, 0.5, 0.9, 1].map(eventsOfLook)).toEqual([64, 64, 24, 8, 8]);
});

test('what was recorded a month ago is forgotten', async () => {
  const { id } = await webhooks.endpoint(receiver.url, DELIVERED);
  await webhooks.notify('ada');
  webhooks.world.clock.move(KEEP_MS);
  await ensurePartitions(webhooks.world.test.db, webhooks.world.clock.now());
  await webhooks.notify('bob');
  expect(await forgetDeliveries(webhooks.world.test.db, webhooks.world.clock.now() + 1)).toBe(1);
  expect(await webhooks.log(id)).toHaveLength(1);
});
