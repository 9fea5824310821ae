import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { publishWorkflows } from '../../src/control/publish.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';
import { feedStep } from '../support/engine-world.ts';

let api: TestApi;
let acme: TestAccount;
let birch: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
  acme = await api.account();
  birch = await api.account();
  for (const account of [acme, birch]) {
    await publishWorkflows(account.environment, [
      { key: 'news', content: { name: 'News', steps: [feedStep('News')] } },
    ]);
  }
});
afterAll(() => api?.close());

const asAcme = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: unknown) =>
  api.call(method, url, { key: acme.secretKey, ...(body === undefined ? {} : { body }) });
const asBirch = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: unknown) =>
  api.call(method, url, { key: birch.secretKey, ...(body === undefined ? {} : { body }) });

test('members are added, listed by user and removed in the wire format of Knock', async () => {
  const missing = await asAcme('POST', '/v1/audiences/dinos/members', {
    members: [{ user: { id: 'grant' } }],
  });
  expect(missing.status).toBe(404);
  const added = await asAcme('POST', '/v1/audiences/dinos/members?create_audience=true', {
    members: [
      { user: { id: 'sattler', name: 'Ellie' }, tenant: 'nublar' },
      { user: { id: 'grant' } },
      { user: { id: 'grant' } },
    ],
  });
  expect(added.status).toBe(204);
  const { body } = await asAcme('GET', '/v1/audiences/dinos/members');
  expect(body.entries).toMatchObject([
    { __typename: 'AudienceMember', user_id: 'grant', tenant: null, user: { id: 'grant' } },
    { user_id: 'sattler', tenant: 'nublar', user: { __typename: 'User', name: 'Ellie' } },
  ]);
  const page = await asAcme('GET', '/v1/audiences/dinos/members?page_size=1');
  expect(page.body.entries).toHaveLength(1);
  const after = page.body.page_info.after;
  const next = await asAcme('GET', `/v1/audiences/dinos/members?page_size=1&after=${after}`);
  expect(next.body.entries).toMatchObject([{ user_id: 'sattler' }]);
  const removed = await asAcme('DELETE', '/v1/audiences/dinos/members', {
    members: [{ user: { id: 'grant' } }, { user: { id: 'sattler' } }],
  });
  expect(removed.status).toBe(204);
  const left = await asAcme('GET', '/v1/audiences/dinos/members');
  expect(left.body.entries).toMatchObject([{ user_id: 'sattler', tenant: 'nublar' }]);
});

test("Knock's SDK adds, lists and removes members", async () => {
  const baseURL = await api.app.listen({ port: 0, host: '127.0.0.1' });
  const knock = new Knock({ apiKey: acme.secretKey, baseURL, maxRetries: 0 });
  const members = [{ user: { id: 'malcolm', name: 'Ian' }, tenant: 'sorna' }];
  await knock.audiences.addMembers('sdk', { members, create_audience: true });
  const { entries } = await knock.audiences.listMembers('sdk');
  expect(entries).toMatchObject([{ user_id: 'malcolm', tenant: 'sorna', user: { name: 'Ian' } }]);
  await knock.audiences.removeMembers('sdk', { members });
  expect((await knock.audiences.listMembers('sdk')).entries).toEqual([]);
});

test('an audience keeps its kind, and its conditions are checked', async () => {
  const conditions = { all: [{ variable: 'recipient.plan', operator: 'is', argument: 'pro' }] };
  const wrong = await asAcme('PUT', '/v1/audiences/pro', { kind: 'condition', conditions });
  expect(wrong.status).toBe(422);
  expect(wrong.body.errors[0].field).toBe('conditions.all[0].operator');
  expect((await asAcme('PUT', '/v1/audiences/pro', { kind: 'condition' })).status).toBe(422);
  expect((await asAcme('PUT', '/v1/audiences/all', { kind: 'all_users' })).status).toBe(200);
  expect((await asAcme('PUT', '/v1/audiences/all', { kind: 'static' })).status).toBe(409);
  expect(
    (await asAcme('POST', '/v1/audiences/all/members', { members: [{ user: { id: 'x' } }] }))
      .status,
  ).toBe(422);
  expect((await asAcme('DELETE', '/v1/audiences/all')).status).toBe(204);
  expect((await asAcme('GET', '/v1/audiences/all')).status).toBe(404);
});

test("another account's audience and broadcast do not exist", async () => {
  await asAcme('PUT', '/v1/audiences/secret', { kind: 'static' });
  const { body: broadcast } = await asAcme('POST', '/v1/broadcasts', {
    workflow: 'news',
    audience: 'secret',
    key: 'mine',
  });
  const url = `/v1/broadcasts/${broadcast.id}`;
  const answers = [
    await asBirch('GET', '/v1/audiences/secret'),
    await asBirch('GET', '/v1/audiences/secret/members'),
    await asBirch('DELETE', '/v1/audiences/secret/members', { members: [{ user: { id: 'x' } }] }),
    await asBirch('POST', '/v1/broadcasts', { workflow: 'news', audience: 'secret' }),
    await asBirch('GET', url),
    await asBirch('GET', '/v1/broadcasts/mine'),
    await asBirch('POST', `${url}/pause`),
    await asBirch('POST', `${url}/resume`),
    await asBirch('POST', `${url}/cancel`),
    await asBirch('POST', `${url}/rate`, { rate: 1 }),
    await asBirch('POST', `${url}/retry`),
    await asBirch('GET', `${url}/recipients`),
  ];
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 404));
  expect((await asBirch('GET', '/v1/broadcasts')).body.entries).toEqual([]);
  expect((await asBirch('DELETE', '/v1/audiences/secret')).status).toBe(204);
  expect((await asAcme('GET', '/v1/audiences/secret')).status).toBe(200);
  expect((await asAcme('GET', url)).body.state).toBe('freezing');
});

test('broadcasts are listed newest first, and one is found by its own key', async () => {
  const keys = ['one', 'two', 'three'];
  for (const key of keys) await asAcme('POST', '/v1/broadcasts', { workflow: 'news', key });
  const { body } = await asAcme('GET', '/v1/broadcasts?page_size=2');
  expect(body.entries.map(({ key }: { key: string }) => key)).toEqual(['three', 'two']);
  const next = await asAcme('GET', `/v1/broadcasts?page_size=1&after=${body.page_info.after}`);
  expect(next.body.entries).toMatchObject([{ key: 'one' }]);
  expect((await asAcme('GET', '/v1/broadcasts/two')).body.key).toBe('two');
  const again = await asAcme('POST', '/v1/broadcasts', { workflow: 'news', key: 'two' });
  expect(again.status).toBe(409);
});

test('a broadcast needs a workflow, fitting numbers and bounded data', async () => {
  const create = (body: object) => asAcme('POST', '/v1/broadcasts', { workflow: 'news', ...body });
  expect((await create({ workflow: 'nothing' })).body.code).toBe('workflow_missing');
  expect((await create({ rate: 0 })).status).toBe(422);
  expect((await create({ canary: { max_failed_share: 2 } })).status).toBe(422);
  expect((await create({ data: { text: 'x'.repeat(300_000) } })).status).toBe(422);
  expect((await create({ key: '018f0000-0000-7000-8000-000000000000' })).status).toBe(422);
});
