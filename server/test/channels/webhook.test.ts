import { createHmac } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { DeliveryOutcome } from '../../src/channels/provider.ts';
import { createWebhookProvider } from '../../src/channels/webhook.ts';
import { deriveWebhookSigningSecret } from '../../src/channels/webhook-secret.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { closedPort, MESSAGE_ID, noAbort, outgoing, readBody, serveHttp } from './support.ts';

const NOW_MS = 1_800_000_000_000;
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function webhookProvider(timeoutMs = 5_000) {
  const provider = createWebhookProvider({
    allowPrivate: true,
    signingSecret: deriveWebhookSigningSecret('installation secret'),
    clock: { now: () => NOW_MS },
    timeoutMs,
  });
  cleanups.push(provider.close);
  return provider;
}

async function server(listener: RequestListener): Promise<string> {
  const running = await serveHttp(listener);
  cleanups.push(running.close);
  return running.url;
}

/** What a webhook comes to when the receiver answers so. */
async function outcomeOf(
  listener: RequestListener,
  content: JsonObject = { method: 'post', body: '{}' },
  timeoutMs?: number,
): Promise<DeliveryOutcome> {
  const url = await server(listener);
  return webhookProvider(timeoutMs).deliver(outgoing({ url, ...content }), noAbort());
}

test('the receiver can verify signature, idempotency key and exact body', async () => {
  const body = '{"text":"héllo \\u0000 🔔"}';
  let seen: { headers: NodeJS.Dict<string | string[]>; url?: string; method?: string } | undefined;
  let received = '';
  const url = await server(async (request, response) => {
    received = await readBody(request);
    seen = { headers: request.headers, url: request.url ?? '', method: request.method ?? '' };
    response.end('thanks');
  });
  const outcome = await webhookProvider().deliver(
    outgoing({
      method: 'put',
      url: `${url}/hook?a=1`,
      headers: [
        { key: 'X-Team', value: 'bells' },
        { key: 'X-Webhook-Signature', value: 'forged' },
        { key: 'Idempotency-Key', value: 'forged' },
        { key: 'Host', value: 'elsewhere' },
      ],
      query_params: [{ key: 'b', value: 'x y&z' }],
      body,
    }),
    noAbort(),
  );

  expect(outcome).toMatchObject({
    kind: 'delivered',
    detail: { status: 200, response_body: 'thanks', method: 'PUT' },
  });
  expect(received).toBe(body);
  expect(seen).toMatchObject({
    method: 'PUT',
    url: '/hook?a=1&b=x+y%26z',
    headers: {
      'x-team': 'bells',
      'idempotency-key': MESSAGE_ID,
      'user-agent': 'Belfry',
      'content-type': 'application/json',
      host: new URL(url).host,
    },
  });
  const secret = deriveWebhookSigningSecret('installation secret')(7);
  const mac = createHmac('sha256', secret).update(`${NOW_MS}.${received}`).digest('base64');
  expect(seen?.headers['x-webhook-signature']).toBe(`t=${NOW_MS},s=${mac}`);
});

test('each environment signs with a secret of its own', () => {
  const secretOf = deriveWebhookSigningSecret('installation secret');
  expect(secretOf(1)).toBe(secretOf(1));
  expect(secretOf(1)).not.toBe(secretOf(2));
  expect(deriveWebhookSigningSecret('another')(1)).not.toBe(secretOf(1));
});

test('headers and query parameters may be objects as well', async () => {
  let seen = '';
  await outcomeOf(
    (request, response) => {
      seen = `${request.url} ${request.headers['x-a']}`;
      response.end();
    },
    { method: 'get', headers: { 'x-a': 'b' }, query_params: { q: 5 } },
  );
  expect(seen).toBe('/?q=5 b');
});

test.each([200, 201, 204, 299])('%d is delivered', async (status) => {
  expect(await outcomeOf((_, response) => response.writeHead(status).end())).toMatchObject({
    kind: 'delivered',
    detail: { status },
  });
});

test.each([400, 401, 403, 404, 405, 410, 422])('%d is not tried again', async (status) => {
  expect(await outcomeOf((_, response) => response.writeHead(status).end())).toMatchObject({
    kind: 'rejected',
    code: 'webhook_refused',
    detail: { status },
  });
});

test.each([408, 425, 500, 502, 503, 504])('%d is tried again', async (status) => {
  expect(await outcomeOf((_, response) => response.writeHead(status).end())).toMatchObject({
    kind: 'retry',
    code: 'webhook_failed',
    detail: { status },
  });
});

test.each([
  ['120', 120_000],
  [new Date(NOW_MS + 90_000).toUTCString(), 90_000],
  [new Date(NOW_MS - 90_000).toUTCString(), 0],
  ['999999999', 3_600_000],
])('Retry-After: %s is honoured', async (header, afterMs) => {
  const outcome = await outcomeOf((_, response) =>
    response.writeHead(429, { 'retry-after': header }).end(),
  );
  expect(outcome).toMatchObject({ kind: 'retry', code: 'webhook_throttled', afterMs });
});

test('a Retry-After that makes no sense is ignored', async () => {
  const outcome = await outcomeOf((_, response) =>
    response.writeHead(503, { 'retry-after': 'soon' }).end(),
  );
  expect(outcome).not.toHaveProperty('afterMs');
});

test('a redirect is not followed', async () => {
  const paths: string[] = [];
  const outcome = await outcomeOf((request, response) => {
    paths.push(request.url ?? '');
    response.writeHead(302, { location: '/elsewhere' }).end();
  });
  expect(outcome).toMatchObject({ kind: 'rejected', code: 'webhook_redirected' });
  expect(paths).toEqual(['/']);
});

test('a receiver that does not answer in time is tried again', async () => {
  expect(await outcomeOf(() => {}, undefined, 150)).toMatchObject({
    kind: 'retry',
    code: 'webhook_timeout',
  });
});

test('of a huge answer only the first kilobyte is read and kept', async () => {
  const outcome = await outcomeOf((_, response) => {
    const more = () => {
      while (response.writable && response.write('x'.repeat(65_536)));
    };
    response.on('drain', more);
    more();
  });
  expect(outcome.kind).toBe('delivered');
  expect(String(outcome.detail.response_body)).toBe('x'.repeat(1024));
});

test('an answer without end counts by its status', async () => {
  const outcome = await outcomeOf(
    (_, response) => {
      response.writeHead(200);
      response.write('begun');
    },
    undefined,
    300,
  );
  expect(outcome).toMatchObject({ kind: 'delivered', detail: { response_body: 'begun' } });
});

test('NUL and broken UTF-8 in an answer become replacement characters', async () => {
  const outcome = await outcomeOf((_, response) => response.end(Buffer.from([65, 0, 0xff, 66])));
  expect(outcome.detail.response_body).toBe('A\uFFFD\uFFFDB');
});

test('a connection that is reset is tried again', async () => {
  expect(await outcomeOf((request) => request.socket.destroy())).toMatchObject({
    kind: 'retry',
    code: 'webhook_unreachable',
  });
});

test('an answer that is not HTTP is tried again', async () => {
  const garbage = createServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
    socket.end('hello, this is not http\r\n\r\n');
  });
  await new Promise<void>((resolve) => garbage.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => garbage.close(resolve)));
  const address = garbage.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const url = `http://127.0.0.1:${port}/`;
  expect(await webhookProvider().deliver(outgoing({ url }), noAbort())).toMatchObject({
    kind: 'retry',
    code: 'webhook_unreachable',
  });
});

test('a port on which nobody listens is tried again', async () => {
  const url = `http://127.0.0.1:${await closedPort()}/`;
  expect(await webhookProvider().deliver(outgoing({ url }), noAbort())).toMatchObject({
    kind: 'retry',
    code: 'webhook_unreachable',
  });
});

test('a host that does not exist is tried again', async () => {
  const url = 'http://belfry-test.invalid/';
  expect(await webhookProvider().deliver(outgoing({ url }), noAbort())).toMatchObject({
    kind: 'retry',
    code: 'webhook_host_not_found',
  });
});

test('a delivery that is aborted ends at once and is tried again', async () => {
  const abort = new AbortController();
  const url = await server(() => abort.abort());
  const outcome = await webhookProvider().deliver(outgoing({ url }), abort.signal);
  expect(outcome).toMatchObject({ kind: 'retry', code: 'delivery_aborted' });
});

test.each<[string, JsonObject]>([
  ['no url', {}],
  ['a relative url', { url: '/hook' }],
  ['credentials in the url', { url: 'https://user:secret@example.com/' }],
  ['another method', { url: 'https://example.com/', method: 'connect' }],
  ['a header name with a space', { url: 'https://example.com/', headers: { 'a b': 'c' } }],
  ['a line break in a header', { url: 'https://example.com/', headers: { a: 'b\r\nc: d' } }],
])('%s is refused before anything is sent', async (_, content) => {
  const outcome = await webhookProvider().deliver(outgoing(content), noAbort());
  expect(outcome).toMatchObject({ kind: 'rejected', code: 'webhook_request_invalid' });
  expect(JSON.stringify(outcome)).not.toContain('secret');
});

test('another scheme is refused', async () => {
  const outcome = await webhookProvider().deliver(
    outgoing({ url: 'file:///etc/hosts' }),
    noAbort(),
  );
  expect(outcome).toMatchObject({ kind: 'rejected', code: 'webhook_url_not_https' });
});
