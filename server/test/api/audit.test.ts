import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestApi } from './api-server.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(async () => {
  await api.close();
});

async function lines(query = '', key = api.operatorToken) {
  const { status, body } = await api.call('GET', `/ops/v1/audit${query}`, { key });
  expect(status).toBe(200);
  return body.entries;
}

/** An operator's token, with a name or without. */
async function operator(name?: string): Promise<{ readonly id: string; readonly key: string }> {
  const { status, body } = await api.call('POST', '/ops/v1/keys', {
    key: api.operatorToken,
    body: { kind: 'operator', ...(name === undefined ? {} : { name }) },
  });
  expect(status).toBe(201);
  return body;
}

const ops = (path: string, body: object, key = api.operatorToken) =>
  api.call('POST', `/ops/v1/${path}`, { key, body });

test('each thing that an operator does is a line with who, what, to whom and why, without secrets', async () => {
  const mara = await operator('mara');
  const account = await ops('accounts', { name: 'elm', reason: 'new customer' }, mara.key);
  expect(account.status).toBe(201);
  const made = await ops(
    'keys',
    { kind: 'secret', account: 'elm', environment: 'production', reason: 'rotation' },
    mara.key,
  );
  const changed = await api.call('PATCH', '/ops/v1/environments/elm/production', {
    key: mara.key,
    body: { enhanced_security: true },
  });
  expect(changed.status).toBe(200);
  const revoked = await ops(`keys/${made.body.id}/revoke`, { reason: 'leaked' }, mara.key);
  expect(revoked.body).toMatchObject({ id: made.body.id, kind: 'secret', account: 'elm' });
  const key = { id: made.body.id, hint: made.body.hint };
  const scope = { account: 'elm', environment: 'production' };
  const found = await lines('?account=elm');
  expect(found).toMatchObject([
    { author: 'mara', action: 'key revoke', scope: { ...scope, key }, reason: 'leaked' },
    { author: 'mara', action: 'environment change', scope, reason: '' },
    { author: 'mara', action: 'key create', scope, reason: 'rotation' },
    { author: 'mara', action: 'account create', scope: { account: 'elm' }, reason: 'new customer' },
  ]);
  expect(JSON.stringify(found)).not.toContain(made.body.key);
});

test('a token with a name speaks for itself; another one vouches for the name that is given', async () => {
  const named = await operator('noor');
  const nameless = await operator();
  await ops('accounts', { name: 'oak', author: 'somebody else' }, named.key);
  await ops('accounts', { name: 'ash', author: 'mara' }, nameless.key);
  await ops('accounts', { name: 'fir' }, nameless.key);
  const [fir, ash, oak] = await lines('?limit=3');
  expect(oak.author).toBe('noor');
  expect(ash.author).toBe(`mara (${nameless.id})`);
  expect(fir.author).toBe(nameless.id);
});

test('what failed is not in the log', async () => {
  const before = await lines();
  expect((await ops('accounts', { name: 'not a name' })).status).toBe(422);
  expect((await ops('keys/key_999999/revoke', {})).status).toBe(404);
  expect((await ops('accounts', { name: 'elm' })).status).toBe(409);
  expect(await lines()).toEqual(before);
});

test('pages follow each other without a gap', async () => {
  const all = await lines('?limit=500');
  expect(all.length).toBeGreaterThan(4);
  const seen: unknown[] = [];
  let next: number | null = null;
  do {
    const { body } = await api.call(
      'GET',
      `/ops/v1/audit?limit=2${next === null ? '' : `&before=${next}`}`,
      { key: api.operatorToken },
    );
    expect(body.entries.length).toBeLessThanOrEqual(2);
    seen.push(...body.entries);
    next = body.next;
  } while (next !== null);
  expect(seen).toEqual(all);
});

test('a key is revoked by its last four characters, and several that end the same are told apart', async () => {
  await ops('accounts', { name: 'yew' });
  const { body: made } = await ops('keys', {
    kind: 'secret',
    account: 'yew',
    environment: 'development',
  });
  const { body: revoked } = await ops(`keys/${made.hint}/revoke`, {});
  expect(revoked.id).toBe(made.id);
  expect((await ops('keys/zzz/revoke', {})).status).toBe(404);
  await api.ctx.db.query(`update api_key set hint = 'same'`);
  const several = await ops('keys/same/revoke', {});
  expect(several.status).toBe(409);
  expect(several.body.message).toMatch(/key_\d+ \(secret, .*name one by its id/);
});

test('nobody without an operator token sees the log', async () => {
  const { secretKey, service_token } = await api.account();
  for (const key of [secretKey, service_token]) {
    expect((await api.call('GET', '/ops/v1/audit', { key })).status).toBe(403);
  }
});
