import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { buildApp } from '../../src/api/app.ts';
import type { App } from '../../src/api/route.ts';
import type { Services } from '../../src/api/services.ts';
import { type ChannelType, channelTypeNumber } from '../../src/channels/channel-type.ts';
import { readConfig } from '../../src/config.ts';
import { createHideSecrets } from '../../src/control/hide-secrets.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { ksuidFromUuid } from '../../src/lib/ksuid.ts';
import { timeOrderedUuid } from '../../src/lib/uuid.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { testSecrets } from '../support/secrets.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

let environmentId: number;
beforeEach(async () => {
  await database.db.query('truncate message');
  const [environment] = await database.db.query<{ id: number }>(
    `with new_account as (
      insert into account (name) values (gen_random_uuid()::text) returning id
    )
    insert into environment (account_id, slug, name, position)
    select id, 'development', 'Development', 0 from new_account
    returning id`,
  );
  environmentId = environment?.id ?? 0;
});

function appWith(env: Record<string, string> = {}): App {
  const unused = () => {
    throw new Error('not needed here');
  };
  const services: Services = {
    db: database.db,
    clock: { now: Date.now },
    log: silentLog,
    hideSecrets: createHideSecrets(testSecrets),
    config: readConfig(env),
    metrics: new Registry(),
    readiness: () => ({ ready: true, parts: {} }),
    engine: { trigger: unused, cancel: unused },
    workflows: { published: unused },
    authentication: {
      authenticateKey: unused,
      authenticateUser: unused,
      authenticateServiceToken: unused,
      authenticateOperator: unused,
    },
  } as unknown as Services;
  return buildApp(services);
}

// Each message a millisecond after the one before, so that their order is known.
let lastMs = Date.now();

async function insertMessage(content: JsonObject, type: ChannelType = 'email') {
  const id = timeOrderedUuid(++lastMs);
  await database.db.query(
    `insert into message (
      id, environment_id, channel_id, channel_type, collection, recipient_id, workflow_run_id,
      recipient_run_id, workflow_key, version_id, step_ref, status, content, inserted_at
    )
    values ($1, $2, $1, $3, '$users', 'ann', $1, $1, 'welcome', 1, 'email_1', 0, $4, now())`,
    [id, environmentId, channelTypeNumber(type), JSON.stringify(content)],
  );
  return ksuidFromUuid(id);
}

async function get(app: App, url: string, host = '127.0.0.1:4400') {
  return app.inject({ method: 'GET', url, headers: { host } });
}

test('the newest message of any environment and type comes first, as whoever gets it would see it', async () => {
  const first = await insertMessage({ to: 'ann@example.org', subject: 'One' });
  const hook = await insertMessage({ method: 'post', url: 'https://example.com' }, 'http');
  const sms = await insertMessage({ to: '+491', body: 'Ding' }, 'sms');
  const push = await insertMessage({ token: 't', title: 'Dong', body: 'Bell' }, 'push');
  const chat = await insertMessage({ connection: { channel_id: 'C1' }, body: '*Hi*' }, 'chat');
  const feed = await insertMessage({ body: '**Bim**' }, 'in_app_feed');
  const second = await insertMessage({
    to: 'bob@example.org',
    subject: 'Two',
    from: 'Old <a@b.org>',
    from_name: 'New',
  });
  const response = await get(appWith(), '/dev/messages.json');
  expect(response.statusCode).toBe(200);
  expect(response.json()).toMatchObject({
    entries: [
      { id: second, title: 'Two', to: 'bob@example.org', from: 'New <a@b.org>' },
      { id: feed, type: 'in_app_feed', title: 'Bim', to: 'ann' },
      { id: chat, type: 'chat', title: 'Hi', to: 'C1' },
      { id: push, type: 'push', title: 'Dong', to: 'ann' },
      { id: sms, type: 'sms', title: 'Ding', to: '+491' },
      { id: hook, type: 'http', title: 'POST https://example.com', to: 'https://example.com' },
      {
        id: first,
        type: 'email',
        title: 'One',
        from: 'Belfry <belfry@localhost>',
        environment: 'development',
        recipient_id: 'ann',
        workflow: 'welcome',
        status: 'queued',
        scheduled_at: null,
        inserted_at: expect.stringMatching(/^\d{4}-.*Z$/),
      },
    ],
    page_info: { after: null, before: null },
  });
});

test('messages can be looked for by type, recipient and workflow', async () => {
  await insertMessage({ to: 'ann@example.org' });
  const sms = await insertMessage({ to: '+491', body: 'Ding' }, 'sms');
  const app = appWith();
  const found = async (query: string) =>
    (await get(app, `/dev/messages.json?${query}`))
      .json()
      .entries.map((entry: { id: string }) => entry.id);
  expect(await found('type=sms')).toEqual([sms]);
  expect(await found('type=push')).toEqual([]);
  expect(await found('recipient=ann&workflow=welcome&type=sms')).toEqual([sms]);
  expect(await found('recipient=bob')).toEqual([]);
  expect(await found('workflow=other')).toEqual([]);
  expect((await get(app, '/dev/messages.json?type=pigeon')).statusCode).toBe(422);
});

test('a chat post is shown without what lets others post there', async () => {
  const connection = {
    access_token: 'xoxb-1',
    incoming_webhook: { url: 'https://hooks.example/1' },
  };
  const id = await insertMessage({ connection, body: '**Hi** <b>' }, 'chat');
  const response = await get(appWith(), `/dev/messages/${id}.json`);
  expect(response.json()).toMatchObject({
    html: '<p><strong>Hi</strong> &lt;b&gt;</p>',
    content: { connection: { access_token: null, incoming_webhook: { url: null } } },
  });
  expect(response.body).not.toMatch(/xoxb|hooks\.example/);
});

test('pages lead through all messages without a gap or a repetition', async () => {
  const ids: string[] = [];
  for (let i = 0; i < 7; i++) ids.unshift(await insertMessage({ to: 'ann@example.org' }));
  const app = appWith();
  const seen: string[] = [];
  let after: string | null = '';
  while (after !== null) {
    const response = await get(app, `/dev/messages.json?page_size=3&after=${after}`);
    const answer: { entries: { id: string }[]; page_info: { after: string | null } } =
      response.json();
    for (const entry of answer.entries) seen.push(entry.id);
    after = answer.page_info.after;
  }
  expect(seen).toEqual(ids);
});

test('one e-mail is there as JSON, HTML and text', async () => {
  const html = '<p onclick="alert(1)">Hi</p><script>alert(1)</script>';
  const id = await insertMessage({
    to: 'ann@example.org',
    subject: 'Hi',
    html_body: html,
    text_body: 'Hi <there>',
  });
  const app = appWith();
  expect((await get(app, `/dev/messages/${id}.json`)).json()).toMatchObject({
    id,
    content: { html_body: html, text_body: 'Hi <there>' },
  });
  const page = await get(app, `/dev/messages/${id}/html`);
  expect(page.body).toBe(html);
  expect(page.headers['content-type']).toBe('text/html; charset=utf-8');
  const plain = await get(app, `/dev/messages/${id}/text`);
  expect(plain.body).toBe('Hi <there>');
  expect(plain.headers['content-type']).toBe('text/plain; charset=utf-8');
});

test('the HTML of an e-mail runs no script and has no origin', async () => {
  const id = await insertMessage({ to: 'ann@example.org', html_body: '<p>Hi</p>' });
  const page = await get(appWith(), `/dev/messages/${id}/html`);
  const policy = String(page.headers['content-security-policy']);
  expect(policy).toContain('sandbox ');
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/allow-scripts|allow-same-origin|script-src/);
  expect(page.headers['x-content-type-options']).toBe('nosniff');
});

test('a message that is not there is missing', async () => {
  const app = appWith();
  for (const id of ['nothing', '2aVfGZkKqgnWRDM6zj4oUoZbnRp']) {
    for (const path of [`${id}.json`, `${id}/html`, `${id}/text`]) {
      const response = await get(app, `/dev/messages/${path}`);
      expect([response.statusCode, response.json().code]).toEqual([404, 'resource_missing']);
    }
  }
});

test.each([
  ['with an SMTP server', { BELFRY_SMTP_URL: 'smtp://mail.example.com' }, '127.0.0.1:4400'],
  ['when others can reach the server', { BELFRY_HOST: '0.0.0.0' }, '127.0.0.1:4400'],
  ['under a name that is not ours', {}, 'rebound.example.com:4400'],
])('the viewer is off %s', async (_, env: Record<string, string>, host) => {
  const id = await insertMessage({ to: 'ann@example.org', html_body: '<p>Hi</p>' });
  const app = appWith(env);
  for (const path of [
    '/dev/messages.json',
    `/dev/messages/${id}.json`,
    `/dev/messages/${id}/html`,
  ]) {
    const response = await get(app, path, host);
    expect([response.statusCode, response.json().code]).toEqual([404, 'viewer_off']);
  }
});

test.each(['x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'forwarded', 'via'])(
  'neither the viewer nor the demo answers through a proxy: %s',
  async (name) => {
    const headers = { host: '127.0.0.1:4400', [name]: '203.0.113.7' };
    for (const [url, code] of [
      ['/dev/messages.json', 'viewer_off'],
      ['/dev/demo.json', 'demo_off'],
    ]) {
      const response = await appWith().inject({ method: 'GET', url: url ?? '', headers });
      expect([response.statusCode, response.json().code]).toEqual([404, code]);
    }
  },
);

test.each(['localhost:4400', '[::1]:4400', '127.0.0.2'])(
  'the viewer answers at %s',
  async (host) => {
    expect((await get(appWith(), '/dev/messages.json', host)).statusCode).toBe(200);
  },
);

test('pages of other origins cannot read the viewer', async () => {
  const response = await appWith().inject({
    method: 'GET',
    url: '/dev/messages.json',
    headers: { host: '127.0.0.1:4400', origin: 'https://example.com' },
  });
  expect(response.headers['access-control-allow-origin']).toBeUndefined();
});
