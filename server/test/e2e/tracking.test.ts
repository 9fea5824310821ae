import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { type ParsedMail, simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLinkTokens } from '../../src/feed/link-tokens.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { feedStep } from '../support/engine-world.ts';
import { waitFor } from '../support/wait.ts';
import { removeDataDirs, startWholeServer, type WholeServer } from '../support/whole-server.ts';

/** Tracked links from the template to the mailbox, and back by a click. */

let database: TestDatabase;
let smtp: SMTPServer;
let whole: WholeServer;
let url: string;
let mails: ParsedMail[] = [];

const BROWSER = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0' };

beforeAll(async () => {
  database = await createTestDatabase();
  smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onData: (stream, _session, done) => {
      simpleParser(stream).then((mail) => {
        mails.push(mail);
        done();
      }, done);
    },
  });
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  whole = await startWholeServer({
    databaseUrl: database.url,
    port,
    publicUrl: url,
    executors: 1,
    smtpUrl: `smtp://127.0.0.1:${(smtp.server.address() as AddressInfo).port}`,
  });
});
afterAll(async () => {
  await whole.stop();
  await new Promise<void>((resolve) => smtp.close(resolve));
  await database.drop();
  await removeDataDirs();
});
beforeEach(() => {
  mails = [];
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const key = () => whole.server.credentials?.environments.development?.secret_key ?? '';

async function get(path: string): Promise<JsonObject & { items?: JsonObject[] }> {
  const response = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key()}` } });
  return (await response.json()) as JsonObject;
}

async function setChannel(channel: string, settings: JsonObject): Promise<number> {
  const response = await fetch(`${url}/control/v1/channels/${channel}`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${whole.server.credentials?.service_token}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(settings),
  });
  return response.status;
}

const click = (link: string, init: RequestInit = {}) =>
  fetch(link, { redirect: 'manual', headers: BROWSER, ...init });

const HTML =
  '<html><body><a href="https://shop.example/a?b=1&amp;c=ada@example.org">A</a> <a href="https://shop.example/plain" data-knock-no-track>B</a> <a href="http://old.example">C</a></body></html>';

const mail = (overrides: JsonObject, ref = 'email_1'): JsonObject => ({
  ref,
  type: 'channel',
  channel_key: 'email',
  channel_overrides: overrides,
  template: { subject: 'Hi', html_body: HTML, settings: { layout_key: '' } },
});

/** Triggers a workflow for Ada; resolves with the mail and its message. */
async function sent(workflow: string) {
  const recipients = [{ id: 'ada', email: 'ada@example.org', phone_number: '+4912345' }];
  const runId = await whole.trigger(workflow, { recipients });
  const got = await waitFor('the mail', () => mails[0]);
  const message = await messageOf(runId, 'email');
  return { got, message, runId };
}

async function messageOf(runId: string, type: string): Promise<JsonObject> {
  return waitFor(`the message of ${type}`, async () => {
    const { items = [] } = await get(`/v1/messages?workflow_run_id=${runId}`);
    return items.find(
      (item) => (item.channel as JsonObject).type === type && item.status !== 'queued',
    );
  });
}

const linksIn = (html: unknown): string[] =>
  [...String(html).matchAll(/href="([^"]+)"/g)].map(([, link]) => link ?? '');

const eventsOf = async ({ id }: JsonObject): Promise<JsonObject[]> =>
  ((await get(`/v1/messages/${id}/events`)).items ?? []).toReversed();

describe('an e-mail with link tracking', () => {
  test('leads over the server to the same place, and a click is a status and an event, once [channel/email.channel_overrides.link_tracking]', async () => {
    await whole.push('tracked', [mail({ link_tracking: true })]);
    const { got, message } = await sent('tracked');
    const [tracked = '', untracked, old] = linksIn(got.html);
    expect(tracked).toMatch(new RegExp(`^${url}/t/c/[\\w-]+$`));
    expect([untracked, old]).toEqual(['https://shop.example/plain', 'http://old.example']);
    expect(String(got.html)).not.toContain('data-knock-no-track');
    expect(String(got.html)).not.toContain('/t/o/');
    // Nobody learns from the link whom it is for.
    expect(Buffer.from(tracked.split('/').at(-1) ?? '', 'base64url').toString()).not.toContain(
      'ada',
    );
    expect(got.text).toContain(`${url}/t/c/`);
    const content = await get(`/v1/messages/${message.id}/content`);
    expect((content.data as JsonObject).html_body).toBe(HTML);
    const answers = await Promise.all([click(tracked), click(tracked), click(tracked)]);
    for (const answer of answers) {
      expect(answer.status).toBe(302);
      expect(answer.headers.get('location')).toBe('https://shop.example/a?b=1&c=ada@example.org');
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
    const after = await get(`/v1/messages/${message.id}`);
    expect(after).toMatchObject({
      engagement_statuses: ['link_clicked'],
      read_at: null,
      interacted_at: null,
      link_clicked_at: expect.stringMatching(/Z$/),
    });
    const events = await eventsOf(message);
    expect(events.filter(({ type }) => type === 'message.link_clicked')).toMatchObject([
      { data: { url: 'https://shop.example/a?b=1&c=ada@example.org' } },
    ]);
  });

  test('counts nobody who only looks: HEAD, prefetching, scanners, programs without a name', async () => {
    await whole.push('scanned', [mail({ link_tracking: true, open_tracking: true })]);
    const { got, message } = await sent('scanned');
    const [tracked = ''] = linksIn(got.html);
    const [, picture = ''] = /<img src="([^"]+)"/.exec(String(got.html)) ?? [];
    for (const link of [tracked, picture]) {
      const requests: RequestInit[] = [
        { method: 'HEAD' },
        { headers: { ...BROWSER, 'sec-purpose': 'prefetch;prerender' } },
        { headers: { 'user-agent': 'Mozilla/5.0 (compatible; bingbot/2.0)' } },
        { headers: { 'user-agent': 'curl/8.5.0' } },
        { headers: { 'user-agent': '' } },
      ];
      for (const request of requests) {
        expect((await click(link, request)).status).toBe(link === picture ? 200 : 302);
      }
    }
    const after = await get(`/v1/messages/${message.id}`);
    expect(after).toMatchObject({ engagement_statuses: [] });
  });

  test('that is changed, cut off or made elsewhere leads nowhere', async () => {
    const { got, message } = await sent('tracked');
    const [tracked = ''] = linksIn(got.html);
    const token = tracked.split('/').at(-1) ?? '';
    const elsewhere = createLinkTokens('another installation').sign({
      messageUuid: '0190c0de-0000-7000-8000-000000000000',
      url: 'https://evil.example',
    });
    const changed = (at: number) =>
      `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`;
    const wrong = [changed(0), changed(20), changed(token.length - 2), token.slice(0, -1)];
    for (const bad of [...wrong, `${token}A`, elsewhere, 'x', 'x'.repeat(4_050)]) {
      for (const path of ['/t/c', '/t/o', '/l']) {
        const answer = await click(`${url}${path}/${bad}`);
        expect([answer.status, answer.headers.get('location')]).toEqual([404, null]);
      }
    }
    // A link is no picture.
    expect((await click(`${url}/t/o/${token}`)).status).toBe(404);
    expect(await get(`/v1/messages/${message.id}`)).toMatchObject({ engagement_statuses: [] });
  });

  test('leaves the link to unsubscribe alone', async () => {
    const commercial = {
      ...mail({ link_tracking: true }),
      template: {
        subject: 'Hi',
        html_body:
          '<a href="{{ vars.commercial_unsubscribe_url }}">out</a><a href="https://shop.example">in</a>',
        settings: { layout_key: '' },
      },
    };
    await fetch(`${url}/control/v1/push`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${whole.server.credentials?.service_token}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        workflows: [
          {
            key: 'commercial',
            content: { name: 'c', settings: { is_commercial: true }, steps: [commercial] },
          },
        ],
      }),
    });
    const { got } = await sent('commercial');
    const [out, into] = linksIn(got.html);
    expect(out).toContain(`${url}/unsubscribe/`);
    expect(into).toContain(`${url}/t/c/`);
    expect(got.text).toContain(`${url}/unsubscribe/`);
  });
});

test('an e-mail with open tracking is read when its picture is loaded [channel/email.channel_overrides.open_tracking]', async () => {
  await whole.push('opened', [mail({ open_tracking: true })]);
  const { got, message } = await sent('opened');
  expect(String(got.html)).toContain('https://shop.example/a?b=1');
  const [, picture = ''] = /<img src="([^"]+)"[^>]*><\/body>/.exec(String(got.html)) ?? [];
  const answer = await click(picture);
  expect(answer.headers.get('content-type')).toBe('image/png');
  expect(
    Buffer.from(await answer.arrayBuffer())
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG');
  expect(await get(`/v1/messages/${message.id}`)).toMatchObject({
    engagement_statuses: ['read'],
    link_clicked_at: null,
  });
  expect((await eventsOf(message)).at(-1)).toMatchObject({ type: 'message.read' });
});

test('a channel tracks where its steps say nothing, and a step goes over it [channel.link_tracking] [channel.open_tracking]', async () => {
  expect(await setChannel('email', { link_tracking: true, open_tracking: true })).toBe(200);
  expect(await setChannel('sms', { link_tracking: true })).toBe(200);
  expect(await setChannel('sms', { open_tracking: true })).toBe(422);
  expect(await setChannel('push', { link_tracking: true })).toBe(422);
  await whole.push('by-channel', [mail({ link_tracking: false })]);
  const { got } = await waitFor('the channel’s setting', async () => {
    mails = [];
    const last = await sent('by-channel');
    return String(last.got.html).includes('/t/o/') ? last : undefined;
  });
  expect(linksIn(got.html)[0]).toContain('https://shop.example/a');
  expect(await setChannel('email', { link_tracking: false, open_tracking: false })).toBe(200);
});

test('a text message has short links, and who opens one has read it [channel/sms.channel_overrides.link_tracking]', async () => {
  const sms = {
    ref: 'sms_1',
    type: 'channel',
    channel_key: 'sms',
    channel_overrides: { link_tracking: true },
    template: { text_body: 'Your parcel: https://parcel.example/track/1.' },
  };
  await whole.push('parcel', [sms]);
  const recipients = [{ id: 'ada', phone_number: '+4912345' }];
  const message = await messageOf(await whole.trigger('parcel', { recipients }), 'sms');
  const [short] = await waitFor('the short link', async () => {
    const rows = await database.db.query<{ readonly key: string; readonly url: string }>(
      `select key, url from short_link where url = 'https://parcel.example/track/1'`,
    );
    return rows.length > 0 ? rows : undefined;
  });
  expect(short?.key).toHaveLength(10);
  const answer = await click(`${url}/l/${short?.key}`);
  expect([answer.status, answer.headers.get('location')]).toEqual([302, short?.url]);
  expect(await get(`/v1/messages/${message.id}`)).toMatchObject({
    engagement_statuses: ['read', 'link_clicked'],
  });
});

test('a feed item’s links are tracked too [channel/in_app_feed.channel_overrides.link_tracking]', async () => {
  const step = {
    ...feedStep('See [it](https://shop.example/x)'),
    channel_overrides: { link_tracking: true },
    template: {
      markdown_body: 'See [it](https://shop.example/x)',
      action_url: 'https://shop.example/y',
    },
  };
  await whole.push('in-feed', [step]);
  const message = await messageOf(
    await whole.trigger('in-feed', { recipients: ['ada'] }),
    'in_app_feed',
  );
  const channel = whole.server.credentials?.environments.development?.channels['in-app'];
  const feed = (await get(`/v1/users/ada/feeds/${channel}`)) as {
    entries?: { id: string; blocks: { name: string; rendered: string }[] }[];
  };
  const blocks = feed.entries?.find(({ id }) => id === message.id)?.blocks ?? [];
  const action = blocks.find(({ name }) => name === 'action_url')?.rendered ?? '';
  expect(blocks.find(({ name }) => name === 'body')?.rendered).toContain(`${url}/t/c/`);
  expect((await click(action)).headers.get('location')).toBe('https://shop.example/y');
  expect(await get(`/v1/messages/${message.id}`)).toMatchObject({
    engagement_statuses: ['link_clicked'],
  });
});

test('a run that waits for a click goes on with it, and conditions see it', async () => {
  await whole.push('waiting', [
    mail({ link_tracking: true }),
    {
      ref: 'wait_1',
      type: 'wait_for_event',
      settings: {
        event: {
          event_type: 'message',
          event_key: 'link_clicked',
          source_type: 'workflow',
          source_key: 'waiting',
        },
        expires_after: { unit: 'hours', value: 1 },
      },
    },
    {
      ...feedStep('clicked'),
      conditions: {
        all: [
          {
            variable: 'refs.email_1.engagement_status',
            operator: 'contains',
            argument: '$message.link_clicked',
          },
        ],
      },
    },
  ]);
  const { got, runId } = await sent('waiting');
  const [tracked = ''] = linksIn(got.html);
  await waitFor('the wait', async () => {
    const rows = await database.db.query('select run_id from event_wait');
    return rows.length > 0 ? rows : undefined;
  });
  await click(tracked);
  expect(await messageOf(runId, 'in_app_feed')).toMatchObject({ status: 'delivered' });
});
