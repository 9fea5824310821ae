import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

const url = '/v1/integrations/hightouch/embedded-destination';
let api: TestApi;
let acme: TestAccount;
let birch: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
  acme = await api.account();
  birch = await api.account();
});
afterAll(() => api?.close());

async function call(account: TestAccount, method: string, params: object = {}) {
  const body = { jsonrpc: '2.0', id: 'a-uuid', method, params };
  const answer = await api.call('POST', url, { key: account.secretKey, body });
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject({ jsonrpc: '2.0', id: 'a-uuid' });
  return answer.body;
}

const configured = (audience: unknown, mode = 'mirror') => ({
  object: 'audiences',
  mode,
  identifierMapping: { from: 'uid', to: 'user_id' },
  mappings: [
    { from: 'uid', to: 'user_id' },
    { from: 'org', to: 'tenant' },
  ],
  audience_key: audience,
});

async function members(account: TestAccount, key: string): Promise<string[][]> {
  const page = await api.call('GET', `/v1/audiences/${key}/members`, { key: account.secretKey });
  return page.body.entries.map((entry: { readonly user_id: string; readonly tenant: string }) => [
    entry.user_id,
    entry.tenant,
  ]);
}

test('Hightouch is told of audiences, two modes, two fields and the option of the key', async () => {
  expect((await call(acme, 'list_objects')).result).toEqual({
    objects: [{ id: 'audiences', label: 'Audiences' }],
  });
  const { modes } = (await call(acme, 'list_modes', { object: 'audiences' })).result;
  expect(modes).toMatchObject([
    { id: 'insert', label: 'Insert only' },
    { id: 'mirror', label: 'Mirror' },
  ]);
  const asked = { object: 'audiences', mode: 'mirror' };
  expect((await call(acme, 'list_fields', asked)).result).toEqual({
    fields: [
      { id: 'user_id', label: 'User ID', type: 'STRING', identifier: true },
      { id: 'tenant', label: 'Tenant', type: 'STRING' },
    ],
  });
  expect((await call(acme, 'list_options', asked)).result.options.schema).toMatchObject({
    required: ['audience_key'],
    properties: { audience_key: { title: 'Audience Key', type: 'string' } },
  });
});

test('a configuration is checked before it is saved, and its mode says what is sent', async () => {
  const validate = async (configuration: unknown) =>
    (await call(acme, 'validate', { configuration })).result.errors;
  expect(await validate(configured('vips'))).toEqual([]);
  expect(await validate(configured(undefined))).toEqual(['configuration.audience_key is required']);
  expect(await validate(configured('vips', 'upsert'))).toEqual([
    'configuration.mode must be "insert" or "mirror"',
  ]);
  expect(await validate({ ...configured('vips'), identifierMapping: {} })).toEqual([
    'configuration.mappings: user_id must be mapped from a column',
  ]);
  const operations = async (mode: string) =>
    (await call(acme, 'behavior', { configuration: configured('vips', mode) })).result;
  const rest = { batchSize: 1_000, skipInitialRun: false };
  expect(await operations('insert')).toEqual({
    ...rest,
    operations: { add: true, change: false, remove: false },
  });
  expect(await operations('mirror')).toEqual({
    ...rest,
    operations: { add: true, change: false, remove: true },
  });
});

test('the first rows make a missing audience, with tenants, and again changes nothing', async () => {
  const rows = [
    { pk: 1, uid: 'grant', org: 'nublar' },
    { pk: 2, uid: 'grant', org: null },
    { pk: 3, uid: 42 },
  ];
  const params = { idColumn: 'pk', configuration: configured('fresh', 'insert'), rows };
  for (const _ of ['first', 'again']) {
    expect((await call(acme, 'add', params)).result).toEqual({ rejectedRows: [] });
  }
  expect(await members(acme, 'fresh')).toEqual([
    ['42', null],
    ['grant', null],
    ['grant', 'nublar'],
  ]);
});

test('a mirror removes members by user and tenant; insert only never removes', async () => {
  const rows = [
    { pk: 1, uid: 'ellie', org: 'nublar' },
    { pk: 2, uid: 'ellie', org: 'sorna' },
  ];
  const configuration = configured('mirrored');
  const before = await call(acme, 'remove', { idColumn: 'pk', configuration, rows });
  expect(before.result).toEqual({ rejectedRows: [] });
  await call(acme, 'add', { idColumn: 'pk', configuration, rows });
  const refused = await call(acme, 'remove', {
    idColumn: 'pk',
    configuration: configured('mirrored', 'insert'),
    rows,
  });
  expect(refused.error).toEqual({
    code: -32_602,
    message: 'configuration.mode must be "mirror" to remove members',
  });
  await call(acme, 'remove', { idColumn: 'pk', configuration, rows: rows.slice(0, 1) });
  expect(await members(acme, 'mirrored')).toEqual([['ellie', 'sorna']]);
});

test('a row that is wrong is rejected by its id, and the others are added', async () => {
  const added = await call(acme, 'add', {
    idColumn: 'pk',
    configuration: configured('some'),
    rows: [
      { pk: 1, uid: 'a#b' },
      { pk: 2, uid: 'muldoon' },
      { pk: 3, uid: 'nedry', org: 'a/b' },
      { pk: 4 },
    ],
  });
  expect(added.result.rejectedRows).toEqual([
    { id: 1, reason: 'user_id must not contain "/" or "#"' },
    { id: 3, reason: 'tenant must not contain "/" or "#"' },
    { id: 4, reason: 'user_id is required' },
  ]);
  expect(await members(acme, 'some')).toEqual([['muldoon', null]]);
});

test('an audience of another kind takes no rows, each row says why', async () => {
  await api.call('PUT', '/v1/audiences/all', { key: acme.secretKey, body: { kind: 'all_users' } });
  const rows = [{ pk: 1, uid: 'grant' }];
  const { result } = await call(acme, 'add', {
    idColumn: 'pk',
    configuration: configured('all'),
    rows,
  });
  expect(result.rejectedRows).toMatchObject([{ id: 1, reason: expect.stringContaining('kind') }]);
});

test("two accounts' audiences of one key have nothing to do with each other", async () => {
  const params = { idColumn: 'pk', configuration: configured('shared') };
  await call(acme, 'add', { ...params, rows: [{ pk: 1, uid: 'grant' }] });
  await call(birch, 'add', { ...params, rows: [{ pk: 1, uid: 'wu' }] });
  await call(birch, 'remove', { ...params, rows: [{ pk: 1, uid: 'grant' }] });
  expect(await members(acme, 'shared')).toEqual([['grant', null]]);
  expect(await members(birch, 'shared')).toEqual([['wu', null]]);
});

test('a batch is bounded, and rows that change are no method of ours', async () => {
  const params = { idColumn: 'pk', configuration: configured('vips') };
  const large = await call(acme, 'add', { ...params, rows: Array(1_001).fill({ uid: 'x' }) });
  expect(large.error).toEqual({
    code: -32_602,
    message: 'rows must have at most 1000 entries, not 1001',
  });
  expect((await call(acme, 'change', { ...params, rows: [] })).error.code).toBe(-32_601);
});
