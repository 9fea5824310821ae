import { afterAll, beforeAll, expect, test } from 'vitest';
import { NO_FAULTS } from '../../src/drill/stand-ins/faults.ts';
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts';
import { ksuidFromUuid } from '../../src/lib/ksuid.ts';
import { type HttpServer, readBody, serveHttp } from '../channels/support.ts';
import { startTestStore } from '../support/bodies-world.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { removeDataDirs, startWholeServer, type WholeServer } from '../support/whole-server.ts';

const RECIPIENTS = 200;
const TRIGGERS = 10;
const BODY = `{{ recipient.id }} ${'is told all there is to say. '.repeat(180)}`;

let store: Awaited<ReturnType<typeof startTestStore>>;
let database: TestDatabase;
let provider: HttpServer;
let server: WholeServer;
const calls = new Map<string, number>();
let short = 0;

beforeAll(async () => {
  store = await startTestStore();
  database = await createTestDatabase();
  provider = await serveHttp(async (request, response) => {
    const body = await readBody(request);
    if (body.length < 5_000) short += 1;
    const key = String(request.headers['idempotency-key']);
    calls.set(key, (calls.get(key) ?? 0) + 1);
    response.end('ok');
  });
  server = await startWholeServer({ databaseUrl: database.url, objectStore: store.config });
  const template = { method: 'post', url: '{{ data.url }}', body: BODY };
  await server.push('long', [{ ref: 'http_1', type: 'channel', channel_key: 'webhook', template }]);
}, 60_000);
afterAll(async () => {
  await server.stop();
  await provider.close();
  await database.drop();
  await store.close();
  await removeDataDirs();
});

async function triggerAll(): Promise<void> {
  for (let i = 0; i < TRIGGERS; i++) {
    const recipients = Array.from({ length: RECIPIENTS }, (_, n) => `user-${n}`);
    await server.trigger('long', { recipients, data: { url: provider.url } });
  }
}

async function get(path: string, key: string | undefined): Promise<Response> {
  return fetch(`${server.server.url}${path}`, { headers: { authorization: `Bearer ${key}` } });
}

async function stores(): Promise<JsonObject> {
  const answer = await get('/ops/v1/stores', server.server.credentials?.operator_token);
  return (await answer.json()) as JsonObject;
}

const partOf = (answer: JsonObject, name: string): JsonObject => {
  const part = answer[name];
  return isJsonObject(part) ? part : {};
};

async function contentOf(messageId: string): Promise<Response> {
  const key = server.server.credentials?.environments.development?.secret_key;
  return get(`/v1/messages/${messageId}/content`, key);
}

const messagesDelivered = (count: number): Promise<true> =>
  waitFor('deliveries', async () => (calls.size >= count ? true : undefined), 60_000);

test('everything is delivered once from the database, and then found in the store', async () => {
  await triggerAll();
  await messagesDelivered(RECIPIENTS * TRIGGERS);
  await waitFor(
    'an object',
    async () => ((await store.objects()).length > 0 ? true : undefined),
    30_000,
  );
  await waitFor('the state', async () => {
    const { state, moved } = partOf(await stores(), 'object_store');
    return state === 'up' && isJsonObject(moved) && Number(moved.objects) > 0 ? true : undefined;
  });
  expect([...calls.values()].filter((count) => count > 1)).toEqual([]);
  expect(short).toBe(0);
  expect(await server.metric('belfry_carrier_up')).toBe(1);
  expect(await server.metric('belfry_object_store_moved_bytes')).toBeGreaterThan(5_000_000);
  const [id = ''] = calls.keys();
  const answer = await contentOf(id);
  expect(answer.status).toBe(200);
  expect(JSON.stringify(await answer.json())).toContain('is told all there is to say.');
}, 120_000);

test('a carrier that dies is started again, and goes on', async () => {
  const before = partOf(await stores(), 'carrier');
  const pid = server.server.processIds().carrier;
  expect(pid).toBeDefined();
  process.kill(pid ?? 0, 'SIGKILL');
  await waitFor(
    'another carrier',
    async () => {
      const { state, restarts } = partOf(await stores(), 'carrier');
      return state === 'running' && Number(restarts) > Number(before.restarts) ? true : undefined;
    },
    30_000,
  );
  const objects = (await store.objects()).length;
  await triggerAll();
  await waitFor(
    'objects of the new one',
    async () => ((await store.objects()).length > objects ? true : undefined),
    60_000,
  );
}, 120_000);

test('while the store is away deliveries go on, and what is only there is 503 with a time to try again', async () => {
  const { db } = database;
  // Slots are given back a few seconds after their ten.
  const moved = await waitFor(
    'a message that is only in the store',
    async () => {
      const rows = await db.query<{ id: string }>(
        `select m.id
         from message m
         join body_object o on o.pack_id = (m.content #>> '{$stored,pack}')::uuid
         where m.content -> '$kept' is null
           and not exists (
             select
             from body_pack p
             where p.id = o.pack_id
           )
         limit 1`,
      );
      return rows[0]?.id;
    },
    60_000,
  );
  store.setFaults({ kind: 'internal_error', share: 1 });
  const made = calls.size;
  await triggerAll();
  await messagesDelivered(made + RECIPIENTS * TRIGGERS);
  const answer = await contentOf(ksuidFromUuid(moved));
  expect(answer.status).toBe(503);
  expect(answer.headers.get('retry-after')).not.toBeNull();
  expect(await answer.json()).toMatchObject({ code: 'message_content_unavailable' });
  await waitFor(
    'the state to say so',
    async () => (partOf(await stores(), 'object_store').state === 'failing' ? true : undefined),
    60_000,
  );
  store.setFaults(NO_FAULTS);
  await waitFor(
    'the content',
    async () => ((await contentOf(ksuidFromUuid(moved))).status === 200 ? true : undefined),
    90_000,
  );
  expect([...calls.values()].filter((count) => count > 1)).toEqual([]);
}, 240_000);
