import { importPKCS8, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { makeSigningKeys } from '../../src/accounts/create-account.ts';
import { createAuthentication } from '../../src/api/authentication.ts';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  account = await api.account();
});

const read = (options: Parameters<TestApi['call']>[2], id = 'ada') =>
  api.call('GET', `/v1/users/${id}`, options);

async function token(
  claims: { sub?: string; exp?: number | string; alg?: string },
  pem = account.environments.development?.signing_key_pem ?? '',
): Promise<string> {
  const jwt = new SignJWT({}).setProtectedHeader({ alg: claims.alg ?? 'RS256' }).setIssuedAt();
  if (claims.sub !== undefined) jwt.setSubject(claims.sub);
  if (claims.exp !== undefined) jwt.setExpirationTime(claims.exp);
  return jwt.sign(await importPKCS8(pem, claims.alg ?? 'RS256'));
}

describe('without a key that exists nothing answers', () => {
  test.each([
    [{}, 'api_key_missing'],
    [{ authorization: '' }, 'api_key_missing'],
    [{ authorization: 'Bearer' }, 'authentication_required'],
    [{ authorization: 'Bearer ' }, 'authentication_required'],
    [{ authorization: 'Basic c2s6' }, 'authentication_required'],
    [{ authorization: 'sk_test_x' }, 'authentication_required'],
    [{ authorization: 'Bearer sk_test_nobody' }, 'api_key_missing'],
    [{ authorization: `Bearer ${'x'.repeat(5_000)}` }, 'api_key_missing'],
    [{ authorization: "Bearer ' or 1=1 --" }, 'api_key_missing'],
  ])('%j', async (headers, code) => {
    const answer = await read({ headers });
    expect(answer.status).toBe(401);
    expect(answer.body).toEqual({
      code,
      message: expect.any(String),
      status: 401,
      type: 'authentication_error',
    });
  });
});

test('the word Bearer may be written in any case', async () => {
  const headers = { authorization: `bearer ${account.secretKey}` };
  expect((await read({ headers })).status).toBe(404);
});

test('a key opens its own environment only', async () => {
  await api.call('PUT', '/v1/users/ada', { key: account.secretKey, body: { name: 'Ada' } });
  expect((await read({ key: account.secretKey })).body.name).toBe('Ada');
  const production = account.environments.production?.secret_key ?? '';
  expect((await read({ key: production })).status).toBe(404);
  const other = await api.account();
  expect((await read({ key: other.secretKey })).status).toBe(404);
});

test('a revoked key is refused at once, in the process that revoked it', async () => {
  const created = await api.call('POST', '/ops/v1/keys', {
    key: api.operatorToken,
    body: { kind: 'secret', account: account.account, environment: 'development' },
  });
  expect(created.status).toBe(201);
  const { id, key } = created.body;
  expect((await read({ key })).status).toBe(404);
  const revoked = await api.call('POST', `/ops/v1/keys/${id}/revoke`, { key: api.operatorToken });
  expect(revoked.status).toBe(200);
  const answer = await read({ key });
  expect([answer.status, answer.body.code]).toEqual([401, 'api_key_expired']);
});

test('elsewhere a revoked key is refused after 5 seconds', async () => {
  let now = Date.now();
  const elsewhere = createAuthentication({ ...api.ctx, clock: { now: () => now } });
  expect(await elsewhere.authenticateKey(account.secretKey)).toMatchObject({ kind: 'secret' });
  await api.ctx.db.query(
    `update api_key set revoked_at = now() where environment_id = $1 and kind = 'secret'`,
    [account.development.id],
  );
  now += 4_999;
  expect(await elsewhere.authenticateKey(account.secretKey)).toMatchObject({ kind: 'secret' });
  now += 1;
  await expect(elsewhere.authenticateKey(account.secretKey)).rejects.toMatchObject({
    code: 'api_key_expired',
  });
});

describe('a key of the wrong kind is a 403', () => {
  test.each([
    ['public', 'POST', '/v1/workflows/x/trigger'],
    ['public', 'DELETE', '/v1/users/ada'],
    ['public', 'GET', '/v1/users'],
    ['public', 'GET', '/v1/objects/c/o'],
    ['service', 'GET', '/v1/users/ada'],
    ['operator', 'GET', '/v1/users/ada'],
    ['secret', 'GET', '/ops/v1/keys'],
    ['service', 'GET', '/ops/v1/keys'],
    ['public', 'POST', '/ops/v1/accounts'],
    ['secret', 'GET', '/control/v1/whoami'],
  ] as const)('%s key: %s %s', async (kind, method, url) => {
    const keys = {
      public: account.publicKey,
      secret: account.secretKey,
      service: account.service_token,
      operator: api.operatorToken,
    };
    const answer = await api.call(method, url, { key: keys[kind] });
    expect([answer.status, answer.body.code]).toEqual([403, 'incorrect_token_type']);
  });
});

describe('a public key', () => {
  const open = (id: string, headers: Record<string, string> = {}) =>
    api.call('PUT', `/v1/users/${id}`, { key: account.publicKey, body: {}, headers });
  const enhance = (on: boolean) =>
    api.call('PATCH', `/ops/v1/environments/${account.account}/development`, {
      key: api.operatorToken,
      body: { enhanced_security: on },
    });

  test('may act for any user while enhanced security is off', async () => {
    expect((await open('ada')).status).toBe(200);
    expect((await open('bob')).status).toBe(200);
  });

  test('needs a user token as soon as enhanced security is on, and not afterwards', async () => {
    expect((await open('ada')).status).toBe(200);
    expect((await enhance(true)).body.settings).toEqual({ enhanced_security: true });
    const refused = await open('ada');
    expect([refused.status, refused.body.code]).toEqual([401, 'missing_user_token']);
    const signed = await token({ sub: 'ada', exp: '1h' });
    expect((await open('ada', { 'x-knock-user-token': signed })).status).toBe(200);
    expect((await read({ key: account.secretKey })).status).toBe(200);
    await enhance(false);
    expect((await open('bob')).status).toBe(200);
  });

  test.each([
    ['of another user', () => token({ sub: 'bob', exp: '1h' })],
    ['that is expired', () => token({ sub: 'ada', exp: Math.floor(Date.now() / 1000) - 1 })],
    ['that never expires', () => token({ sub: 'ada' })],
    ['for nobody', () => token({ exp: '1h' })],
    ['signed with another algorithm', () => token({ sub: 'ada', exp: '1h', alg: 'PS256' })],
    [
      'signed with another key',
      async () => token({ sub: 'ada', exp: '1h' }, (await makeSigningKeys(1))[0]?.privateKey),
    ],
    [
      'of production',
      () => token({ sub: 'ada', exp: '1h' }, account.environments.production?.signing_key_pem),
    ],
    ['that is not signed', async () => unsigned({ alg: 'none' }, { sub: 'ada', exp: 4e9 })],
    ['that is garbage', async () => 'a.b.c'],
    ['that is long', async () => 'x'.repeat(10_000)],
  ])('is refused with a token %s, enhanced security or not', async (_name, make) => {
    const headers = { 'x-knock-user-token': await make() };
    for (const on of [false, true]) {
      await enhance(on);
      const answer = await open('ada', headers);
      expect([answer.status, answer.body.code]).toEqual([401, 'invalid_user_token']);
    }
  });

  test('with a token is told when the environment has no signing key', async () => {
    const signed = await token({ sub: 'ada', exp: '1h' });
    await api.ctx.db.query('delete from signing_key where environment_id = $1', [
      account.development.id,
    ]);
    const answer = await open('ada', { 'x-knock-user-token': signed });
    expect([answer.status, answer.body.code]).toEqual([401, 'missing_jwt_signing_key']);
  });
});

test('only the branch main exists', async () => {
  const withBranch = (branch: string) =>
    read({ key: account.secretKey, headers: { 'x-knock-branch': branch } });
  expect((await withBranch('main')).body.code).toBe('resource_missing');
  expect((await withBranch('feature')).body.code).toBe('branch_missing');
});

function unsigned(header: object, payload: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  return `${encode(header)}.${encode(payload)}.`;
}
