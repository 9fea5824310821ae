import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publishWorkflows } from '../../src/control/publish.ts';
import { waitFor } from '../support/wait.ts';
import type { TestAccount, TestApi } from './api-server.ts';
import { startApiWithEngine } from './api-with-engine.ts';

// With the real engine: what is triggered over HTTP runs.
let api: TestApi;
let account: TestAccount;
let knock: Knock;

beforeAll(async () => {
  api = await startApiWithEngine();
  account = await api.account();
  await publishWorkflows(account.environment, [
    { key: 'note', content: workflow('note') },
    { key: 'asleep', content: { ...workflow('asleep'), active: false } },
    {
      key: 'strict',
      content: {
        ...workflow('strict'),
        trigger_data_json_schema: {
          type: 'object',
          properties: { count: { type: 'number' } },
          required: ['count'],
        },
      },
    },
  ]);
  const url = await api.app.listen({ port: 0, host: '127.0.0.1' });
  knock = new Knock({ apiKey: account.secretKey, baseURL: url, maxRetries: 0 });
});
afterAll(() => api.close());

function workflow(name: string): object {
  return {
    name,
    active: true,
    steps: [
      {
        type: 'channel',
        ref: 'feed',
        channel_key: 'in-app',
        channel_type: 'in_app_feed',
        template: { markdown_body: '{{ recipient.name }}: {{ data.text }} from {{ actor.name }}' },
      },
    ],
  };
}

const trigger = (key: string, body: unknown, headers = {}) =>
  api.call('POST', `/v1/workflows/${key}/trigger`, { key: account.secretKey, body, headers });

type Message = {
  readonly recipient_id: string;
  readonly tenant: string | null;
  readonly content: unknown;
};

function messagesOf(workflowRunId: string, count: number): Promise<readonly Message[]> {
  return waitFor(`${count} messages of ${workflowRunId}`, async () => {
    const rows = await api.ctx.db.query<Message>(
      `select recipient_id, tenant, content from message where workflow_run_id = $1 order by recipient_id`,
      [workflowRunId],
    );
    return rows.length >= count ? rows : undefined;
  });
}

test('the SDK triggers for users by id and inline, for an actor and a tenant; all are identified', async () => {
  await knock.users.update('ada', { name: 'Ada' });
  const { workflow_run_id } = await knock.workflows.trigger('note', {
    recipients: [
      'ada',
      { id: 'bob', name: 'Bob' },
      { id: 'p1', collection: 'projects', name: 'P' },
    ],
    actor: { id: 'eve', name: 'Eve' },
    tenant: { id: 'acme', name: 'Acme' },
    data: { text: 'hi' },
  });
  expect(workflow_run_id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const messages = await messagesOf(workflow_run_id, 3);
  expect(messages.map(({ recipient_id, tenant }) => [recipient_id, tenant])).toEqual([
    ['ada', 'acme'],
    ['bob', 'acme'],
    ['p1', 'acme'],
  ]);
  expect(JSON.stringify(messages)).toContain('Ada: hi from Eve');
  expect(JSON.stringify(messages)).toContain('Bob: hi from Eve');
  expect(await knock.users.get('bob')).toMatchObject({ name: 'Bob' });
  expect(await knock.users.get('eve')).toMatchObject({ name: 'Eve' });
  expect(await knock.tenants.get('acme')).toMatchObject({ name: 'Acme' });
  expect(await knock.objects.get('projects', 'p1')).toMatchObject({ properties: { name: 'P' } });
});

test('the preference set of an inline tenant merges, or replaces where it says so', async () => {
  const trigger = (workflows: Record<string, boolean>, strategy?: 'replace') =>
    knock.workflows.trigger('note', {
      recipients: ['stranger'],
      tenant: {
        id: 'layered',
        plan: 'pro',
        settings: {
          preference_set: {
            workflows,
            ...(strategy ? { __persistence_strategy__: strategy } : {}),
          },
        },
      },
    });
  const set = async () => (await knock.tenants.get('layered')).settings?.preference_set?.workflows;
  await trigger({ a: true }, 'replace');
  await trigger({ b: true });
  expect(await set()).toEqual({ a: true, b: true });
  await trigger({ c: false }, 'replace');
  await trigger({ c: false }, 'replace');
  expect(await set()).toEqual({ c: false });
  expect(await knock.tenants.get('layered')).toMatchObject({ plan: 'pro' });
});

test('a tenant that does not exist becomes a stub; a user id that does not exist does not', async () => {
  await knock.workflows.trigger('note', { recipients: ['stranger'], tenant: 'stub' });
  expect(await knock.tenants.get('stub')).toMatchObject({ id: 'stub', name: null });
  await expect(knock.users.get('stranger')).rejects.toBeInstanceOf(Knock.NotFoundError);
});

test('a recipient that is named twice is told once, with data of its own', async () => {
  const { workflow_run_id } = await knock.workflows.trigger('note', {
    recipients: [
      'twice',
      { id: 'twice', name: 'Twice' },
      { id: 'own', name: 'Own', $trigger_data: { text: 'for you' } } as never,
    ],
    data: { text: 'for all' },
  });
  const messages = await messagesOf(workflow_run_id, 2);
  expect(messages.map(({ recipient_id }) => recipient_id)).toEqual(['own', 'twice']);
  expect(JSON.stringify(messages)).toContain('Own: for you');
  expect(JSON.stringify(messages)).toContain('Twice: for all');
});

test('1,000 recipients of any shape are accepted in one trigger', async () => {
  const recipients = Array.from({ length: 1_000 }, (_, i) =>
    i % 2 === 0 ? `crowd-${i}` : { id: `crowd-${i}`, name: `Name ${i}` },
  );
  const { workflow_run_id } = await knock.workflows.trigger('note', { recipients });
  expect(await messagesOf(workflow_run_id, 1_000)).toHaveLength(1_000);
});

describe('an idempotency key', () => {
  const body = { recipients: ['idem'], data: { text: 'once', n: 1 } };

  test('makes a repetition the same run, and says so', async () => {
    const headers = { 'idempotency-key': 'key-1' };
    const first = await trigger('note', body, headers);
    expect(first.headers['idempotent-replayed']).toBeUndefined();
    const again = await trigger(
      'note',
      { data: { n: 1, text: 'once' }, recipients: ['idem'] },
      headers,
    );
    expect(again.body).toEqual(first.body);
    expect(again.headers).toMatchObject({
      'idempotent-replayed': 'true',
      'original-x-request-id': first.headers['x-request-id'],
    });
    expect(again.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
  });

  test('with other parameters, or for another workflow, is a 409', async () => {
    const headers = { 'idempotency-key': 'key-2' };
    await trigger('note', body, headers);
    for (const answer of [
      await trigger('note', { ...body, data: { text: 'twice' } }, headers),
      await trigger('strict', { ...body, data: { count: 1 } }, headers),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_conflict']);
    }
  });

  test('makes one run of many requests at the same time', async () => {
    const headers = { 'idempotency-key': 'key-3' };
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => trigger('note', body, headers)),
    );
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.every(({ status }) => status === 200)).toBe(true);
  });

  test('of 255 characters is fine, and a refused request does not use it up', async () => {
    const headers = { 'idempotency-key': 'x'.repeat(255) };
    expect((await trigger('note', { recipients: [] }, headers)).status).toBe(422);
    expect((await trigger('note', body, headers)).status).toBe(200);
  });

  test('belongs to its environment', async () => {
    const other = await api.account();
    await publishWorkflows(other.environment, [{ key: 'note', content: workflow('note') }]);
    const headers = { 'idempotency-key': 'key-4' };
    const first = await trigger('note', body, headers);
    const second = await api.call('POST', '/v1/workflows/note/trigger', {
      key: other.secretKey,
      body,
      headers,
    });
    expect(second.status).toBe(200);
    expect(second.body).not.toEqual(first.body);
  });
});

test('a workflow that is not active is refused by name', async () => {
  const answer = await trigger('asleep', { recipients: ['ada'] });
  expect([answer.status, answer.body.code]).toEqual([422, 'workflow_inactive']);
});

test('data that breaks the schema of the workflow is refused by name, and nobody is identified', async () => {
  const answer = await trigger('strict', {
    recipients: [{ id: 'unseen' }],
    data: { count: 'many' },
  });
  expect([answer.status, answer.body.code]).toEqual([422, 'invalid_params']);
  expect(answer.body.errors[0].field).toContain('data');
  await expect(knock.users.get('unseen')).rejects.toBeInstanceOf(Knock.NotFoundError);
});

test('a workflow of another environment does not exist', async () => {
  const other = await api.account();
  const answer = await api.call('POST', '/v1/workflows/note/trigger', {
    key: other.secretKey,
    body: { recipients: ['ada'] },
  });
  expect([answer.status, answer.body.code]).toEqual([404, 'workflow_missing']);
});

test('a cancellation is a 204 without a body', async () => {
  await knock.workflows.cancel('note', { cancellation_key: 'c1', recipients: ['ada'] });
  const answer = await api.call('POST', '/v1/workflows/note/cancel', {
    key: account.secretKey,
    body: { cancellation_key: 'c1', recipients: null },
  });
  expect([answer.status, answer.text]).toEqual([204, '']);
});
