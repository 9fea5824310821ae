import { afterAll, beforeAll, expect, test } from 'vitest';
import { publishWorkflows } from '../../src/control/publish.ts';
import { waitFor } from '../support/wait.ts';
import type { TestAccount, TestApi } from './api-server.ts';
import { startApiWithEngine } from './api-with-engine.ts';

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startApiWithEngine();
  account = await api.account();
  const template = { markdown_body: 'hello' };
  const steps = [{ ref: 'a', type: 'channel', channel_key: 'in-app', template }];
  await publishWorkflows(account.environment, [{ key: 'note', content: { name: 'note', steps } }]);
});
afterAll(() => api.close());

const scope = () => ({ account: account.account });

function call(method: 'GET' | 'POST', path: string, body?: object, key = api.operatorToken) {
  return api.call(method, `/ops/v1/orders${path}`, { key, ...(body && { body }) });
}

async function give(body: object) {
  const answer = await call('POST', '', { scope: scope(), reason: 'because', ...body });
  expect([answer.status, answer.body]).toEqual([201, expect.anything()]);
  return answer.body;
}

async function trigger(recipients: number): Promise<void> {
  const { status } = await api.call('POST', '/v1/workflows/note/trigger', {
    key: account.secretKey,
    body: { recipients: Array.from({ length: recipients }, (_, i) => `user-${i}`) },
  });
  expect(status).toBe(200);
}

test('an order has who, why, what and until when; a named token is its author, whatever is said', async () => {
  const order = await give({ verb: 'slow', rate: 5, author: 'somebody else', expires_in: 3_600 });
  expect(order).toMatchObject({
    verb: 'slow',
    state: 'active',
    rate: 5,
    scope: scope(),
    author: 'test',
    reason: 'because',
    ended_at: null,
    concerned: { runs: 0, deliveries: 0, oldest: null, samples: [] },
  });
  expect(Date.parse(order.expires_at) - Date.parse(order.created_at)).toBeLessThanOrEqual(
    3_600_000,
  );
  const { status, body } = await call('POST', `/${order.id}/undo`);
  expect([status, body]).toMatchObject([200, { state: 'ended', ended_by: 'test' }]);
  const again = await call('POST', `/${order.id}/undo`, {});
  expect([again.status, again.body.code]).toEqual([409, 'conflict']);
});

test('orders that last come first in the list, with what they set aside', async () => {
  const lasting = await give({ verb: 'hold' });
  const other = await give({ verb: 'hold', scope: { ...scope(), tenant: 'blue' } });
  await call('POST', `/${other.id}/undo`, { reason: 'over' });
  await trigger(3);
  await waitFor('the runs to be set aside', async () => {
    const { body } = await call('GET', `/${lasting.id}`);
    return body.aside.runs === 3 ? true : undefined;
  });
  const { body } = await call('GET', '');
  expect(body.entries[0]).toMatchObject({ id: lasting.id, aside: { runs: 3, deliveries: 0 } });
  expect(body.entries[1]).toMatchObject({ id: other.id, aside: null, end_reason: 'over' });
  const active = await call('GET', '?active=true');
  expect(active.body.entries.map(({ id }: { id: number }) => id)).toEqual([lasting.id]);
  await call('POST', `/${lasting.id}/undo`, {});
  await waitFor('the released runs', async () => {
    const rows = await api.ctx.db.query('select id from recipient_run');
    return rows.length === 3 ? true : undefined;
  });
});

test('an export is a line for each run, as the run would see it, and a line in the audit log', async () => {
  const order = await give({ verb: 'hold' });
  await trigger(120);
  const { status, headers, text } = await call('GET', `/${order.id}/export`);
  expect([status, headers['content-type']]).toEqual([200, 'application/x-ndjson; charset=utf-8']);
  const runs = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(runs).toHaveLength(120);
  expect(new Set(runs.map(({ recipient }) => recipient)).size).toBe(120);
  expect(runs[0]).toMatchObject({ workflow: 'note', tenant: null, data: {} });
  expect(text).toContain('user-119');
  const audit = await api.call('GET', '/ops/v1/audit?limit=1', { key: api.operatorToken });
  expect(audit.body.entries).toMatchObject([{ action: 'export', order: order.id, author: 'test' }]);
  await call('POST', `/${order.id}/undo`, {});
  const over = await call('GET', `/${order.id}/export`);
  expect(over.status).toBe(409);
});

test.each([
  ['no reason', { verb: 'hold', reason: ' ' }, 'reason'],
  ['slow without a rate', { verb: 'slow' }, 'rate'],
  ['hold with a rate', { verb: 'hold', rate: 5 }, 'rate'],
  ['another verb', { verb: 'drop' }, 'verb'],
  ['no time', { verb: 'hold', expires_in: 0 }, 'expires_in'],
  ['two months', { verb: 'hold', expires_in: 5_184_000 }, 'expires_in'],
  ['an empty scope', { verb: 'hold', scope: {} }, 'scope'],
])('%s is refused, and names the field', async (_, body, field) => {
  const before = (await call('GET', '')).body;
  const answer = await call('POST', '', { scope: scope(), reason: 'because', ...body });
  expect([answer.status, answer.body.code]).toEqual([422, 'invalid_params']);
  expect(answer.body.errors.map((error: { field: string }) => error.field)).toContain(field);
  expect((await call('GET', '')).body).toEqual(before);
});

test('orders that do not exist are 404', async () => {
  for (const path of ['/999999', '/999999/export']) {
    expect((await call('GET', path)).status).toBe(404);
  }
  expect((await call('POST', '/999999/undo', {})).status).toBe(404);
});

test('nobody without an operator token gives, sees, ends or exports orders', async () => {
  const order = await give({ verb: 'hold', scope: { ...scope(), tenant: 'nobody' } });
  for (const key of [account.secretKey, account.publicKey, account.service_token]) {
    const answers = [
      await call('POST', '', { verb: 'hold', scope: scope(), reason: 'x' }, key),
      await call('POST', '/preview', { scope: scope() }, key),
      await call('GET', '', undefined, key),
      await call('GET', `/${order.id}`, undefined, key),
      await call('GET', `/${order.id}/export`, undefined, key),
      await call('POST', `/${order.id}/undo`, {}, key),
    ];
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 403));
  }
  expect((await call('GET', `/${order.id}`)).body.state).toBe('active');
});
