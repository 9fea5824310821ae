import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createProviders } from '../../src/channels/registry.ts';
import { setVariable } from '../../src/control/variables.ts';
import { createChunkCache } from '../../src/engine/executor/chunk-cache.ts';
import { executeDeliveries } from '../../src/engine/executor/deliver.ts';
import { createDeliveryWriter } from '../../src/engine/executor/delivery-writer.ts';
import { previewStep } from '../../src/engine/executor/preview.ts';
import { parseDeliveriesBody } from '../../src/engine/log/body.ts';
import { getMessageContent } from '../../src/feed/message-content.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { ksuidFromUuid } from '../../src/lib/ksuid.ts';
import { type HttpServer, readBody, serveHttp } from '../channels/support.ts';
import * as rows from '../support/engine-rows.ts';
import {
  appendedDeliveries,
  createEngineWorld,
  type EngineWorld,
  emailStep,
  feedStep,
  fetchStep,
  slicesOf,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { testSecrets } from '../support/secrets.ts';

/** Values of secret variables reach whom requests are made to, and nothing that is kept or answered. */

const TOKEN = 'hush-token-7351';
const MASK = '••••••••';

let world: EngineWorld;
let other: HttpServer;
type Asked = { readonly url: string; readonly header: string; readonly body: string };
let asked: Asked[] = [];

beforeAll(async () => {
  world = await createEngineWorld();
  // An endpoint that repeats everything it is sent.
  other = await serveHttp(async (request, response) => {
    const header = String(request.headers.authorization);
    const call = { url: String(request.url), header, body: await readBody(request) };
    asked.push(call);
    response.writeHead(call.url.startsWith('/bad') ? 400 : 200).end(JSON.stringify(call));
  });
  const { db } = world.test;
  const ctx = { db, clock: world.clock, log: silentLog, secrets: testSecrets };
  const { accountId } = world.ctx.environment;
  await setVariable(ctx, { accountId, key: 'token', value: TOKEN, type: 'secret' });
  await setVariable(ctx, {
    accountId,
    key: 'login',
    value: '{"user": "ann-q", "password": "p w/ord"}',
    type: 'secret',
  });
  await setVariable(ctx, { accountId, key: 'host', value: 'public.example' });
});
afterEach(() => {
  asked = [];
});
afterAll(async () => {
  await other.close();
  await world.close();
});

/** A workflow published before its variables became secret. */
async function published(steps: readonly JsonObject[]) {
  const { db } = world.test;
  await db.query(`update variable set type = 'public' where key in ('token', 'login')`);
  const of = await world.workflow({ steps });
  await db.query(`update variable set type = 'secret' where key in ('token', 'login')`);
  return of;
}

async function begun(steps: readonly JsonObject[], data: JsonObject = {}) {
  const of = await published(steps);
  const recipients = [{ recipient: 'ada' }];
  const { refs, runIds } = await world.accept({
    ...of,
    recipients,
    data: { url: other.url, ...data },
  });
  return { ...of, refs, runId: runIds[0] ?? '' };
}

/** Everything that the database has, as text. */
async function everythingKept(): Promise<string> {
  const { db } = world.test;
  const tables = ['message', 'delivery', 'message_event', 'recipient_run', 'recipient_run_segment'];
  const texts = await Promise.all(
    tables.map((table) =>
      db.query<{ readonly text: string | null }>(
        `select string_agg(t::text, ' ') as text from ${table} t`,
      ),
    ),
  );
  const chunks = await db.query<{ readonly body: Buffer | string }>('select body from chunk');
  return [...texts.flat().map(({ text }) => text), ...chunks.map(({ body }) => String(body))].join(
    ' ',
  );
}

describe('other templates', () => {
  test('find no secret, whatever they read it with', async () => {
    const template =
      '[{{ vars.token }}{{ vars["token"] }}{{ vars.login.password }}{% if vars.token %}has{% endif %}] {{ vars | json }} {{ vars.host }}';
    const { refs, runId } = await begun([
      feedStep(template),
      emailStep('mail', {
        conditions: { all: [{ variable: 'vars.token', operator: 'not_empty', argument: null }] },
      }),
    ]);
    await world.execute(refs);
    const messages = await rows.messagesOf(world.test.db, runId);
    expect(messages.map(({ step_ref }) => step_ref)).toEqual(['in_app_feed_1']);
    expect(messages[0]?.content.body).toMatch(/^\[\] .*public\.example$/s);
    expect(JSON.stringify(messages)).not.toContain('token');
  });
});

describe('a fetch', () => {
  const settings = {
    url: '{{ data.url }}/{{ data.path }}?key={{ vars.login.password | url_encode }}',
    method: 'post',
    headers: [
      { key: 'authorization', value: 'Basic {{ vars.login.user | append: ":x" | base64_encode }}' },
    ],
    body: '{"t": "{{ vars.token }}"}',
    response_path: 'data.said',
  };

  test('sends secrets, and an answer that repeats them is kept with masks', async () => {
    const { refs, runId } = await begun([fetchStep(settings), feedStep('{{ data.said | json }}')], {
      path: 'good',
    });
    await world.executeAll(refs);
    expect(asked).toEqual([
      {
        url: '/good?key=p+w%2Ford',
        header: `Basic ${btoa('ann-q:x')}`,
        body: `{"t": "${TOKEN}"}`,
      },
    ]);
    const [message] = await rows.messagesOf(world.test.db, runId);
    expect(message?.content.body).toContain(MASK);
    const kept = await everythingKept();
    for (const hidden of [TOKEN, 'ann-q', btoa('ann-q:x'), 'p w/ord', 'p+w%2Ford']) {
      expect(kept).not.toContain(hidden);
    }
  });

  test('that fails says why without a secret', async () => {
    const { refs, runId } = await begun([fetchStep({ url: 'nowhere:{{ vars.token }}' })]);
    await world.executeAll(refs);
    const segments = await rows.segmentsOf(world.test.db, runId);
    expect(segments.at(-1)?.steps.at(-1)).toMatchObject({ outcome: 'halted' });
    expect(JSON.stringify(segments)).not.toContain(TOKEN);
  });
});

describe('a webhook', () => {
  const step: JsonObject = {
    ref: 'http_1',
    type: 'channel',
    channel_key: 'webhook',
    template: {
      method: 'post',
      url: '{{ data.url }}/{{ data.path }}',
      headers: [{ key: 'authorization', value: 'Bearer {{ vars.token }}' }],
      body: '{"host": "{{ vars.host }}", "user": "{{ vars.login.user }}"}',
    },
  };

  async function sent(data: JsonObject) {
    const { refs, runId, ...of } = await begun([step], data);
    const deliveries = appendedDeliveries(await world.execute(refs));
    const writer = createDeliveryWriter({
      url: world.test.url,
      applicationName: 'test secrets',
      log: silentLog,
      clock: world.clock,
      random: () => 0.5,
      onAppended: () => undefined,
    });
    const providers = createProviders({
      mailFrom: 'a@example.org',
      allowPrivateWebhooks: true,
      webhookSigningSecret: () => 'secret',
      log: silentLog,
    });
    for (const ref of deliveries) {
      await executeDeliveries(
        {
          db: world.test.db,
          chunks: createChunkCache(parseDeliveriesBody),
          providers,
          writer,
          orders: world.services.orders,
          secretBox: testSecrets,
          onFeed: () => undefined,
        },
        ref.slot,
        slicesOf(ref),
      );
    }
    await writer.close();
    await providers.close();
    const [message] = await rows.messagesOf(world.test.db, runId);
    return { ...of, messageId: message?.id ?? '' };
  }

  test('sends secrets, and its message and its log have masks', async () => {
    const { messageId } = await sent({ path: 'good' });
    expect(asked).toEqual([
      {
        url: '/good',
        header: `Bearer ${TOKEN}`,
        body: '{"host": "public.example", "user": "ann-q"}',
      },
    ]);
    const content = await getMessageContent(world.ctx, { messageId: ksuidFromUuid(messageId) });
    expect(content.data).toMatchObject({
      headers: [{ key: 'authorization', value: `Bearer ${MASK}` }],
      body: `{"host": "public.example", "user": "${MASK}"}`,
    });
    expect(content.data).not.toHaveProperty('sealed');
    const kept = await everythingKept();
    expect(kept).toContain('"sealed"');
    expect(kept).not.toContain(TOKEN);
    expect(kept).not.toContain('ann-q');
  });

  test('that is refused is logged with masks too', async () => {
    const { messageId } = await sent({ path: 'bad' });
    const [log] = await world.test.db.query<{ readonly detail: JsonObject }>(
      'select detail from delivery where message_id = $1',
      [messageId],
    );
    expect(log?.detail.response_body).toContain(MASK);
    expect(JSON.stringify(log)).not.toContain(TOKEN);
  });

  test('is previewed with masks', async () => {
    const { versionId, workflowKey } = await published([step]);
    const answer = await previewStep(world.services, world.test.db, {
      environmentId: world.ctx.environment.id,
      workflowKey,
      versionId,
      stepRef: 'http_1',
      recipient: 'ada',
      properties: {},
      actor: null,
      tenant: null,
      data: { url: other.url },
    });
    expect(answer).toMatchObject({
      kind: 'rendered',
      messages: [{ content: { headers: [{ value: `Bearer ${MASK}` }] } }],
    });
    expect(JSON.stringify(answer)).not.toContain('sealed');
  });
});
