import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseTriggerBody } from '../../src/engine/trigger-body.ts';
import { startTestApi, type TestApi } from './api-server.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());

const page = readFileSync(
  new URL('../../../docs/workflows/recipients.md', import.meta.url),
  'utf8',
);
const [trigger, subscription] = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text]) =>
  JSON.parse(text ?? ''),
);

test('the documented trigger is read as the page says [trigger.recipients] [trigger.recipients.$trigger_data]', () => {
  const { recipients, identify, actor, tenant } = parseTriggerBody(trigger);
  expect(recipients).toEqual([
    { recipient: 'mara' },
    { recipient: 'jonas', data: { seat: '12A' } },
    { recipient: { id: 'apollo', collection: 'projects' } },
  ]);
  expect(identify.map(({ id }) => id)).toEqual(['jonas', 'acme']);
  expect({ actor, tenant }).toEqual({ actor: 'nadia', tenant: 'acme' });
});

test('the documented subscription is made', async () => {
  const { secretKey } = await api.account();
  const answer = await api.call('POST', '/v1/objects/projects/apollo/subscriptions', {
    key: secretKey,
    body: subscription,
  });
  expect(answer.status).toBe(200);
  expect(answer.body).toMatchObject([
    { recipient: { id: 'mara' } },
    { recipient: { id: 'jonas', email: 'jonas@example.com' } },
    { recipient: { id: 'design', collection: 'teams' }, properties: { role: 'reviewer' } },
  ]);
});
