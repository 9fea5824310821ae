import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { publish } from '../../src/control/publish.ts';
import { messageEventTypes } from '../../src/feed/message-event-type.ts';
import { updateMessageStatuses } from '../../src/feed/message-status.ts';
import { recordEngagement } from '../../src/feed/track-engagement.ts';
import { ksuidFromUuid, uuidFromKsuid } from '../../src/lib/ksuid.ts';
import { versionUuid } from '../../src/lib/version-uuid.ts';
import { webhookEventTypes } from '../../src/signals/webhook-event-types.ts';
import { rotateSecret } from '../../src/webhooks/change-endpoint.ts';
import { sourceFiles } from '../house/source-files.ts';
import { feedStep } from '../support/engine-world.ts';
import { testSecrets } from '../support/secrets.ts';
import { createWebhookWorld, type Receiver, startReceiver, type WebhookWorld } from './support.ts';

let webhooks: WebhookWorld;
let receiver: Receiver;

beforeAll(async () => {
  webhooks = await createWebhookWorld();
});
afterAll(() => webhooks.close());
beforeEach(async () => {
  receiver = await startReceiver();
});
afterEach(async () => {
  await webhooks.world.test.db.query('delete from webhook_endpoint');
  await receiver.close();
});

test('a message in the feed is told as started run, delivered message and completed run', async () => {
  await webhooks.endpoint(receiver.url);
  await webhooks.notify('ada');
  await webhooks.sendAll();
  expect(receiver.received.map(({ type }) => type).sort()).toEqual([
    'message.delivered',
    'workflow_recipient_run.completed',
    'workflow_recipient_run.started',
  ]);
  const message = receiver.received.find(({ type }) => type === 'message.delivered');
  expect(message?.body).toMatchObject({
    __typename: 'Event',
    type: 'message.delivered',
    created_at: new Date(webhooks.world.clock.now()).toISOString(),
    data: {
      __typename: 'Message',
      recipient: 'ada',
      status: 'delivered',
      source: { __typename: 'NotificationSource' },
    },
    event_data: null,
  });
  const run = receiver.received.find(({ type }) => type === 'workflow_recipient_run.completed');
  expect(run?.body).toMatchObject({
    data: { __typename: 'WorkflowRecipientRun', recipient: 'ada', status: 'completed' },
    event_data: null,
  });
});

test('what a person does with a message is told with its event data, under the id of the message event', async () => {
  await webhooks.notify('bea');
  const { id } = await webhooks.endpoint(receiver.url);
  const [row] = await webhooks.world.test.db.query<{ id: string }>(
    `select id from message where recipient_id = 'bea'`,
  );
  const [message] = await webhooks.world.test.db.query<{ n: number }>(
    'select count(*)::int as n from message_event',
  );
  expect(message?.n).toBeGreaterThan(0);
  const messageIds = [ksuidFromUuid(row?.id ?? '')];
  for (const status of [
    'seen',
    'read',
    'interacted',
    'archived',
    'unarchived',
    'unread',
    'unseen',
  ] as const) {
    const metadata = status === 'interacted' ? { button: 'buy' } : undefined;
    await updateMessageStatuses(webhooks.world.ctx, { messageIds, status, metadata });
  }
  await webhooks.sendAll();
  expect(receiver.received.map(({ type }) => type)).toEqual(
    ['seen', 'read', 'interacted', 'archived', 'unarchived', 'unread', 'unseen'].map(
      (name) => `message.${name}`,
    ),
  );
  const interacted = receiver.received.find(({ type }) => type === 'message.interacted');
  expect(interacted?.body).toMatchObject({
    data: { id: messageIds[0] },
    event_data: { metadata: { button: 'buy' } },
  });
  const events = await webhooks.world.test.db.query<{ id: string }>(
    'select id from message_event where message_id = $1 order by id',
    [row?.id],
  );
  const told = receiver.received.map((one) => uuidFromKsuid(one.id));
  expect(events.map((event) => event.id)).toEqual(expect.arrayContaining(told));
  expect((await webhooks.log(id)).every((entry) => entry.status === 'delivered')).toBe(true);
});

test('a click on a tracked link is told with its url, once', async () => {
  await webhooks.notify('cleo');
  await webhooks.endpoint(receiver.url);
  const { ctx, test: database } = webhooks.world;
  const [row] = await database.db.query<{ id: string }>(
    `select id from message where recipient_id = 'cleo'`,
  );
  const click = { messageUuid: row?.id ?? '', url: 'https://shop.example/a' };
  await Promise.all([recordEngagement(ctx, click), recordEngagement(ctx, click)]);
  await webhooks.sendAll();
  expect(receiver.received).toMatchObject([
    {
      type: 'message.link_clicked',
      body: {
        data: { id: ksuidFromUuid(row?.id ?? ''), engagement_statuses: ['link_clicked'] },
        event_data: { url: 'https://shop.example/a' },
      },
    },
  ]);
});

test('a request is signed as Knock signs: milliseconds, and base64 over the raw body', async () => {
  const { secret } = await webhooks.endpoint(receiver.url, ['message.delivered']);
  await webhooks.notify('ada');
  await webhooks.sendAll();
  const [one] = receiver.received;
  const [, t, s] = /^t=(\d{13}),s=(.+)$/.exec(String(one?.headers['x-knock-signature'])) ?? [];
  expect(s).toBe(createHmac('sha256', secret).update(`${t}.${one?.text}`).digest('base64'));
  expect(one?.headers).toMatchObject({
    'x-knock-event': 'message.delivered',
    'x-knock-environment-id': webhooks.world.ctx.environment.publicId,
    'content-type': 'application/json',
  });
});

test('a request is signed as Standard Webhooks demands, for a day with the old secret too', async () => {
  const { id, secret } = await webhooks.endpoint(receiver.url, ['message.delivered']);
  const ctx = { ...webhooks.world.ctx, secrets: testSecrets, allowPrivate: true };
  const { secret: newer } = await rotateSecret(ctx, { id });
  expect(newer).not.toBe(secret);
  await webhooks.notify('ada');
  await webhooks.sendAll();
  webhooks.world.clock.move(25 * 3_600_000);
  await webhooks.notify('ada');
  await webhooks.sendAll();
  const signatures = receiver.received.map(({ headers, text }) => {
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`;
    const by = (key: string) =>
      `v1,${createHmac('sha256', Buffer.from(key.slice(6), 'base64'))
        .update(signed)
        .digest('base64')}`;
    expect(headers['webhook-timestamp']).toMatch(/^\d{10}$/);
    return { got: headers['webhook-signature'], newer: by(newer), older: by(secret) };
  });
  expect(signatures.map(({ got }) => got)).toEqual([
    `${signatures[0]?.newer} ${signatures[0]?.older}`,
    signatures[1]?.newer,
  ]);
});

test('an endpoint gets the events that it asked for, and every endpoint the same ids', async () => {
  await webhooks.endpoint(`${receiver.url}/runs`, ['workflow_recipient_run.started']);
  await webhooks.endpoint(`${receiver.url}/both`, [
    'workflow_recipient_run.started',
    'message.delivered',
  ]);
  await webhooks.notify('ada', 'bob');
  await webhooks.sendAll();
  const types = receiver.received.map(({ type }) => type).sort();
  expect(types).toEqual([
    ...Array.from({ length: 2 }, () => 'message.delivered'),
    ...Array.from({ length: 4 }, () => 'workflow_recipient_run.started'),
  ]);
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(4);
});

test('what a push changes is told as updated and committed, and what it leaves is not', async () => {
  await webhooks.endpoint(receiver.url);
  const push = (markdown: string) =>
    publish(webhooks.world.ctx, {
      workflows: [{ key: 'told', content: { name: 'Told', steps: [feedStep(markdown)] } }],
      resources: [
        {
          kind: 'layout',
          key: 'plain',
          content: {
            name: 'Plain',
            html_layout: '<p>{{ content }}</p>',
            text_layout: '{{ content }}',
          },
        },
      ],
    });
  const { workflows } = await push('One');
  await webhooks.sendAll();
  expect(receiver.received.map(({ type }) => type).sort()).toEqual([
    'email_layout.committed',
    'email_layout.updated',
    'workflow.committed',
    'workflow.updated',
  ]);
  const committed = receiver.received.find(({ type }) => type === 'workflow.committed');
  expect(committed?.body).toMatchObject({
    __typename: 'Event',
    data: { key: 'told', name: 'Told', environment: 'development', steps: [{ type: 'channel' }] },
    event_data: { __typename: 'EventData', commit_id: versionUuid(workflows[0]?.versionId ?? 0) },
  });
  await push('Two');
  await webhooks.sendAll();
  expect(
    receiver.received
      .slice(4)
      .map(({ type }) => type)
      .sort(),
  ).toEqual(['workflow.committed', 'workflow.updated']);
});

test('of another environment nothing is told', async () => {
  const [other] = await webhooks.world.test.db.query<{ id: number }>(
    `select id from environment where slug = 'production'`,
  );
  await webhooks.endpoint(receiver.url);
  await webhooks.world.test.db.query('update webhook_endpoint set environment_id = $1', [
    other?.id,
  ]);
  await webhooks.notify('ada');
  await webhooks.sendAll();
  expect(receiver.received).toEqual([]);
});

test('while there is no endpoint, or only disabled ones, nothing is written', async () => {
  const count = async () =>
    (
      await webhooks.world.test.db.query<{ n: number }>(
        'select count(*)::int as n from webhook_delivery',
      )
    )[0]?.n;
  const before = await count();
  await webhooks.notify('ada');
  await webhooks.endpoint(receiver.url);
  await webhooks.world.test.db.query(`update webhook_endpoint set state = 'disabled'`);
  await webhooks.notify('ada');
  expect(await count()).toBe(before);
});

test('what was deleted before it was sent is told to nobody', async () => {
  const { id } = await webhooks.endpoint(receiver.url, ['message.delivered']);
  await webhooks.notify('gone');
  await webhooks.world.test.db.query(`delete from message where recipient_id = 'gone'`);
  await webhooks.sendAll();
  expect(receiver.received).toEqual([]);
  expect(await webhooks.log(id)).toMatchObject([{ status: 'dropped' }]);
});

test('there are 26 types, and those of messages have the numbers of message events', () => {
  expect(Object.keys(webhookEventTypes)).toHaveLength(26);
  const told = Object.entries(webhookEventTypes).filter(([name]) => name.startsWith('message.'));
  expect(told).toEqual(
    Object.entries(messageEventTypes)
      .filter(([name]) => !['created', 'queued', 'not_sent'].includes(name))
      .map(([name, type]) => [`message.${name}`, type])
      .sort((a, b) => Number(a[1]) - Number(b[1])),
  );
});

test('whoever writes message events tells webhooks of them in the same statement', () => {
  const root = join(import.meta.dirname, '..', '..', 'src');
  const writers = sourceFiles(root).filter((file) =>
    readFileSync(join(root, file), 'utf8').includes('insert into message_event'),
  );
  expect(writers.length).toBeGreaterThan(2);
  for (const file of writers) {
    expect(readFileSync(join(root, file), 'utf8'), file).toContain('webhookEventsSql(');
  }
});
