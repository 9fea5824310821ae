import { createPrivateKey } from 'node:crypto';
import { get } from 'node:http';
import { connect } from 'node:net';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EnvironmentCredentials } from '../../src/accounts/create-account.ts';
import { updateEnvironment } from '../../src/accounts/environments.ts';
import { createKey, revokeKey } from '../../src/accounts/keys.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type FeedServer, startFeedServer } from '../support/feed-server.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';
import { openSocket, type TestSocket } from '../support/phoenix-socket.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let world: MessageWorld;
let server: FeedServer;
let credentials: EnvironmentCredentials;
let users = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
  server = await startFeedServer(world.ctx);
  const found = world.credentials.environments.development;
  if (!found) throw new Error('no development environment');
  credentials = found;
});
afterAll(async () => {
  await server.close();
  await database.drop();
});

const newUser = (): string => {
  users += 1;
  return `user-${users}:with:colons`;
};
const open = (parameters: Record<string, string> = {}, at = server) =>
  openSocket(at.socketUrl, { api_key: credentials.public_key, user_token: '', ...parameters });
const topicOf = (userId: string): string => `feeds:${world.channels['in-app'] ?? ''}:${userId}`;
const arrive = async (userId: string, fixture = {}): Promise<void> => {
  await world.insert([{ userId, ...fixture }]);
  server.hub.notify([
    {
      environmentId: world.development.environment.id,
      channelId: world.channels['in-app'] ?? '',
      userId,
    },
  ]);
};
const join = async (
  socket: TestSocket,
  ref: string,
  userId: string,
  payload: Record<string, unknown> = { client_1: { archived: 'exclude' } },
) => {
  socket.send(ref, ref, topicOf(userId), 'phx_join', payload);
  return socket.reply(ref);
};
const ok = { status: 'ok', response: {} };
const stillServes = async (): Promise<void> => {
  const socket = await open();
  socket.send(null, '1', 'phoenix', 'heartbeat', {});
  expect((await socket.reply('1'))[4]).toEqual(ok);
  socket.socket.close();
};
const tokenFor = (userId: string, lifetime: string) =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'RS256' })
    .setSubject(userId)
    .setIssuedAt()
    .setExpirationTime(lifetime)
    .sign(createPrivateKey(credentials.signing_key_pem));

test('a heartbeat, a join and a leave are answered', async () => {
  const socket = await open();
  socket.send(null, '1', 'phoenix', 'heartbeat', {});
  expect(await socket.reply('1')).toEqual([null, '1', 'phoenix', 'phx_reply', ok]);
  const userId = newUser();
  expect(await join(socket, '2', userId)).toEqual(['2', '2', topicOf(userId), 'phx_reply', ok]);
  expect(server.watched).toContain(
    `${world.development.environment.id}:${world.channels['in-app']}:${userId}`,
  );
  socket.send('2', '3', topicOf(userId), 'phx_leave', {});
  expect((await socket.reply('3'))[4]).toEqual(ok);
  expect(await socket.event('phx_close')).toEqual(['2', '2', topicOf(userId), 'phx_close', {}]);
  socket.socket.close();
});

test('every tab of a user hears of a new item, with the counts of each of its views', async () => {
  const userId = newUser();
  const tabs = await Promise.all([open(), open()]);
  for (const tab of tabs) {
    await join(tab, '1', userId, {
      all: { archived: 'exclude', mode: 'compact' },
      acme: { tenant: 'acme', has_tenant: true },
      unread: { status: 'unread', workflow_categories: ['x'] },
    });
  }
  await arrive(userId, { tenant: 'other' });
  for (const tab of tabs) {
    const [joinRef, ref, topic, , payload] = await tab.event('new-message');
    expect([joinRef, ref, topic]).toEqual(['1', null, topicOf(userId)]);
    const one = { __typename: 'FeedMetadata', total_count: 1, unread_count: 1, unseen_count: 1 };
    const none = { __typename: 'FeedMetadata', total_count: 0, unread_count: 0, unseen_count: 0 };
    expect(payload).toEqual({
      event: 'new-message',
      metadata: one,
      data: { all: { metadata: one }, acme: { metadata: none }, unread: { metadata: none } },
      attn: ['all'],
    });
    tab.socket.close();
  }
});

test('a re-join replaces the filters of the first join', async () => {
  const userId = newUser();
  const socket = await open();
  await join(socket, '1', userId, { client_1: { tenant: 'a', has_tenant: true } });
  // What phoenix.js sends: a leave of the old channel and a join of the new one, back to back.
  socket.send('1', '2', topicOf(userId), 'phx_leave', {});
  await join(socket, '3', userId, { client_1: { tenant: 'b', has_tenant: true } });
  await arrive(userId, { tenant: 'a' });
  await arrive(userId, { tenant: 'b' });
  const [joinRef, , , , payload] = await socket.event('new-message');
  expect(joinRef).toBe('3');
  expect(payload).toMatchObject({
    attn: ['client_1'],
    data: { client_1: { metadata: { total_count: 1 } } },
  });
  socket.socket.close();
});

test('a second join without a leave closes the first one and takes its place', async () => {
  const userId = newUser();
  const socket = await open();
  await join(socket, '1', userId);
  await join(socket, '2', userId);
  expect(await socket.event('phx_close')).toEqual(['1', '1', topicOf(userId), 'phx_close', {}]);
  // A leave that was sent for the first does not end the second.
  socket.send('1', '3', topicOf(userId), 'phx_leave', {});
  await socket.reply('3');
  await arrive(userId);
  expect((await socket.event('new-message'))[0]).toBe('2');
  expect(socket.frames.filter((frame) => frame[3] === 'new-message')).toHaveLength(1);
  socket.socket.close();
});

test.for([
  ['no key', {}],
  ['an unknown key', { api_key: 'pk_test_unknown' }],
  ['a token that is none', { user_token: 'abc' }],
] as const)('%s is refused with 403', async ([name, parameters]) => {
  const given = name === 'no key' ? { api_key: '' } : parameters;
  await expect(open(given)).rejects.toBe(403);
});

test('a secret key, and any other path, is refused', async () => {
  await expect(open({ api_key: credentials.secret_key })).rejects.toBe(403);
  const elsewhere = server.socketUrl.replace('/ws/v1/websocket', '/ws/v2');
  await expect(openSocket(elsewhere, { api_key: credentials.public_key })).rejects.toBe(404);
});

test('a user token opens its own user’s topic and no other; an expired one nothing', async () => {
  const userId = newUser();
  const socket = await open({ user_token: await tokenFor(userId, '1h') });
  expect((await join(socket, '1', userId))[4]).toEqual(ok);
  expect((await join(socket, '2', newUser()))[4]).toMatchObject({ status: 'error' });
  socket.socket.close();
  await expect(open({ user_token: await tokenFor(userId, '-1h') })).rejects.toBe(403);
});

test('with enhanced security a bare public key is refused', async () => {
  const secured = await createMessageWorld(database.db);
  await database.db.query(
    `update environment set settings = '{"enhanced_security":true}' where id = $1`,
    [secured.development.environment.id],
  );
  const key = secured.credentials.environments.development?.public_key ?? '';
  await expect(open({ api_key: key })).rejects.toBe(403);
});

test.for([
  ['an unknown channel', 'feeds:00000000-0000-4000-8000-000000000000:u', {}],
  ['a channel that is no id', 'feeds:in-app:u', {}],
  ['no user', 'feeds:00000000-0000-4000-8000-000000000000:', {}],
  ['a user with NUL', 'feeds:00000000-0000-4000-8000-000000000000:a\0', {}],
  ['another kind of topic', 'guides:x', {}],
  ['a payload that is no object', undefined, 'text'],
  ['a view that is no object', undefined, { client_1: 7 }],
  ['a filter that does not exist', undefined, { client_1: { status: 'green' } }],
  ['a filter with NUL', undefined, { client_1: { tenant: '\0' } }],
  [
    'too many views',
    undefined,
    Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`client_${i}`, {}])),
  ],
] as const)('a join of %s is answered with an error', async ([, topic, payload]) => {
  const socket = await open();
  const frame = ['1', '1', topic ?? topicOf('u'), 'phx_join', payload];
  socket.socket.send(JSON.stringify(frame));
  expect((await socket.reply('1'))[4]).toMatchObject({
    status: 'error',
    response: { reason: expect.any(String) },
  });
  socket.send(null, '2', 'phoenix', 'heartbeat', {});
  await socket.reply('2');
  socket.socket.close();
});

test('an unknown event is answered with an error', async () => {
  const socket = await open();
  socket.send(null, '1', 'phoenix', 'explode', {});
  expect((await socket.reply('1'))[4]).toMatchObject({ status: 'error' });
  socket.socket.close();
});

test.for([
  ['not JSON', 'garbage', 1007],
  ['no array', '{"topic":"phoenix"}', 1007],
  ['a short array', '[null,"1","phoenix"]', 1007],
  ['wrong types', '[1,2,3,4,5]', 1007],
  ['very deep JSON', '['.repeat(30_000), 1007],
  ['a binary frame', Buffer.from([1, 2, 3]), 1003],
  ['a huge frame', 'x'.repeat(65 * 1024), 1009],
] as const)('%s closes that socket and harms no other', async ([, data, code]) => {
  const userId = newUser();
  const neighbour = await open();
  await join(neighbour, '1', userId);
  const socket = await open();
  socket.socket.send(data);
  expect(await socket.closed).toBe(code);
  await arrive(userId);
  await neighbour.event('new-message');
  neighbour.socket.close();
});

test('broken WebSocket bytes and half an upgrade harm nobody', async () => {
  const { port } = new URL(server.url);
  const raw = connect(Number(port), '127.0.0.1');
  raw.write(
    `GET /ws/v1/websocket?api_key=${credentials.public_key} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
      'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await new Promise((resolve) => raw.once('data', resolve));
  raw.write(Buffer.from([0xff, 0xff, 0xff, 0xff]));
  await new Promise((resolve) => raw.once('close', resolve));
  const half = connect(Number(port), '127.0.0.1');
  half.write('GET /ws/v1/websocket HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  half.destroy();
  await stillServes();
});

test('a socket that floods frames is closed', async () => {
  const socket = await open();
  for (let i = 0; i < 400; i++) socket.send(null, String(i), 'phoenix', 'heartbeat', {});
  expect(await socket.closed).toBe(1008);
  await stillServes();
});

test('a request that offers another protocol is answered as any other', async () => {
  const { hostname, port } = new URL(server.url);
  const headers = {
    connection: 'Upgrade, HTTP2-Settings',
    upgrade: 'h2c',
    'http2-settings': 'AAMAAABkAAQAoAAAAAIAAAAA',
  };
  const status = await new Promise<number | undefined>((resolve, reject) => {
    get({ hostname, port, path: '/healthz', headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
  expect(status).toBe(200);
});

test('joins of a socket and sockets of an account are bounded', async () => {
  const small = await startFeedServer(world.ctx, {
    limits: { maxJoins: 1, maxSockets: 2 },
  });
  const socket = await open({}, small);
  await expect(open({}, small)).rejects.toBe(429);
  const [first, second] = [newUser(), newUser()];
  expect((await join(socket, '1', first))[4]).toEqual(ok);
  expect((await join(socket, '2', second))[4]).toMatchObject({ status: 'error' });
  socket.send('1', '3', topicOf(first), 'phx_leave', {});
  expect((await join(socket, '4', second))[4]).toEqual(ok);
  socket.socket.close();
  await waitFor('the place to be free', () =>
    small.socket.connectionCount() === 0 ? true : undefined,
  );
  (await open({}, small)).socket.close();
  await small.close();
});

test('sockets of one key that wait for its look-up leave room for those of others', async () => {
  const small = await startFeedServer(world.ctx, { limits: { maxPending: 4 } });
  const other = await createKey(world.ctx, {
    kind: 'public',
    account: world.credentials.account,
    environment: 'development',
  });
  const statuses = (count: number, key: string) =>
    Array.from({ length: count }, () =>
      open({ api_key: key }, small).then(
        ({ socket }) => {
          socket.close();
          return 101;
        },
        (status: unknown) => status,
      ),
    );
  const [storm, neighbour] = await world.ctx.db.transaction(async (tx) => {
    // Nobody finds a key, so an answer that comes now is a refusal.
    await tx.query('lock table api_key');
    const many = statuses(3, credentials.public_key);
    expect(await Promise.race(many)).toBe(503);
    const few = statuses(2, other.key);
    expect(await Promise.race(few)).toBe(503);
    return [many, few];
  });
  expect((await Promise.all(storm)).sort()).toEqual([101, 101, 503]);
  expect((await Promise.all(neighbour)).sort()).toEqual([101, 503]);
  await small.close();
});

test('a reader that is too slow is cut off', async () => {
  const strict = await startFeedServer(world.ctx, { limits: { maxBufferedBytes: -1 } });
  const socket = await open({}, strict);
  socket.send(null, '1', 'phoenix', 'heartbeat', {});
  expect(await socket.closed).toBe(1006);
  await strict.close();
});

test('a silent socket is closed, one with a heartbeat stays', async () => {
  let nowMs = Date.now();
  const ctx = { ...world.ctx, clock: { now: () => nowMs } };
  const timed = await startFeedServer(ctx, { limits: { sweepEveryMs: 5 } });
  const [silent, alive] = await Promise.all([open({}, timed), open({}, timed)]);
  nowMs += 60_000;
  alive.send(null, '1', 'phoenix', 'heartbeat', {});
  await alive.reply('1');
  nowMs += 60_000;
  expect(await silent.closed).toBe(1001);
  expect(alive.socket.readyState).toBe(alive.socket.OPEN);
  alive.socket.close();
  await timed.close();
});

test('a socket ends with the key that opened it, others stay', async () => {
  let nowMs = Date.now();
  const ctx = { ...world.ctx, clock: { now: () => nowMs } };
  const swept = await startFeedServer(ctx, { limits: { sweepEveryMs: 5 } });
  const account = world.credentials.account;
  const made = await createKey(ctx, { kind: 'public', account, environment: 'development' });
  const [revoked, valid] = await Promise.all([open({ api_key: made.key }, swept), open({}, swept)]);
  await revokeKey(ctx, { id: made.id });
  nowMs += 6_000;
  expect(await revoked.closed).toBe(1008);
  expect(valid.socket.readyState).toBe(valid.socket.OPEN);
  valid.socket.close();
  await swept.close();
});

test('sockets without a user token end when the environment begins to ask for one', async () => {
  let nowMs = Date.now();
  const ctx = { ...world.ctx, clock: { now: () => nowMs } };
  const swept = await startFeedServer(ctx, { limits: { sweepEveryMs: 5 } });
  const [anybody, proved] = await Promise.all([
    open({}, swept),
    open({ user_token: await tokenFor(newUser(), '1h') }, swept),
  ]);
  const reference = world.development.environment.publicId;
  await updateEnvironment(ctx, { reference, settings: { enhanced_security: true } });
  nowMs += 6_000;
  expect(await anybody.closed).toBe(1008);
  expect(proved.socket.readyState).toBe(proved.socket.OPEN);
  proved.socket.close();
  await updateEnvironment(ctx, { reference, settings: { enhanced_security: false } });
  await swept.close();
});

test('a shutdown sends everybody away with 1012 and takes nobody new', async () => {
  const leaving = await startFeedServer(world.ctx);
  const socket = await open({}, leaving);
  const closed = leaving.socket.close();
  expect(await socket.closed).toBe(1012);
  await closed;
  await expect(open({}, leaving)).rejects.toBe(503);
  await leaving.close();
});
