import { afterAll, beforeAll, expect, test } from 'vitest';
import { type HttpServer, readBody, serveHttp } from '../channels/support.ts';
import { feedStep, webhookStep } from '../support/engine-world.ts';
import { waitFor } from '../support/wait.ts';
import { type BroadcastServer, startBroadcastServer } from './support.ts';

let server: BroadcastServer;
let webhook: HttpServer;
/** Users for whom the webhook refuses. */
let refused: ReadonlySet<string> = new Set();

beforeAll(async () => {
  server = await startBroadcastServer();
  webhook = await serveHttp(async (request, response) => {
    const body = await readBody(request);
    response.writeHead(refused.has(body) ? 400 : 200).end();
  });
  await server.whole.push('news', [feedStep('News: {{ data.text }}')]);
  await server.whole.push('hook', [webhookStep()]);
});
afterAll(async () => {
  await webhook?.close();
  await server?.stop();
});

const onceEach = (ids: readonly string[]) => new Map([...ids].sort().map((id) => [id, 1]));
const sorted = (map: ReadonlyMap<string, number>) => new Map([...map].sort());

test('a static audience gets it once each, the canary first', async () => {
  const ids = await server.audience('club', 1_300);
  const id = await server.start({ audience: 'club', data: { text: 'hello' } });
  const done = await server.waitFor(id, ({ state }) => state === 'finished');
  expect(done).toMatchObject({
    total: 1_300,
    canary: { size: 13, state: 'passed' },
    progress: { total: 1_300, sent: 1_300, done: 1_300, failed: 0, stuck: false },
  });
  expect(sorted(await server.messages(id))).toEqual(onceEach(ids));
  const recipients = await server.recipients(id);
  expect(recipients.map(({ recipient }) => recipient).sort()).toEqual([...ids].sort());
  expect(recipients.every(({ status, failed }) => status === 'completed' && !failed)).toBe(true);
});

test('a condition over properties chooses users as it does in workflows', async () => {
  const pro = await server.users(40, 'pro', { plan: 'pro', seats: 12 });
  await server.users(40, 'small', { plan: 'pro', seats: 2 });
  await server.users(40, 'free', { plan: 'free', seats: 12 });
  const { status } = await server.call('PUT', '/v1/audiences/big-pro', {
    kind: 'condition',
    conditions: {
      all: [
        { variable: 'recipient.plan', operator: 'equal_to', argument: 'pro' },
        { variable: 'recipient.seats', operator: 'greater_than', argument: '10' },
      ],
    },
  });
  expect(status).toBe(200);
  const id = await server.start({ audience: 'big-pro' });
  await server.waitFor(id, ({ state }) => state === 'finished');
  expect(sorted(await server.messages(id))).toEqual(onceEach(pro));
});

test('without an audience it goes to all users, those that come later excepted', async () => {
  const [row] = await server.test.db.query<{ count: number }>(
    `select count(*)::int as count
     from recipient
     where collection = '$users'
       and environment_id = $1`,
    [server.environmentId],
  );
  const id = await server.start({ start: false });
  await server.waitFor(id, ({ state }) => state === 'paused');
  await server.users(3, 'late');
  await server.call('POST', `/v1/broadcasts/${id}/resume`);
  const { total } = await server.waitFor(id, ({ state }) => state === 'finished');
  expect(total).toBe(row?.count);
  const recipients = await server.recipients(id);
  expect(recipients).toHaveLength(row?.count ?? 0);
  expect(recipients.some(({ recipient }) => recipient.startsWith('late-'))).toBe(false);
});

test('a member gets it with the tenant of each membership, or once with the tenant of the broadcast', async () => {
  await server.users(2, 'tenanted');
  await server.call('POST', '/v1/audiences/tenanted/members?create_audience=true', {
    members: [
      { user: { id: 'tenanted-0' }, tenant: 'isla' },
      { user: { id: 'tenanted-0' }, tenant: 'sorna' },
      { user: { id: 'tenanted-1' } },
    ],
  });
  const each = await server.start({ audience: 'tenanted' });
  await server.waitFor(each, ({ state }) => state === 'finished');
  const pairs = async (id: string) =>
    (await server.recipients(id)).map(({ recipient, tenant }) => [recipient, tenant]);
  expect(await pairs(each)).toEqual([
    ['tenanted-0', 'isla'],
    ['tenanted-0', 'sorna'],
    ['tenanted-1', null],
  ]);
  const rows = await server.test.db.query(
    `select tenant
     from message
     where recipient_id = 'tenanted-0'
       and tenant is not null
     order by tenant`,
  );
  expect(rows).toEqual([{ tenant: 'isla' }, { tenant: 'sorna' }]);
  const one = await server.start({ audience: 'tenanted', tenant: 'nublar' });
  await server.waitFor(one, ({ state }) => state === 'finished');
  expect(await pairs(one)).toEqual([
    ['tenanted-0', 'nublar'],
    ['tenanted-1', 'nublar'],
  ]);
});

test('after a pause nothing more is sent, and it goes on with everybody else', async () => {
  const ids = await server.audience('pausing', 1_500);
  const id = await server.start({ audience: 'pausing', rate: 600, canary: { size: 0 } });
  await server.waitFor(id, ({ progress }) => progress.done > 200);
  expect((await server.call('POST', `/v1/broadcasts/${id}/pause`)).status).toBe(200);
  const { sent } = (await server.show(id)).progress;
  expect(sent).toBeLessThan(1_500);
  const settled = await server.waitFor(id, ({ progress }) => progress.done === progress.sent);
  expect(settled).toMatchObject({ state: 'paused', progress: { sent } });
  await server.call('POST', `/v1/broadcasts/${id}/rate`, { rate: null });
  await server.call('POST', `/v1/broadcasts/${id}/resume`);
  await server.waitFor(id, ({ state }) => state === 'finished');
  expect(sorted(await server.messages(id))).toEqual(onceEach(ids));
});

test('a cancelled broadcast says exactly who got it', async () => {
  await server.audience('cancelled', 1_500);
  const id = await server.start({ audience: 'cancelled', rate: 600, canary: { size: 0 } });
  await server.waitFor(id, ({ progress }) => progress.done > 200);
  await server.call('POST', `/v1/broadcasts/${id}/cancel`);
  const over = await server.waitFor(id, ({ state }) => state === 'cancelled');
  expect(over.progress.done).toBe(over.progress.sent);
  const recipients = await server.recipients(id);
  expect(recipients).toHaveLength(over.progress.sent);
  expect(recipients.length).toBeLessThan(1_500);
  const rows = await server.test.db.query<{ recipient_id: string }>(
    `select recipient_id
     from message
     where recipient_id like 'cancelled-%'
     order by recipient_id`,
  );
  expect(rows.map(({ recipient_id }) => recipient_id)).toEqual(
    recipients.map(({ recipient }) => recipient).sort(),
  );
  expect((await server.call('POST', `/v1/broadcasts/${id}/resume`)).status).toBe(409);
});

test('it is sent no faster than its rate, which can be changed meanwhile', async () => {
  await server.audience('slow', 400);
  const id = await server.start({ audience: 'slow', rate: 100, canary: { size: 0 } });
  const { changed_at } = (await server.waitFor(
    id,
    ({ state }) => state === 'running',
  )) as unknown as { changed_at: string };
  await server.waitFor(id, ({ progress }) => progress.done >= 50);
  const [{ sent = 0, seconds = 0 } = {}] = await server.test.db.query<{
    sent: number;
    seconds: number;
  }>(
    `select sum(p.size)::int as sent,
            extract(epoch from max(p.accepted_at) - $2::timestamptz)::float8 as seconds
     from broadcast_part p
     join broadcast b on b.id = p.broadcast_id
     where b.public_id = $1`,
    [id, changed_at],
  );
  expect(sent).toBeLessThanOrEqual(100 * (seconds + 0.5) + 1);
  const { body } = await server.call('POST', `/v1/broadcasts/${id}/rate`, { rate: 100_000 });
  expect(body.rate).toBe(100_000);
  await server.waitFor(id, ({ state }) => state === 'finished');
});

test('a canary of which too many fail pauses the broadcast; those alone can be tried again', async () => {
  const ids = await server.audience('hooked', 300);
  refused = new Set(['hooked-0', 'hooked-1', 'hooked-10']);
  const body = { workflow: 'hook', data: { url: webhook.url } };
  const id = await server.start({ ...body, audience: 'hooked', canary: { size: 30 } });
  const paused = await server.waitFor(id, ({ state }) => state === 'paused');
  expect(paused).toMatchObject({ canary: { size: 30, state: 'failed' }, progress: { sent: 30 } });
  expect(paused.reason).toMatch(/^3 of the first 30 recipients failed, more than 5 %/);

  expect((await server.call('POST', `/v1/broadcasts/${id}/retry`)).status).toBe(409);
  await server.call('POST', `/v1/broadcasts/${id}/resume`);
  await server.waitFor(id, ({ state }) => state === 'finished');
  expect(sorted(await server.messages(id))).toEqual(onceEach(ids));

  refused = new Set();
  const { body: retry } = await server.call('POST', `/v1/broadcasts/${id}/retry`);
  expect(retry.retry_of).toBe(id);
  await server.waitFor(retry.id, ({ state }) => state === 'finished');
  const again = await server.recipients(retry.id);
  expect(again.map(({ recipient }) => recipient)).toEqual(['hooked-0', 'hooked-1', 'hooked-10']);
});

test('a canary of which few enough fail lets everybody else have it', async () => {
  await server.audience('mostly', 100);
  refused = new Set(['mostly-0']);
  const body = { workflow: 'hook', data: { url: webhook.url }, audience: 'mostly' };
  const id = await server.start({ ...body, canary: { size: 20, max_failed_share: 0.05 } });
  const done = await server.waitFor(id, ({ state }) => state === 'finished');
  expect(done).toMatchObject({ canary: { state: 'passed' }, progress: { sent: 100 } });
  refused = new Set();
});

test('an audience of nobody is finished at once', async () => {
  await server.call('PUT', '/v1/audiences/nobody', { kind: 'static' });
  const id = await server.start({ audience: 'nobody' });
  const { total } = await server.waitFor(id, ({ state }) => state === 'finished');
  expect(total).toBe(0);
});

/** An order about all of the environment's queued work; returns its id. */
async function give(verb: 'hold' | 'discard'): Promise<number> {
  const { status, body } = await server.call(
    'POST',
    '/ops/v1/orders',
    { verb, scope: { account: 'demo' }, reason: 'a test' },
    operatorToken(),
  );
  expect(status).toBe(201);
  return body.id;
}

const operatorToken = (): string => server.whole.server.credentials?.operator_token ?? '';

const end = (order: number) =>
  server.call('POST', `/ops/v1/orders/${order}/undo`, {}, operatorToken());

test('a broadcast waits for what an operator holds, and goes on when it is released', async () => {
  const ids = await server.audience('held', 900);
  const order = await give('hold');
  const id = await server.start({ audience: 'held', canary: { size: 0 } });
  await server.waitFor(id, ({ progress }) => progress.sent === 900);
  await waitFor('the work to be set aside', async () => {
    const [row] = await server.test.db.query<{ runs: number }>(
      `select sum(run_count)::int as runs
       from chunk
       where order_id = $1`,
      [order],
    );
    return row?.runs === 900 ? true : undefined;
  });
  expect(await server.show(id)).toMatchObject({ state: 'running', progress: { done: 0 } });
  expect((await end(order)).status).toBe(200);
  await server.waitFor(id, ({ state }) => state === 'finished');
  expect(sorted(await server.messages(id))).toEqual(onceEach(ids));
});

test('what an operator discards of a broadcast is counted as discarded', async () => {
  await server.audience('discarded', 900);
  const held = await give('hold');
  const id = await server.start({ audience: 'discarded', canary: { size: 0 } });
  await server.waitFor(id, ({ progress }) => progress.sent === 900);
  await give('discard');
  await end(held);
  const over = await server.waitFor(id, ({ state }) => state === 'finished');
  expect(over.progress).toMatchObject({ sent: 900, done: 0, failed: 0, discarded: 900 });
});
