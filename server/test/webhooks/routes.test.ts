import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';

const PATH = '/control/v1/webhooks';

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  account = await api.account();
});

type Method = Parameters<TestApi['call']>[0];

const call = (method: Method, path = '', body?: object, key = account.service_token) =>
  api.call(method, `${PATH}${path}`, { key, ...(body ? { body } : {}) });

async function added(body: object = {}): Promise<{ readonly id: string; readonly secret: string }> {
  const answer = await call('POST', '', { url: 'https://example.com/hook', ...body });
  expect(answer.status).toBe(201);
  return answer.body;
}

/** Events of the endpoint, as if they had been recorded. */
async function recorded(id: string, states: readonly number[]): Promise<void> {
  await api.ctx.db.query(
    `insert into webhook_delivery (endpoint_id, type, state, attempts, event_id, subject, created_at, due_at, log)
     select w.id, 5, s.state, 8, gen_random_uuid(), gen_random_uuid(),
            '2026-01-01T00:00:00Z'::timestamptz + s.n * interval '1 second', now(), '[{"attempt": 8}]'
     from webhook_endpoint w, unnest($2::smallint[]) with ordinality as s (state, n)
     where w.public_id = $1`,
    [id, states],
  );
}

test('a webhook is added, shown, changed and removed', async () => {
  const { id, secret } = await added({ events: ['message.sent'], description: 'ours' });
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect((await call('GET', `/${id}`)).body).toMatchObject({
    url: 'https://example.com/hook',
    description: 'ours',
    events: ['message.sent'],
    status: 'enabled',
    reason: null,
  });
  const changed = await call('PATCH', `/${id}`, {
    events: ['message.read', 'message.sent'],
    description: null,
  });
  expect(changed.body).toMatchObject({
    url: 'https://example.com/hook',
    events: ['message.sent', 'message.read'],
    description: null,
  });
  expect((await call('DELETE', `/${id}`)).status).toBe(204);
  expect((await call('GET')).body).toEqual({ entries: [] });
});

test('a webhook that names no events gets all 26', async () => {
  await added();
  expect((await call('GET')).body.entries[0].events).toHaveLength(26);
});

test('a secret is shown once, and is not readable in the database', async () => {
  const { id, secret } = await added();
  const { body } = await call('POST', `/${id}/rotate`, {});
  expect(body.secret).toMatch(/^whsec_/);
  const answers = [
    await call('GET'),
    await call('GET', `/${id}`),
    await call('PATCH', `/${id}`, {}),
  ];
  const [row] = await api.ctx.db.query<{ text: string }>(
    'select webhook_endpoint::text as text from webhook_endpoint where public_id = $1',
    [id],
  );
  for (const text of [...answers.map((answer) => answer.text), row?.text ?? '']) {
    expect(text).not.toContain('whsec_');
    expect(text).not.toContain(secret.slice(6));
    expect(text).toContain(id);
  }
});

test('a webhook is disabled with a reason, and enabled', async () => {
  const { id } = await added();
  const disabled = await call('POST', `/${id}/disable`, { reason: 'moving' });
  expect(disabled.body).toMatchObject({ status: 'disabled', reason: 'moving' });
  expect(disabled.body.stopped_at).not.toBeNull();
  expect((await call('POST', `/${id}/enable`, {})).body).toMatchObject({
    status: 'enabled',
    reason: null,
    stopped_at: null,
  });
});

test.each([
  ['http', { url: 'http://example.com' }, 'url'],
  ['no url', { url: 'nonsense' }, 'url'],
  ['a password', { url: 'https://me:secret@example.com' }, 'url'],
  ['no events', { url: 'https://example.com', events: [] }, 'events'],
])('a webhook with %s is refused', async (_, body, field) => {
  const answer = await call('POST', '', body);
  expect(answer.status).toBe(422);
  expect(answer.body.errors[0].field).toContain(field);
});

test('an event that does not exist is refused', async () => {
  const answer = await call('POST', '', { url: 'https://example.com', events: ['message.eaten'] });
  expect(answer.status).toBe(422);
});

test('an environment has 20 webhooks at the most, also when many are added at once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 25 }, () => call('POST', '', { url: 'https://example.com' })),
  );
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(20);
  expect(answers.filter(({ status }) => status === 409)).toHaveLength(5);
});

test('a webhook of another account or environment does not exist', async () => {
  const { id } = await added();
  const other = await api.account();
  const paths: [Method, string, object?][] = [
    ['GET', `/${id}`],
    ['PATCH', `/${id}`, {}],
    ['DELETE', `/${id}`],
    ['POST', `/${id}/disable`, {}],
    ['POST', `/${id}/enable`, {}],
    ['POST', `/${id}/rotate`, {}],
    ['GET', `/${id}/deliveries`],
    ['POST', `/${id}/replay`, { from: '2026-01-01T00:00:00Z' }],
    ['POST', `/${id}/replay`, { delivery_id: '1' }],
  ];
  for (const [method, path, body] of paths) {
    expect((await call(method, path, body, other.service_token)).status, path).toBe(404);
    expect((await call(method, `${path}?environment=production`, body)).status, path).toBe(404);
  }
  expect((await call('GET', '', undefined, other.service_token)).body.entries).toEqual([]);
  expect((await call('GET', `/${id}`)).status).toBe(200);
});

test('only a service token may look', async () => {
  expect((await call('GET', '', undefined, account.secretKey)).status).toBe(403);
});

test('the log is read page by page in both directions, newest first, and filtered', async () => {
  const { id } = await added();
  await recorded(id, [1, 2, 1, 2, 1]);
  const page = async (query: string) => (await call('GET', `/${id}/deliveries${query}`)).body;
  const all = await page('');
  expect(all.items.map((item: { status: string }) => item.status)).toEqual([
    'delivered',
    'failed',
    'delivered',
    'failed',
    'delivered',
  ]);
  const first = await page('?page_size=2');
  const second = await page(`?page_size=2&after=${first.page_info.after}`);
  expect([...first.items, ...second.items]).toEqual(all.items.slice(0, 4));
  const back = await page(`?page_size=2&before=${second.page_info.before}`);
  expect(back.items).toEqual(first.items);
  expect((await page('?status=failed')).items).toHaveLength(2);
  expect((await call('GET', `/${id}/deliveries?after=x`)).status).toBe(422);
});

test('a replay needs an event or a time, and only one of a webhook is under way', async () => {
  const { id } = await added();
  expect((await call('POST', `/${id}/replay`, {})).status).toBe(422);
  expect((await call('POST', `/${id}/replay`, { from: 'yesterday' })).status).toBe(422);
  expect((await call('POST', `/${id}/replay`, { from: '2126-01-01T00:00:00Z' })).status).toBe(422);
  const range = { from: '2026-01-01T00:00:00Z', until: '2026-01-02T00:00:00Z' };
  expect((await call('POST', `/${id}/replay`, range)).status).toBe(202);
  expect((await call('POST', `/${id}/replay`, range)).status).toBe(409);
});

test('what waits cannot be replayed, and what was replayed waits', async () => {
  const { id } = await added();
  await recorded(id, [2]);
  const [item] = (await call('GET', `/${id}/deliveries`)).body.items;
  expect((await call('POST', `/${id}/replay`, { delivery_id: item.id })).status).toBe(202);
  expect((await call('GET', `/${id}/deliveries`)).body.items[0].status).toBe('waiting');
  expect((await call('POST', `/${id}/replay`, { delivery_id: item.id })).status).toBe(409);
});
