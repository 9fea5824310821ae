import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publishWorkflows } from '../../src/control/publish.ts';
import { waitFor } from '../support/wait.ts';
import type { TestAccount, TestApi } from './api-server.ts';
import { startApiWithEngine } from './api-with-engine.ts';

let api: TestApi;
let account: TestAccount;

const feedStep = {
  type: 'channel',
  ref: 'feed',
  channel_key: 'in-app',
  channel_type: 'in_app_feed',
  template: { markdown_body: '{{ data.text }} from {{ actor.id }}' },
};
const delay = {
  type: 'delay',
  ref: 'wait',
  settings: { delay_for: { unit: 'seconds', value: 2 } },
};

beforeAll(async () => {
  api = await startApiWithEngine();
  account = await api.account();
  await publishWorkflows(account.environment, [
    { key: 'note', content: { name: 'note', active: true, steps: [feedStep] } },
    { key: 'later', content: { name: 'later', active: true, steps: [delay, feedStep] } },
  ]);
});
afterAll(() => api.close());

const notify = (body: unknown, key = account.secretKey, headers = {}) =>
  api.call('POST', '/v1/notify', { key, body, headers });
const cancel = (body: unknown, key = account.secretKey) =>
  api.call('POST', '/v1/notify/cancel', { key, body });

const good = { name: 'note', actor: 'eve', recipients: ['ada'], data: { text: 'hi' } };

test('the first form of a trigger runs the workflow and answers with the id of its run', async () => {
  const answer = await notify(good);
  expect([answer.status, Object.keys(answer.body)]).toEqual([200, ['result_id']]);
  const [message] = await waitFor('the message', async () => {
    const rows = await api.ctx.db.query<{ readonly content: unknown }>(
      'select content from message where workflow_run_id = $1',
      [answer.body.result_id],
    );
    return rows.length > 0 ? rows : undefined;
  });
  expect(JSON.stringify(message?.content)).toContain('hi from eve');
});

test('an idempotency key means nothing to it: two requests are two runs', async () => {
  const headers = { 'idempotency-key': 'same' };
  const first = await notify(good, account.secretKey, headers);
  const second = await notify(good, account.secretKey, headers);
  expect(first.body.result_id).not.toBe(second.body.result_id);
  expect(second.headers['idempotent-replayed']).toBeUndefined();
});

describe('is refused by name', () => {
  const { actor: _, ...nobody } = good;
  test.each([
    ['without an actor', nobody, 422, 'actor_missing'],
    ['with null as the actor', { ...good, actor: null }, 422, 'actor_missing'],
    ['without recipients', { ...good, recipients: [] }, 422, 'invalid_params'],
    ['without a name', { ...good, name: undefined }, 422, 'invalid_params'],
    ['with a number as the name', { ...good, name: 7 }, 422, 'invalid_params'],
    ['with a list as the body', [good], 422, 'invalid_params'],
    ['for a workflow that is not there', { ...good, name: 'nothing' }, 404, 'workflow_missing'],
  ])('%s', async (_name, body, status, code) => {
    const answer = await notify(body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  test('with a public key', async () => {
    for (const answer of [
      await notify(good, account.publicKey),
      await cancel({ name: 'note', cancellation_key: 'x' }, account.publicKey),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([403, 'incorrect_token_type']);
    }
  });
});

test('another account’s workflow does not exist, to trigger or to cancel', async () => {
  const other = await api.account();
  for (const answer of [
    await notify(good, other.secretKey),
    await cancel({ name: 'note', cancellation_key: 'x' }, other.secretKey),
  ]) {
    expect([answer.status, answer.body.code]).toEqual([404, 'workflow_missing']);
  }
});

test('the first form of a cancellation ends what waits, for the recipients that it names', async () => {
  const { body } = await notify({
    ...good,
    name: 'later',
    recipients: ['ada', 'bob'],
    cancellation_key: 'c-1',
  });
  const answer = await cancel({ name: 'later', cancellation_key: 'c-1', recipients: ['ada'] });
  expect([answer.status, answer.text]).toEqual([204, '']);
  const statuses = await waitFor('both to end', async () => {
    const runs = await api.call('GET', '/v1/workflow_recipient_runs?workflow=later', {
      key: account.secretKey,
    });
    const items: readonly { recipient: string; status: string }[] = runs.body.items;
    const ended = items.filter(({ status }) => status === 'completed' || status === 'cancelled');
    return ended.length === 2 ? ended.map((run) => [run.recipient, run.status]) : undefined;
  });
  expect(statuses.sort()).toEqual([
    ['ada', 'cancelled'],
    ['bob', 'completed'],
  ]);
  const messages = await api.ctx.db.query(
    'select recipient_id from message where workflow_run_id = $1',
    [body.result_id],
  );
  expect(messages).toEqual([{ recipient_id: 'bob' }]);
});

test('a cancellation without a key or a name is refused', async () => {
  expect((await cancel({ name: 'later' })).body.errors[0].field).toBe('cancellation_key');
  expect((await cancel({ cancellation_key: 'x' })).body.errors[0].field).toBe('name');
});
