import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

const url = '/v1/integrations/census/custom-destination';
let api: TestApi;
let acme: TestAccount;
let birch: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
  acme = await api.account();
  birch = await api.account();
  for (const key of ['vips', 'mirrored', 'acme-only']) await makeAudience(acme, key);
});
afterAll(() => api?.close());

async function makeAudience(account: TestAccount, key: string) {
  const made = await api.call('PUT', `/v1/audiences/${key}`, {
    key: account.secretKey,
    body: { kind: 'static' },
  });
  expect(made.status).toBe(200);
}

async function call(account: TestAccount, method: string, params: object = {}) {
  const body = { jsonrpc: '2.0', id: 'd33ded', method, params };
  const answer = await api.call('POST', url, { key: account.secretKey, body });
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({ jsonrpc: '2.0', id: 'd33ded' });
  return answer.body;
}

const object = { object_api_name: 'audiences', label: 'Audiences' };

const sync = (account: TestAccount, operation: string, records: readonly unknown[]) =>
  call(account, 'sync_batch', { sync_plan: { object, operation, schema: {} }, records });

async function members(account: TestAccount, key: string): Promise<string[]> {
  const page = await api.call('GET', `/v1/audiences/${key}/members`, { key: account.secretKey });
  return page.body.entries.map(({ user_id }: { readonly user_id: string }) => user_id);
}

const record = (user: unknown, audience: unknown = 'vips') => ({
  user_id: user,
  audience_key: audience,
});

test('Census is told of audiences, their two fields, and that a sync creates or mirrors', async () => {
  expect((await call(acme, 'test_connection')).result).toEqual({ success: true });
  expect((await call(acme, 'list_objects')).result).toEqual({ objects: [object] });
  const { fields } = (await call(acme, 'list_fields', { object })).result;
  const rest = { required: true, createable: true, updateable: true, type: 'string', array: false };
  expect(fields).toEqual([
    { field_api_name: 'user_id', label: 'User ID', identifier: true, ...rest },
    { field_api_name: 'audience_key', label: 'Audience Key', identifier: false, ...rest },
  ]);
  expect((await call(acme, 'supported_operations', { object })).result).toEqual({
    operations: ['insert', 'mirror'],
  });
  expect((await call(acme, 'get_sync_speed', { sync_plan: {} })).result).toEqual({
    maximum_batch_size: 1_000,
    maximum_parallel_batches: 4,
    maximum_records_per_second: 10_000,
  });
});

test('a batch adds members, and the same batch again changes nothing', async () => {
  const results = [
    { identifier: 'grant', success: true },
    { identifier: 7, success: true },
  ];
  for (const operation of ['insert', 'insert', 'upsert']) {
    const { result } = await sync(acme, operation, [record('grant'), record(7)]);
    expect(result.record_results).toEqual(results);
  }
  expect(await members(acme, 'vips')).toEqual(['7', 'grant']);
});

test('a mirror removes what its batches of deletes name, and nobody else', async () => {
  const both = ['ellie', 'ian'].map((user) => record(user, 'mirrored'));
  await sync(acme, 'upsert', both);
  const deleted = await sync(acme, 'delete', [record('ian', 'mirrored'), record('x', 'mirrored')]);
  expect(deleted.result.record_results).toEqual([
    { identifier: 'ian', success: true },
    { identifier: 'x', success: true },
  ]);
  expect(await members(acme, 'mirrored')).toEqual(['ellie']);
});

test('a record that is wrong is told alone, in its place, and the others are added', async () => {
  const { result } = await sync(acme, 'insert', [
    record('a/b'),
    record('muldoon'),
    record('nedry', 'missing'),
    record(null),
    'no record',
    record('wu', 'mirrored'),
  ]);
  expect(result.record_results).toEqual([
    {
      identifier: 'a/b',
      success: false,
      error_message: 'user_id must not contain "/" or "#"',
    },
    { identifier: 'muldoon', success: true },
    {
      identifier: 'nedry',
      success: false,
      error_message: 'There is no audience "missing" in this environment',
    },
    { identifier: null, success: false, error_message: 'user_id is required' },
    { identifier: null, success: false, error_message: 'audience_key is required' },
    { identifier: 'wu', success: true },
  ]);
  expect(await members(acme, 'vips')).toContain('muldoon');
  expect(await members(acme, 'mirrored')).toContain('wu');
});

test('the audiences of a batch are bounded: records beyond the twentieth fail', async () => {
  const many = Array.from({ length: 22 }, (_, index) => record('hammond', `missing-${index}`));
  const { result } = await sync(acme, 'insert', many);
  const said = result.record_results.map(
    ({ error_message }: { readonly error_message: string }) => error_message,
  );
  expect(said[19]).toContain('There is no audience "missing-19"');
  expect(said[20]).toContain('more than 20 values');
  expect(said[21]).toContain('more than 20 values');
});

test("another account's audience is not there, and stays as it is", async () => {
  await sync(acme, 'insert', [record('grant', 'acme-only')]);
  for (const operation of ['insert', 'delete']) {
    const { result } = await sync(birch, operation, [record('grant', 'acme-only')]);
    expect(result.record_results).toMatchObject([
      { success: false, error_message: 'There is no audience "acme-only" in this environment' },
    ]);
  }
  expect(await members(acme, 'acme-only')).toEqual(['grant']);
});

test('a call that is wrong is answered with an error of JSON-RPC and without a result', async () => {
  const wrong = [
    { answer: await call(acme, 'drop_table'), code: -32_601, says: 'There is no method' },
    { answer: await call(acme, 'constructor'), code: -32_601, says: 'There is no method' },
    { answer: await sync(acme, 'update', []), code: -32_602, says: 'sync_plan.operation' },
    {
      answer: await sync(acme, 'insert', Array(1_001).fill(record('x'))),
      code: -32_602,
      says: 'at most 1000',
    },
    { answer: await call(acme, 'sync_batch'), code: -32_602, says: 'sync_plan must be' },
    {
      answer: await call(acme, 'list_fields', { object: { object_api_name: 'users' } }),
      code: -32_602,
      says: 'object.object_api_name must be "audiences"',
    },
  ];
  for (const { answer, code, says } of wrong) {
    expect(answer.error.code).toBe(code);
    expect(answer.error.message).toContain(says);
    expect(answer).not.toHaveProperty('result');
  }
});

test('only a secret key opens the destinations', async () => {
  const body = { jsonrpc: '2.0', id: '1', method: 'list_objects', params: {} };
  for (const path of [url, '/v1/integrations/hightouch/embedded-destination']) {
    expect((await api.call('POST', path, { body })).status).toBe(401);
    expect((await api.call('POST', path, { key: acme.publicKey, body })).status).toBe(403);
  }
});

test("Knock's SDK calls both destinations", async () => {
  const baseURL = await api.app.listen({ port: 0, host: '127.0.0.1' });
  const { integrations } = new Knock({ apiKey: acme.secretKey, baseURL, maxRetries: 0 });
  const list = { id: '7', jsonrpc: '2.0', method: 'list_objects' };
  expect(await integrations.census.customDestination(list)).toMatchObject({
    id: '7',
    result: { objects: [object] },
  });
  expect(await integrations.hightouch.embeddedDestination(list)).toMatchObject({
    id: '7',
    result: { objects: [{ id: 'audiences', label: 'Audiences' }] },
  });
});
