import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sweepDeletions } from '../../src/deletion/deletion-clock.ts';
import { GRACE_MS } from '../../src/deletion/open-deletions.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';
import { insertMessages } from '../support/messages.ts';

// Over HTTP and with the unmodified SDK.
let api: TestApi;
let account: TestAccount;
let knock: Knock;

beforeAll(async () => {
  api = await startTestApi();
  account = await api.account();
  const url = await api.app.listen({ port: 0, host: '127.0.0.1' });
  knock = new Knock({ apiKey: account.secretKey, baseURL: url, maxRetries: 0 });
});
afterAll(() => api.close());

const DAY_MS = 86_400_000;

/** All passes until nothing is due, now and after the grace. */
async function sweepAll(): Promise<void> {
  for (const laterMs of [0, GRACE_MS]) {
    const clock = { now: () => Date.now() + laterMs };
    while ((await sweepDeletions(api.ctx.db, clock)) > 0);
  }
}

const messagesOf = async (userId: string) =>
  (await knock.users.listMessages(userId)).items.map(({ id }) => id).sort();

test('a merge keeps the values of the user that stays, and adds those that only the other has', async () => {
  await knock.users.update('ada', { name: 'Ada', plan: { seats: 3 } });
  await knock.users.update('guest', {
    name: 'Guest',
    email: 'ada@example.com',
    plan: { seats: 1, tier: 'pro' },
  });
  const merged = await knock.users.merge('ada', { from_user_id: 'guest' });
  expect(merged).toMatchObject({
    __typename: 'User',
    id: 'ada',
    name: 'Ada',
    email: 'ada@example.com',
    plan: { seats: 3, tier: 'pro' },
  });
  expect(await knock.users.get('ada')).toEqual(merged);
  await expect(knock.users.get('guest')).rejects.toBeInstanceOf(Knock.NotFoundError);
});

test('of preference sets and channel data those are added that the user that stays has not', async () => {
  const { webhook = '', email = '' } = account.channels;
  await knock.users.update('bob', {});
  await knock.users.update('bob-guest', {});
  await knock.users.setPreferences('bob', 'default', { workflows: { a: false } });
  await knock.users.setPreferences('bob-guest', 'default', { workflows: { b: false } });
  await knock.users.setPreferences('bob-guest', 'acme', { workflows: { c: false } });
  for (const [user, channel] of [
    ['bob', webhook],
    ['bob-guest', webhook],
    ['bob-guest', email],
  ] as const) {
    await knock.users.setChannelData(user, channel, {
      data: { connections: [{ of: user }] } as never,
    });
  }
  await knock.users.merge('bob', { from_user_id: 'bob-guest' });
  expect((await knock.users.getPreferences('bob', 'default')).workflows).toEqual({ a: false });
  expect((await knock.users.getPreferences('bob', 'acme')).workflows).toMatchObject({ c: false });
  const connectionsOf = async (channel: string) =>
    (await knock.users.getChannelData('bob', channel)).data;
  expect(await connectionsOf(webhook)).toEqual({ connections: [{ of: 'bob' }] });
  expect(await connectionsOf(email)).toEqual({ connections: [{ of: 'bob-guest' }] });
  expect((await knock.users.getPreferences('bob-guest', 'acme')).workflows).toEqual({});
});

test('messages of the last 30 days become those of the user that stays; older ones, subscriptions and schedules go', async () => {
  await knock.users.update('cleo', {});
  await knock.users.update('cleo-guest', {});
  await knock.objects.addSubscriptions('projects', 'p1', { recipients: ['cleo-guest'] });
  const at = (days: number) => ({
    userId: 'cleo-guest',
    insertedMs: Date.now() - days * DAY_MS,
  });
  const ids = await insertMessages(api.ctx.db, account.development, account.channels, [
    at(0.1),
    at(20),
    at(33),
    { userId: 'cleo' },
  ]);
  await knock.users.merge('cleo', { from_user_id: 'cleo-guest' });
  await sweepAll();
  expect(await messagesOf('cleo')).toEqual([ids[0], ids[1], ids[3]].sort());
  expect(await messagesOf('cleo-guest')).toEqual([]);
  expect((await knock.users.listSubscriptions('cleo-guest')).entries).toEqual([]);
  const [rest] = await api.ctx.db.query<{ messages: number }>(
    `select count(*)::int as messages
     from message
     where recipient_id like 'cleo%'`,
  );
  expect(rest).toEqual({ messages: 3 });
});

test('a user that was merged into another who is then deleted leaves nothing', async () => {
  for (const id of ['dan', 'dan-guest']) await knock.users.update(id, {});
  await insertMessages(api.ctx.db, account.development, account.channels, [
    { userId: 'dan-guest' },
    { userId: 'dan' },
  ]);
  await knock.users.merge('dan', { from_user_id: 'dan-guest' });
  await knock.users.delete('dan');
  await sweepAll();
  const rows = await api.ctx.db.query(`select from message where recipient_id like 'dan%'`);
  expect(rows).toEqual([]);
});

test('a user that does not exist, or is of another account, cannot be merged, nor one with itself', async () => {
  const other = await api.account();
  const stranger = new Knock({ apiKey: other.secretKey, baseURL: knock.baseURL, maxRetries: 0 });
  await stranger.users.update('theirs', { secret: 1 });
  await knock.users.update('eve', {});
  for (const [into, from] of [
    ['eve', 'nobody'],
    ['nobody', 'eve'],
    ['eve', 'theirs'],
    ['theirs', 'eve'],
  ] as const) {
    await expect(knock.users.merge(into, { from_user_id: from })).rejects.toBeInstanceOf(
      Knock.NotFoundError,
    );
  }
  await expect(knock.users.merge('eve', { from_user_id: 'eve' })).rejects.toBeInstanceOf(
    Knock.UnprocessableEntityError,
  );
  expect(await knock.users.get('eve')).toMatchObject({ id: 'eve' });
  expect(await stranger.users.get('theirs')).toMatchObject({ secret: 1 });
});

test('two merges of two users into each other at once: one of them wins', async () => {
  for (const id of ['f1', 'f2']) await knock.users.update(id, { [id]: true });
  const outcomes = await Promise.allSettled([
    knock.users.merge('f1', { from_user_id: 'f2' }),
    knock.users.merge('f2', { from_user_id: 'f1' }),
  ]);
  const merged = outcomes.flatMap((outcome) =>
    outcome.status === 'fulfilled' ? [outcome.value] : [],
  );
  expect(merged).toHaveLength(1);
  expect(await knock.users.get(merged[0]?.id ?? '')).toMatchObject({ f1: true, f2: true });
});
