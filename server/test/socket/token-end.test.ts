import { createPrivateKey } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKey, revokeKey } from '../../src/accounts/keys.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type FeedServer, startFeedServer } from '../support/feed-server.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';
import { openSocket } from '../support/phoenix-socket.ts';
import { waitFor } from '../support/wait.ts';

let database: TestDatabase;
let world: MessageWorld;
let nowMs = Date.now();
const POLICY_VIOLATION = 1008;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
});
afterAll(() => database.drop());

const serve = (sweepEveryMs: number) =>
  startFeedServer({ ...world.ctx, clock: { now: () => nowMs } }, { limits: { sweepEveryMs } });
const keys = () => {
  const found = world.credentials.environments.development;
  if (!found) throw new Error('no development environment');
  return found;
};
const open = async (
  server: FeedServer,
  lifeMs: number,
  claims = {},
  pem = keys().signing_key_pem,
) =>
  openSocket(server.socketUrl, {
    api_key: keys().public_key,
    user_token: await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256' })
      .setSubject('ada')
      .setExpirationTime(Math.ceil((nowMs + lifeMs) / 1_000))
      .sign(createPrivateKey(pem)),
  });
const topic = () => `feeds:${world.channels['in-app'] ?? ''}:ada`;

test('a socket ends when its token expires, also when nobody says anything; others stay', async () => {
  const server = await serve(5);
  const [short, long] = await Promise.all([open(server, 30_000), open(server, 3_600_000)]);
  nowMs += 40_000;
  expect(await short.closed).toBe(POLICY_VIOLATION);
  expect(long.socket.readyState).toBe(long.socket.OPEN);
  long.socket.close();
  await server.close();
});

test('a socket whose token is expired is told nothing more, before anybody looks for it', async () => {
  const server = await serve(3_600_000);
  const socket = await open(server, 30_000);
  socket.send('1', '1', topic(), 'phx_join', { all: {} });
  await socket.reply('1');
  nowMs += 40_000;
  socket.send(null, '2', 'phoenix', 'heartbeat', {});
  expect(await socket.closed).toBe(POLICY_VIOLATION);
  expect(socket.frames.filter((frame) => frame[1] === '2')).toEqual([]);
  await server.close();
});

test('a socket ends when the signing key of its token is revoked; those of other keys stay', async () => {
  const server = await serve(5);
  const made = await createKey(world.ctx, {
    kind: 'signing',
    account: world.credentials.account,
    environment: 'development',
  });
  const [old, valid] = await Promise.all([
    open(server, 3_600_000, {}, made.key),
    open(server, 3_600_000),
  ]);
  await revokeKey(world.ctx, { id: made.id });
  nowMs += 6_000;
  expect(await old.closed).toBe(POLICY_VIOLATION);
  expect(valid.socket.readyState).toBe(valid.socket.OPEN);
  valid.socket.close();
  await waitFor('the place to be free', () =>
    server.socket.connectionCount() === 0 ? true : undefined,
  );
  await server.close();
});

test('a token’s grants decide what its socket may join', async () => {
  const server = await serve(3_600_000);
  const answers = async (claims: object, view: object) => {
    const socket = await open(server, 3_600_000, claims);
    socket.send('1', '1', topic(), 'phx_join', { view });
    const frame = await socket.reply('1');
    socket.socket.close();
    return (frame[4] as { status: string }).status;
  };
  const acme = { 'https://h/v1/tenants/acme': { 'user/feed_read': [{}] } };
  expect(await answers({ explicit_grants: true }, {})).toBe('error');
  expect(await answers({ grants: acme }, { tenant: 'acme' })).toBe('ok');
  expect(await answers({ grants: acme }, { tenant: 'other' })).toBe('error');
  expect(await answers({ grants: acme }, {})).toBe('error');
  await server.close();
});
