import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Credentials, createAccount } from '../../src/accounts/create-account.ts';
import { findEnvironment } from '../../src/accounts/environments.ts';
import { listKeys } from '../../src/accounts/keys.ts';
import { nameScopes, resolveScope, type ScopeReference } from '../../src/accounts/work-scope.ts';
import type { Context, Environment } from '../../src/context.ts';
import { publishWorkflows } from '../../src/control/publish.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';

let database: TestDatabase;
let ctx: Context;
let acme: Credentials;
let production: Environment;
let keyId = '';

beforeAll(async () => {
  database = await createTestDatabase();
  ctx = { db: database.db, clock: systemClock, log: silentLog };
  acme = await createAccount(ctx, { name: 'acme' });
  await createAccount(ctx, { name: 'birch' });
  production = await findEnvironment(ctx.db, 'acme/production');
  const content = {
    name: 'digest',
    steps: [{ ref: 'a', type: 'channel', channel_key: 'in-app', template: { markdown_body: 'x' } }],
  };
  await publishWorkflows({ ...ctx, environment: production }, [{ key: 'digest', content }]);
  const keys = await listKeys(ctx, { account: 'acme', environment: 'production' });
  keyId = keys.find(({ kind }) => kind === 'secret')?.id ?? '';
});
afterAll(async () => {
  await database.drop();
});

const secretKey = () => acme.environments.production?.secret_key ?? '';
const resolve = (reference: ScopeReference) => resolveScope(ctx.db, reference);

test('an account is found by its name and by its public id', async () => {
  const [row] = await ctx.db.query<{ public_id: string }>(
    `select public_id from account where name = 'acme'`,
  );
  const scope = { accountId: production.accountId };
  expect(await resolve({ account: 'acme' })).toEqual(scope);
  expect(await resolve({ account: row?.public_id })).toEqual(scope);
});

test('a key is found by its id, its last four characters and its text, and brings its environment', async () => {
  const hint = secretKey().slice(-4);
  const scope = { environmentId: production.id, apiKeyId: Number(keyId.slice('key_'.length)) };
  for (const key of [keyId, hint, `...${hint}`, secretKey()]) {
    expect(await resolve({ key })).toEqual(scope);
  }
  expect(await resolve({ account: 'acme', environment: 'production', key: hint })).toEqual({
    accountId: production.accountId,
    ...scope,
  });
});

test('workflow, tenant and times come along', async () => {
  expect(
    await resolve({
      account: 'acme',
      environment: 'production',
      workflow: 'digest',
      tenant: 't1',
      from: '2026-05-01T04:00:20Z',
      to: '2026-05-01T07:00:00+02:00',
    }),
  ).toEqual({
    accountId: production.accountId,
    environmentId: production.id,
    workflow: 'digest',
    tenant: 't1',
    acceptedFrom: new Date('2026-05-01T04:00:20Z'),
    acceptedBefore: new Date('2026-05-01T05:00:00Z'),
  });
});

test.each<[string, ScopeReference, string, RegExp]>([
  ['nothing', {}, 'invalid_params', /must name an account, an environment or a key/],
  ['no owner', { tenant: 't' }, 'invalid_params', /must name an account/],
  ['whose environment', { environment: 'production' }, 'invalid_params', /of which account\?/],
  ['unknown account', { account: 'acne' }, 'resource_missing', /no account "acne"; .*belfry top/],
  [
    'unknown environment',
    { account: 'acme', environment: 'staging' },
    'resource_missing',
    /acme has no environment "staging"; it has development, production/,
  ],
  ['unknown key', { key: 'zz' }, 'resource_missing', /no API key of this text; .*belfry keys list/],
  [
    'unknown workflow',
    { account: 'acme', workflow: 'digets' },
    'resource_missing',
    /no workflow "digets" in this scope; there are digest/,
  ],
  [
    'a workflow of another environment',
    { account: 'acme', environment: 'development', workflow: 'digest' },
    'resource_missing',
    /it has none/,
  ],
  ['no zone', { account: 'acme', from: '2026-05-01T04:00' }, 'invalid_params', /with its zone/],
  [
    'the wrong order',
    { account: 'acme', from: '2026-05-01T04:00:00Z', to: '2026-05-01T04:00:00Z' },
    'invalid_params',
    /later than/,
  ],
])('a scope that makes no sense says what would: %s', async (_, reference, code, message) => {
  const refusal = resolve(reference);
  await expect(refusal).rejects.toMatchObject({ code });
  await expect(refusal).rejects.toThrow(message);
});

test('a key of another account is named, not taken, and its text is not repeated', async () => {
  const refusal = resolve({ account: 'birch', key: secretKey() });
  await expect(refusal).rejects.toThrow(
    /of this text is not of this .* \(secret, acme\/production\)/,
  );
  await expect(refusal).rejects.not.toThrow(secretKey());
});

test('of several keys that end the same, the account tells which; else all are named', async () => {
  const other = await createAccount(ctx, { name: 'cedar' });
  const hint = other.environments.production?.secret_key.slice(-4) ?? '';
  await ctx.db.query(`update api_key set hint = $1 where id = $2`, [
    hint,
    Number(keyId.slice('key_'.length)),
  ]);
  await expect(resolve({ key: hint })).rejects.toThrow(
    /Several API keys .*acme\/production.*cedar\/production.*by its id/,
  );
  expect(await resolve({ account: 'acme', key: hint })).toMatchObject({
    environmentId: production.id,
  });
});

test('scopes are named again as people write them', async () => {
  const from = new Date('2026-05-01T04:00:20Z');
  const apiKeyId = Number(keyId.slice('key_'.length));
  expect(
    await nameScopes(ctx.db, [
      { accountId: production.accountId },
      { apiKeyId, workflow: 'digest', acceptedFrom: from },
      { environmentId: production.id, tenant: 't1' },
    ]),
  ).toEqual([
    { account: 'acme' },
    {
      account: 'acme',
      environment: 'production',
      key: { id: keyId, hint: expect.stringMatching(/^.{4}$/) },
      workflow: 'digest',
      from: from.toISOString(),
    },
    { account: 'acme', environment: 'production', tenant: 't1' },
  ]);
  expect(await nameScopes(ctx.db, [])).toEqual([]);
});
