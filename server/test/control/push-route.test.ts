import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
  account = await api.account();
});
afterAll(() => api.close());

const hello = (text: string) => ({
  key: 'hello',
  content: {
    name: 'Hello',
    steps: [
      { type: 'channel', ref: 'a', channel_key: 'in-app', template: { markdown_body: text } },
    ],
  },
});

function push(workflows: unknown, query = '', key = account.service_token) {
  return api.call('POST', `/control/v1/push${query}`, { key, body: { workflows } });
}

test('a push publishes, and this process answers with it at once', async () => {
  const published = () => api.services.workflows.published(account.development.id, 'hello');
  expect(await push([hello('a')])).toMatchObject({
    status: 200,
    body: {
      environment: 'development',
      published: [{ key: 'hello', number: 1, version_id: expect.any(Number), changed: true }],
    },
  });
  expect(await published()).toMatchObject({ number: 1 });
  await push([hello('b')], '?environment=development');
  expect(await published()).toMatchObject({ number: 2 });
  const again = await push([hello('b')]);
  expect(again.body.published).toMatchObject([{ number: 2, changed: false }]);
});

test('an environment has versions of its own', async () => {
  const answer = await push([hello('a')], '?environment=production');
  expect(answer.body).toMatchObject({
    environment: 'production',
    published: [{ number: 1, changed: true }],
  });
});

test('a defect answers 422 with workflow and JSON path, and publishes nothing', async () => {
  const answer = await push([{ ...hello('x'), key: 'fresh' }, hello('{{ x')]);
  expect(answer).toMatchObject({
    status: 422,
    body: {
      code: 'invalid_params',
      errors: [{ field: 'hello: $.steps[0].template.markdown_body', message: expect.any(String) }],
    },
  });
  const fresh = await api.services.workflows.published(account.development.id, 'fresh');
  expect(fresh).toBeUndefined();
});

test('bad input gets its documented code', async () => {
  expect((await push([hello('a')], '?environment=nowhere')).status).toBe(404);
  expect((await push('x')).status).toBe(422);
  expect((await push([{ key: 5 }])).status).toBe(422);
  expect((await push([{ key: 'a/b', content: {} }])).status).toBe(422);
  expect((await push([hello('a')], '', account.secretKey)).status).toBe(403);
  expect((await push([hello('a')], '', 'knock_st_nonsense')).status).toBe(401);
});

test('whoami names the account and the token', async () => {
  const answer = await api.call('GET', '/control/v1/whoami', { key: account.service_token });
  expect(answer).toMatchObject({
    status: 200,
    body: { type: 'service_token', account_name: account.account },
  });
});
