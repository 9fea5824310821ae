import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bootstrap } from '../../src/accounts/bootstrap.ts';
import { createAccount } from '../../src/accounts/create-account.ts';
import { createKey, listKeys, revokeKey } from '../../src/accounts/keys.ts';
import type { Context } from '../../src/context.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';

let database: TestDatabase;
let ctx: Context;

beforeAll(async () => {
  database = await createTestDatabase();
  ctx = { db: database.db, clock: systemClock, log: silentLog };
});
afterAll(() => database.drop());

const uuid = expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const environment = (secret: RegExp, open: RegExp) => ({
  secret_key: expect.stringMatching(secret),
  public_key: expect.stringMatching(open),
  signing_key_pem: expect.stringMatching(/^-----BEGIN PRIVATE KEY-----\n/),
  channels: {
    'in-app': uuid,
    'in-app-guide': uuid,
    email: uuid,
    sms: uuid,
    push: uuid,
    chat: uuid,
    webhook: uuid,
  },
});

test('of servers that start at once exactly one makes the demo account, and says all its keys', async () => {
  const answers = await Promise.all([1, 2, 3].map(() => bootstrap(ctx, {})));
  const made = answers.filter((answer) => answer !== undefined);
  expect(made).toHaveLength(1);
  expect(made[0]).toEqual({
    account: 'demo',
    environments: {
      development: environment(/^sk_test_/, /^pk_test_/),
      production: environment(/^sk_(?!test_)/, /^pk_(?!test_)/),
    },
    service_token: expect.stringMatching(/^knock_st_/),
    operator_token: expect.stringMatching(/^bf_op_/),
  });
  expect(await bootstrap(ctx, {})).toBeUndefined();
  const [count] = await ctx.db.query<{ accounts: number; operators: number }>(`
    select (select count(*) from account) as accounts,
      (select count(*) from operator_token) as operators`);
  expect(count).toEqual({ accounts: 1, operators: 1 });
});

test('keys that are given are those of development, on a later start too', async () => {
  const own = await createTestDatabase();
  const ownCtx = { ...ctx, db: own.db };
  const given = { secretKey: 'My API Key', publicKey: 'pk_x', serviceToken: 'knock_st_x' };
  const credentials = await bootstrap(ownCtx, given);
  expect(credentials).toMatchObject({
    environments: { development: { secret_key: 'My API Key', public_key: 'pk_x' } },
    service_token: 'knock_st_x',
  });
  await bootstrap(ownCtx, given);
  await bootstrap(ownCtx, { ...given, secretKey: 'another one' });
  const keys = await listKeys(ownCtx, { account: 'demo', environment: 'development' });
  expect(keys.filter(({ kind }) => kind === 'secret').map(({ hint }) => hint)).toEqual([
    ' one',
    ' Key',
  ]);
  await own.drop();
});

test('of a key only its sha-256 and its last four characters are stored', async () => {
  const credentials = await createAccount(ctx, { name: 'hashes' });
  const key = credentials.environments.production?.secret_key ?? '';
  const rows = await ctx.db.query<{ hint: string; row: string }>(
    'select hint, k::text as row from api_key k where hash = $1',
    [createHash('sha256').update(key).digest()],
  );
  expect(rows).toHaveLength(1);
  expect(rows[0]?.hint).toBe(key.slice(-4));
  expect(rows[0]?.row).not.toContain(key);
});

test('an account name is taken once, and leaves nothing behind when it is refused', async () => {
  await createAccount(ctx, { name: 'twice' });
  const before = await ctx.db.query('select id from environment');
  await expect(createAccount(ctx, { name: 'twice' })).rejects.toMatchObject({ code: 'conflict' });
  expect(await ctx.db.query('select id from environment')).toHaveLength(before.length);
});

test.each(['', ' ', 'a/b', '-a', 'ä', 'a'.repeat(64), "a'; drop table account; --"])(
  'an account cannot be called %j',
  async (name) => {
    await expect(createAccount(ctx, { name })).rejects.toMatchObject({ code: 'invalid_params' });
  },
);

test('lost keys are replaced: list, create, revoke', async () => {
  await createAccount(ctx, { name: 'keys' });
  const scope = { account: 'keys', environment: 'production' };
  const made = await createKey(ctx, { kind: 'secret', ...scope });
  expect(made.key).toMatch(/^sk_/);
  const listed = await listKeys(ctx, scope);
  expect(listed.map(({ kind }) => kind).sort()).toEqual(['public', 'secret', 'secret', 'signing']);
  expect(JSON.stringify(listed)).not.toContain(made.key);
  expect(listed.find(({ id }) => id === made.id)).toMatchObject({
    hint: made.key.slice(-4),
    revoked_at: null,
  });

  await revokeKey(ctx, { id: made.id });
  await revokeKey(ctx, { id: made.id });
  const after = await listKeys(ctx, scope);
  expect(after.find(({ id }) => id === made.id)?.revoked_at).not.toBeNull();
  expect((await createKey(ctx, { kind: 'signing', ...scope })).key).toMatch(/BEGIN PRIVATE KEY/);
  expect((await createKey(ctx, { kind: 'service', account: 'keys' })).key).toMatch(/^knock_st_/);
});

test.each([
  [{ kind: 'secret' } as const, 'invalid_params'],
  [{ kind: 'secret', account: 'nobody', environment: 'production' } as const, 'resource_missing'],
  [{ kind: 'service', account: 'nobody' } as const, 'resource_missing'],
])('a key for something that does not exist is refused: %j', async (input, code) => {
  await expect(createKey(ctx, input)).rejects.toMatchObject({ code });
});

test.each(['key_999999', 'nonsense', 'key_1; drop', 'constructor_1', ''])(
  'revoking %j, which does not exist, is a 404',
  async (id) => {
    await expect(revokeKey(ctx, { id })).rejects.toMatchObject({ code: 'resource_missing' });
  },
);

test('the last operator token cannot be revoked', async () => {
  const ids = async () =>
    (await listKeys(ctx, {})).filter(
      ({ kind, revoked_at }) => kind === 'operator' && revoked_at === null,
    );
  const [first] = await ids();
  await expect(revokeKey(ctx, { id: first?.id ?? '' })).rejects.toMatchObject({ code: 'conflict' });
  await createKey(ctx, { kind: 'operator' });
  await revokeKey(ctx, { id: first?.id ?? '' });
  expect(await ids()).toHaveLength(1);
});

test('of several who revoke the last operator tokens at once, one is refused', async () => {
  for (let round = 0; round < 5; round++) {
    await createKey(ctx, { kind: 'operator' });
    const ids = (await listKeys(ctx, {})).flatMap(({ id, kind, revoked_at }) =>
      kind === 'operator' && revoked_at === null ? [id] : [],
    );
    expect(ids).toHaveLength(2);
    const answers = await Promise.allSettled(ids.map((id) => revokeKey(ctx, { id })));
    expect(answers.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'conflict' } },
    ]);
  }
});
