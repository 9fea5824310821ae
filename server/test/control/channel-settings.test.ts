import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
  account = await api.account();
});
afterAll(() => api.close());

const set = (key: string, body: object, query = '') =>
  api.call('PUT', `/control/v1/channels/${key}${query}`, { key: account.service_token, body });

async function listed(query = '') {
  const { body } = await api.call('GET', `/control/v1/channels${query}`, {
    key: account.service_token,
  });
  return body.entries as { key: string; is_sandbox: boolean; conditions: unknown }[];
}

test('an account begins with a channel of each type', async () => {
  const keys = (await listed()).map(({ key }) => key);
  expect(keys).toEqual(['chat', 'email', 'in-app', 'in-app-guide', 'push', 'sms', 'webhook']);
});

test('a channel is sandboxed and has conditions in one environment, and keeps what is not named [channel.is_sandbox]', async () => {
  const conditions = { all: [{ variable: 'recipient.beta', operator: 'exists' }] };
  expect(await set('sms', { is_sandbox: true })).toMatchObject({
    status: 200,
    body: { key: 'sms', is_sandbox: true, conditions: null },
  });
  expect((await set('sms', { conditions })).body).toMatchObject({ is_sandbox: true, conditions });
  const sms = async (query: string) => (await listed(query)).find(({ key }) => key === 'sms');
  expect(await sms('')).toMatchObject({ is_sandbox: true, conditions });
  expect(await sms('?environment=production')).toMatchObject({
    is_sandbox: false,
    conditions: null,
  });
  expect((await set('sms', { conditions: null, is_sandbox: false })).body).toMatchObject({
    is_sandbox: false,
    conditions: null,
  });
});

test('conditions that are none, and channels that do not exist, are refused', async () => {
  const bad = { all: [{ variable: 'a', operator: 'sounds_like', argument: 'b' }] };
  expect((await set('sms', { conditions: bad })).status).toBe(422);
  expect((await set('pigeon', { is_sandbox: true })).status).toBe(404);
});
