import { createHmac } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { recordCancellation } from '../../src/engine/cancel.ts';
import { CALLS, type ChunkRef } from '../../src/engine/log/chunk.ts';
import { RUN_STATUS } from '../../src/engine/status.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { type HttpServer, readBody, serveHttp } from '../channels/support.ts';
import * as rows from '../support/engine-rows.ts';
import {
  appendedCalls,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  feedStep,
  fetchStep,
} from '../support/engine-world.ts';

let world: EngineWorld;
let other: HttpServer;
type Asked = { readonly request: IncomingMessage; readonly body: string };
let asked: Asked[] = [];
let reply: (response: ServerResponse, request: IncomingMessage) => void;
const ok = (json: unknown) => (response: ServerResponse) => void response.end(JSON.stringify(json));

beforeAll(async () => {
  world = await createEngineWorld();
  other = await serveHttp(async (request, response) => {
    asked.push({ request, body: await readBody(request) });
    reply(response, request);
  });
});
afterEach(() => {
  asked = [];
});
afterAll(async () => {
  await other.close();
  await world.close();
});

/** Accepts a trigger for one recipient, and executes it until it asks. */
async function begun(step: JsonObject, data: JsonObject = {}, more: JsonObject = {}) {
  const after = feedStep('{{ data | json }}');
  const of = await world.workflow({ steps: [step, after] });
  const request = { ...of, recipients: [{ recipient: 'ada' }], data: { url: other.url, ...data } };
  const { refs, runIds } = await world.accept({ ...request, ...more });
  const calls = appendedCalls(await world.execute(refs));
  return { ...of, runId: runIds[0] ?? '', calls };
}

/** The data that the feed item shows, without the URL. */
async function dataAfter(runId: string): Promise<unknown> {
  const [message] = await rows.messagesOf(world.test.db, runId);
  const text = message?.content.body?.replaceAll('&quot;', '"').replaceAll('&#34;', '"');
  const { url: _, ...data } = JSON.parse(text ?? '{}');
  return data;
}

const segments = (runId: string) => rows.segmentsOf(world.test.db, runId);

describe('a fetch', () => {
  test('waits in a chunk of calls, due at once, and goes on with what was answered [workflow.steps]', async () => {
    reply = ok({ order: 7, kept: 'new' });
    const { runId, calls } = await begun(fetchStep(), { kept: 'old', more: 1 });
    expect(calls).toMatchObject([{ kind: CALLS, runCount: 1, sliceCount: 1, dueMs: undefined }]);
    const [answered] = (await world.execute(calls)).flatMap(({ appended }) => appended);
    expect(answered).toMatchObject({ kind: 0, runCount: 1, dueMs: world.clock.now() });
    await world.executeAll(answered ? [answered] : []);
    expect(await dataAfter(runId)).toEqual({ kept: 'new', more: 1, order: 7 });
    expect(await segments(runId)).toMatchObject([
      {
        segment: 1,
        status: RUN_STATUS.completed,
        steps: [
          { step_ref: 'fetch_1', outcome: 'continued', reason: 'answered 200 after 1 attempt' },
          { step_ref: 'in_app_feed_1', outcome: 'message' },
        ],
      },
    ]);
  });

  test('sends method, headers, query and body, each from its template [http_fetch.method] [http_fetch.url] [http_fetch.headers] [http_fetch.query_params] [http_fetch.body]', async () => {
    reply = ok({});
    const step = fetchStep({
      method: 'post',
      url: '{{ data.url }}/orders/{{ data.id }}',
      headers: [{ key: 'x-who', value: '{{ recipient.id }}' }],
      query_params: '{"q": "{{ data.id }}"}',
      body: '{"id": {{ data.id }}}',
    });
    const { calls } = await begun(step, { id: 5 });
    await world.execute(calls);
    expect(asked).toHaveLength(1);
    expect(asked[0]?.request).toMatchObject({ method: 'POST', url: '/orders/5?q=5' });
    expect(asked[0]?.request.headers).toMatchObject({ 'x-who': 'ada' });
    expect(asked[0]?.request.headers['x-knock-signature']).toBeUndefined();
    expect(asked[0]?.body).toBe('{"id": 5}');
  });

  test('puts the answer at a path, whatever JSON it is [http_fetch.response_path]', async () => {
    reply = ok([1, 2]);
    const { runId, calls } = await begun(fetchStep({ response_path: 'data.shop.orders' }), {
      shop: { name: 'x' },
    });
    await world.executeAll(calls);
    expect(await dataAfter(runId)).toEqual({ shop: { name: 'x', orders: [1, 2] } });
  });

  test('has no data from an empty answer of 204', async () => {
    reply = (response) => void response.writeHead(204).end();
    const { runId, calls } = await begun(fetchStep(), { a: 1 });
    await world.executeAll(calls);
    expect(await dataAfter(runId)).toEqual({ a: 1 });
  });

  test('is signed over time and body when the step has a key [http_fetch.signing_key]', async () => {
    reply = ok({});
    const step = fetchStep({ method: 'post', body: 'x', signing_key: '{{ data.key }}' });
    const { calls } = await begun(step, { key: 's3cret' });
    await world.execute(calls);
    const signature = String(asked[0]?.request.headers['x-knock-signature']);
    const t = String(world.clock.now());
    const mac = createHmac('sha256', 's3cret').update(`${t}.x`).digest('base64');
    expect(signature).toBe(`t=${t},s=${mac}`);
  });

  test('that fails is tried again after 30 and 60 seconds with the same key, then the run halts as failed', async () => {
    reply = (response) => void response.writeHead(503).end();
    const { runId, calls } = await begun(fetchStep());
    const startMs = world.clock.now();
    const dues: (number | undefined)[] = [];
    let next: ChunkRef[] = calls;
    while (next.length > 0 && dues.length < 5) {
      next = (await world.execute(next)).flatMap(({ appended }) => appended);
      dues.push(next[0]?.dueMs && Math.floor((next[0].dueMs - startMs) / 1000));
      world.clock.moveTo(Math.max(world.clock.now(), next[0]?.dueMs ?? 0));
    }
    expect(dues).toEqual([30, 90, 90, undefined]);
    expect(asked).toHaveLength(3);
    const keys = asked.map(({ request }) => request.headers['idempotency-key']);
    expect(new Set(keys).size).toBe(1);
    expect(await segments(runId)).toMatchObject([
      {
        error_count: 1,
        steps: [{ outcome: 'halted', reason: 'answered 503 (after 3 attempts)' }],
      },
    ]);
    expect(await rows.messagesOf(world.test.db, runId)).toEqual([]);
  });

  test('that gets through on the second attempt goes on', async () => {
    reply = (response) => void response.writeHead(asked.length === 1 ? 500 : 201).end('{"a": 1}');
    const { runId, calls } = await begun(fetchStep());
    await world.executeAll(calls);
    expect(await dataAfter(runId)).toEqual({ a: 1 });
    expect((await segments(runId))[0]?.steps[0]?.reason).toBe('answered 201 after 2 attempts');
  });

  test.each<[string, (response: ServerResponse) => void, string]>([
    ['a refusal', (r) => r.writeHead(404).end(), 'answered 404, which trying again'],
    ['a redirect', (r) => r.writeHead(302, { location: '/x' }).end(), 'answered 302'],
    ['no JSON', (r) => r.end('<html>'), 'the answer is no JSON'],
    ['no object', (r) => r.end('5'), 'the answer is JSON, but no object'],
    ['more than 256 KiB', (r) => r.end(`"${'x'.repeat(300_000)}"`), 'more than 262144 bytes'],
  ])('that is answered with %s is not tried again', async (_, answer, reason) => {
    reply = answer;
    const { runId, calls } = await begun(fetchStep());
    await world.executeAll(calls);
    expect(asked).toHaveLength(1);
    expect((await segments(runId))[0]?.steps[0]?.reason).toContain(reason);
  });

  test('that would put more than 1 MiB into the data of a run, with all before it, halts the run as failed', async () => {
    reply = ok('x'.repeat(250_000));
    const refs = ['a', 'b', 'c', 'd', 'e'];
    const steps = refs.map((ref) => fetchStep({ response_path: `data.${ref}` }, ref));
    const update = {
      ref: 'u',
      type: 'update_data',
      settings: { data: '{"note": "{{ data.a }}"}' },
    };
    const reasonsWith = async (more: readonly JsonObject[]) => {
      const of = await world.workflow({ steps: [...more, feedStep('end')] });
      const accepted = await world.accept({
        ...of,
        recipients: [{ recipient: 'ada' }],
        data: { url: other.url },
      });
      await world.executeAll(accepted.refs);
      const runId = accepted.runIds[0] ?? '';
      const records = (await segments(runId)).flatMap((segment) => segment.steps);
      return records.filter(({ outcome }) => outcome !== 'waiting').slice(-2);
    };
    const reason = expect.stringContaining('more than 1048576 characters');
    expect(await reasonsWith(steps)).toMatchObject([
      { step_ref: 'd', outcome: 'continued' },
      { step_ref: 'e', outcome: 'halted', reason },
    ]);
    // Beside a pause, and however it is that they are put there.
    expect(await reasonsWith([...steps.slice(0, 4), delayStep(60), update])).toMatchObject([
      { step_ref: 'u', outcome: 'skipped', reason },
      { step_ref: 'in_app_feed_1', outcome: 'message' },
    ]);
    expect(await reasonsWith(steps.slice(0, 4))).toMatchObject([
      { step_ref: 'd', outcome: 'continued' },
      { step_ref: 'in_app_feed_1', outcome: 'message' },
    ]);
  });

  test('of a run that was cancelled meanwhile is not made', async () => {
    reply = ok({});
    const { runId, workflowKey, calls } = await begun(fetchStep(), {}, { cancellationKey: 'c1' });
    await recordCancellation(world.test.db, world.clock.now(), {
      environmentId: world.ctx.environment.id,
      workflowKey,
      cancellationKey: 'c1',
    });
    await world.executeAll(calls);
    expect(asked).toEqual([]);
    expect(await segments(runId)).toMatchObject([{ status: RUN_STATUS.cancelled }]);
  });

  test('that is recorded already is not made again', async () => {
    reply = ok({});
    const { calls } = await begun(fetchStep());
    await world.executeAll(calls);
    await world.execute(calls);
    expect(asked).toHaveLength(1);
  });
});

test('calls of many runs are answered together, each run with its own answer', async () => {
  reply = (response, request) => void response.end(JSON.stringify({ path: request.url }));
  const of = await world.workflow({
    steps: [fetchStep({ url: '{{ data.url }}/{{ recipient.id }}' }), feedStep('{{ data.path }}')],
  });
  const recipients = Array.from({ length: 120 }, (_, i) => ({ recipient: `r${i}` }));
  const { refs, runIds } = await world.accept({ ...of, recipients, data: { url: other.url } });
  await world.executeAll(refs);
  const messages = await rows.messagesOf(world.test.db, runIds[0] ?? '');
  expect(messages).toHaveLength(120);
  for (const { recipient_id, content } of messages) expect(content.body).toBe(`/${recipient_id}`);
});
