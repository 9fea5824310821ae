import { afterAll, beforeAll, expect, test } from 'vitest';
import { tierOf } from '../../src/api/rate-tiers.ts';
import { operatingEngine } from '../support/operations.ts';
import { startTestApi, type TestApi } from './api-server.ts';

let api: TestApi;
let plain: TestApi;

beforeAll(async () => {
  api = await startTestApi({ config: { rateLimits: 'knock', demo: false } });
  plain = await startTestApi({ engine: (_ctx, url) => operatingEngine(url) });
});
afterAll(async () => {
  await api?.close();
  await plain?.close();
});

test.each([
  ['POST', '/v1/workflows/:key/trigger', 5],
  ['POST', '/v1/workflows/:key/cancel', 5],
  ['GET', '/v1/users/:user_id/feeds/:id', 2],
  ['GET', '/v1/users/:user_id/feeds/:id/settings', 4],
  ['POST', '/v1/channels/:channel_id/messages/bulk/:action', 2],
  ['POST', '/v1/objects/:collection/bulk/subscriptions/add', 1],
  ['POST', '/v1/messages/batch/read', 3],
  ['GET', '/v1/messages/batch/content', 4],
  ['GET', '/v1/messages/:message_id', 4],
  ['GET', '/v1/messages/:message_id/events', 3],
  ['GET', '/v1/messages/:message_id/delivery_logs', 3],
  ['PUT', '/v1/messages/:message_id/archived', 2],
  ['DELETE', '/v1/messages/:message_id/unread', 2],
  ['GET', '/v1/workflow_recipient_runs/:id', 2],
  ['GET', '/v1/users', 4],
  ['PUT', '/v1/users/:user_id', 3],
  ['DELETE', '/v1/users/:user_id', 2],
  ['POST', '/v1/users/:user_id/merge', 2],
  ['DELETE', '/v1/tenants/:tenant_id', 2],
  ['DELETE', '/v1/objects/:collection/:object_id', 3],
  ['PUT', '/v1/users/:user_id/preferences/:set_id', 3],
  ['GET', '/v1/users/:user_id/channel_data/:channel_id', 4],
  ['GET', '/ops/v1/top', undefined],
] as const)('%s %s has tier %s', (method, path, tier) => {
  expect(tierOf(method, path)).toBe(tier);
});

test('with the profile an endpoint takes what its tier allows in a second, for each environment', async () => {
  const [account, other] = [await api.account(), await api.account()];
  const read = (key: string) => api.call('GET', '/v1/workflow_recipient_runs', { key });
  const answers = [];
  for (let i = 0; i < 12; i++) answers.push(await read(account.secretKey));
  const refused = answers.find(({ status }) => status === 429);
  expect(refused).toMatchObject({
    body: { code: 'rate_limited' },
    headers: { 'retry-after': '1' },
  });
  expect(answers.slice(0, 5).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  expect((await read(other.secretKey)).status).toBe(200);
  // Another endpoint has its own.
  expect((await api.call('GET', '/v1/users', { key: account.secretKey })).status).toBe(200);
  expect(api.services.budgets.refusals.of(account.development.accountId, 0)).toMatchObject({
    tier: expect.any(Number),
  });
});

test('without the profile there are no such limits', async () => {
  const account = await plain.account();
  for (let i = 0; i < 30; i++) {
    const path = '/v1/workflow_recipient_runs';
    expect((await plain.call('GET', path, { key: account.secretKey })).status).toBe(200);
  }
});

test('the demo page and the message viewer can be turned off, the API reference stays', async () => {
  for (const path of ['/dev/demo.json', '/dev/messages.json', '/dev/messages', '/']) {
    expect((await api.call('GET', path)).status, path).toBe(404);
  }
  for (const path of ['/docs', '/docs/']) {
    expect((await api.call('GET', path)).text).toContain('<title>API reference');
  }
});

test('a public key without a user token changes the messages of one named user only', async () => {
  const account = await plain.account();
  const path = `/v1/channels/${account.channels['in-app']}/messages/bulk/read`;
  const bulk = (key: string, body: object) => plain.call('POST', path, { key, body });
  for (const body of [{}, { recipient_ids: ['a', 'b'] }, { recipient_ids: [] }]) {
    expect(await bulk(account.publicKey, body)).toMatchObject({
      status: 403,
      body: { message: expect.stringContaining('name exactly one') },
    });
  }
  expect(await bulk(account.publicKey, { user_ids: ['a'] })).toMatchObject({ status: 200 });
  expect(await bulk(account.secretKey, {})).toMatchObject({ status: 200 });
});
