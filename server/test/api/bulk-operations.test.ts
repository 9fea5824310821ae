import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { operatingEngine } from '../support/operations.ts';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

// Over HTTP and with the unmodified SDK. Operations are over when they are answered, and read afterwards.
let api: TestApi;
let account: TestAccount;
let sdk: Knock;

beforeAll(async () => {
  api = await startTestApi({ engine: (_ctx, url) => operatingEngine(url) });
  account = await api.account();
  const url = await api.app.listen({ port: 0, host: '127.0.0.1' });
  sdk = new Knock({ apiKey: account.secretKey, baseURL: url });
});
afterAll(() => api.close());

const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const post = (path: string, body?: unknown, key = account.secretKey) =>
  api.call('POST', path, { key, body });

test('an operation is answered queued, and read with all that the SDK knows of it', async () => {
  const begun = await sdk.users.bulk.identify({
    users: [{ id: 'ada', name: 'Ada', plan: 'pro' }, { id: 'bob' }],
  });
  expect(begun).toEqual({
    __typename: 'BulkOperation',
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    name: 'users.identify',
    status: 'queued',
    estimated_total_rows: 2,
    ...{ processed_rows: 0, success_count: 0, error_count: 0, error_items: [] },
    progress_path: `/v1/bulk_operations/${begun.id}`,
    ...{ inserted_at: timestamp, updated_at: timestamp },
    ...{ started_at: null, completed_at: null, failed_at: null },
  });
  expect(await sdk.bulkOperations.get(begun.id)).toMatchObject({
    ...{ status: 'completed', processed_rows: 2, success_count: 2 },
    ...{ inserted_at: begun.inserted_at, started_at: timestamp, completed_at: timestamp },
  });
  expect(await sdk.users.get('ada')).toMatchObject({ name: 'Ada', plan: 'pro' });
});

test('users are identified with their preferences, and deleted', async () => {
  await sdk.users.bulk.identify({
    users: [{ id: 'cy', preferences: { default: { workflows: { a: false } } } }, { id: 'di' }],
  });
  const set = await sdk.users.getPreferences('cy', 'default');
  expect(set.workflows).toEqual({ a: false });
  const gone = await sdk.users.bulk.delete({ user_ids: ['cy', 'di', 'never-there'] });
  expect(await sdk.bulkOperations.get(gone.id)).toMatchObject({ success_count: 3 });
  await expect(sdk.users.get('cy')).rejects.toMatchObject({ status: 404 });
});

test('bulk preferences replace the set that they name, and never merge', async () => {
  const set = (preferences: object) =>
    sdk.users.bulk.setPreferences({ user_ids: ['eve', 'fay'], preferences });
  await set({ workflows: { a: false } });
  await set({ workflows: { b: false }, __persistence_strategy__: 'merge' });
  await set({ id: 'acme', categories: { c: false } });
  const stored = await sdk.users.getPreferences('fay', 'default');
  expect(stored.workflows).toEqual({ b: false });
  const ofTenant = await sdk.users.getPreferences('eve', 'acme');
  expect(ofTenant.categories).toEqual({ c: false });
});

test('objects are set and deleted in their collection', async () => {
  const set = await sdk.objects.bulk.set('planets', {
    objects: [{ id: 'mars', moons: 2 }, { id: 'bad', preferences: 7 } as never, { id: 'venus' }],
  });
  expect(await sdk.bulkOperations.get(set.id)).toMatchObject({
    ...{ success_count: 2, error_count: 1 },
    error_items: [{ id: 'bad', collection: 'planets' }],
  });
  expect(await sdk.objects.get('planets', 'mars')).toMatchObject({ properties: { moons: 2 } });
  await sdk.objects.bulk.delete('planets', { object_ids: ['mars'] });
  await expect(sdk.objects.get('planets', 'mars')).rejects.toMatchObject({ status: 404 });
  expect(await sdk.objects.get('planets', 'venus')).toMatchObject({ id: 'venus' });
});

test('a thousand tenants are set, by id or with settings, and deleted by a query', async () => {
  const ids = Array.from({ length: 1_000 }, (_, i) => `a-tenant-of-some-length-${i}`);
  const set = await sdk.tenants.bulk.set({
    tenants: [{ id: 'branded', name: 'Branded' }, ...ids.slice(1)],
  });
  expect(await sdk.bulkOperations.get(set.id)).toMatchObject({ success_count: 1_000 });
  expect(await sdk.tenants.get('branded')).toMatchObject({ name: 'Branded' });
  const gone = await sdk.tenants.bulk.delete({ tenant_ids: ids });
  expect(await sdk.bulkOperations.get(gone.id)).toMatchObject({
    ...{ estimated_total_rows: 1_000, success_count: 1_000 },
  });
  await expect(sdk.tenants.get(ids[999] ?? '')).rejects.toMatchObject({ status: 404 });
  expect(await sdk.tenants.get('branded')).toMatchObject({ name: 'Branded' });
});

describe('refused at once, with nothing done, is', () => {
  const many = Array.from({ length: 1_001 }, (_, i) => `u${i}`);
  test.each([
    ['/v1/users/bulk/identify', {}, 'users'],
    ['/v1/users/bulk/identify', { users: [{ id: 'ok' }, { name: 'no id' }] }, 'users'],
    ['/v1/users/bulk/identify', { users: [{ id: 'a/b' }] }, 'users[0].id'],
    ['/v1/users/bulk/identify', { users: many.map((id) => ({ id })) }, 'users'],
    ['/v1/users/bulk/delete', { user_ids: many }, 'user_ids'],
    ['/v1/users/bulk/delete', { user_ids: 'ok' }, 'user_ids'],
    ['/v1/users/bulk/preferences', { user_ids: ['ok'] }, 'preferences'],
    [
      '/v1/users/bulk/preferences',
      { user_ids: ['ok'], preferences: { channels: 5 } },
      'preferences',
    ],
    ['/v1/objects/$mine/bulk/set', { objects: [{ id: 'ok' }] }, 'collection'],
    ['/v1/objects/things/bulk/delete', { object_ids: [{}] }, 'object_ids'],
    ['/v1/tenants/bulk/set', { tenants: ['ok', 5] }, 'tenants'],
    ['/v1/tenants/bulk/delete', undefined, 'tenant_ids'],
  ])('%s with %j', async (path, body, field) => {
    const { status, body: answer } = await post(path, body);
    expect([status, answer.errors[0].field.startsWith(field)]).toEqual([422, true]);
    const found = await api.call('GET', '/v1/users/ok', { key: account.secretKey });
    expect(found.status).toBe(404);
  });
});

test('an operation of another environment or account, and an id that is none, is not there', async () => {
  const { id } = await sdk.users.bulk.delete({ user_ids: ['nobody'] });
  const other = await api.account();
  for (const [key, wanted] of [
    [other.secretKey, id],
    [account.environments.production?.secret_key, id],
    [account.secretKey, 'none'],
    [account.secretKey, '00000000-0000-4000-8000-000000000000'],
  ] as const) {
    const answer = await api.call('GET', `/v1/bulk_operations/${wanted}`, { key: key ?? '' });
    expect(answer).toMatchObject({ status: 404, body: { code: 'resource_missing' } });
  }
});

test('a public key begins and reads no operations', async () => {
  const answer = await post('/v1/users/bulk/delete', { user_ids: ['a'] }, account.publicKey);
  expect(answer.status).toBe(403);
  const { id } = await sdk.users.bulk.delete({ user_ids: ['nobody'] });
  const read = await api.call('GET', `/v1/bulk_operations/${id}`, { key: account.publicKey });
  expect(read.status).toBe(403);
});

test('an operation changes its own environment only', async () => {
  const production = account.environments.production?.secret_key ?? '';
  const body = { users: [{ id: 'shared', at: 'production' }] };
  await post('/v1/users/bulk/identify', body, production);
  await sdk.users.bulk.delete({ user_ids: ['shared'] });
  const found = await api.call('GET', '/v1/users/shared', { key: production });
  expect(found.body).toMatchObject({ at: 'production' });
});
