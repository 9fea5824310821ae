import { afterAll, beforeAll, expect, test } from 'vitest';
import { listMessages, readMessageQuery } from '../../src/feed/list-messages.ts';
import { getMessage } from '../../src/feed/load-messages.ts';
import { getMessageContent, loadMessageContents } from '../../src/feed/message-content.ts';
import { listDeliveryLogs, listMessageEvents } from '../../src/feed/message-history.ts';
import { updateMessageStatus, updateMessageStatuses } from '../../src/feed/message-status.ts';
import { readPage } from '../../src/feed/page.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { uuidFromKsuid } from '../../src/lib/ksuid.ts';
import { messageOperation } from '../../src/operations/message-operation.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';
import { changeMessages, createOperations, type Operations } from '../support/operations.ts';

let database: TestDatabase;
const HOUR_MS = 3_600_000;

let world: MessageWorld;
let operations: Operations;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
  operations = await createOperations(database.url);
});
afterAll(async () => {
  await operations.close();
  await database.drop();
});

const at = (nowMs: number) => ({ ...world.development, clock: { now: () => nowMs } });
const someone = async (messageId: string | undefined) =>
  getMessage(world.development, { messageId: messageId ?? '' });
const eventTypes = async (messageId: string | undefined) =>
  (
    await listMessageEvents(world.development, { messageId: messageId ?? '', page: readPage({}) })
  ).items
    .map(({ type }) => type)
    .sort();
const bulk = (
  action: string,
  body: JsonObject,
  options: { readonly userId?: string; readonly channelId?: string } = {},
) => {
  const channelId = options.channelId ?? world.channels['in-app'] ?? '';
  const input = { channelId, action, body, scope: { userId: options.userId } };
  return changeMessages(world.development, operations, input);
};

test('a batch answers full messages in the order of the request, without unknown ids', async () => {
  const [a = '', b = '', c = ''] = await world.insert([{}, {}, {}]);
  const [foreign = ''] = await world.insert([{}], world.production.environment);
  const messages = await updateMessageStatuses(world.development, {
    messageIds: [c, 'garbage', foreign, a, '0'.repeat(27), b, a],
    status: 'seen',
  });
  expect(messages.map(({ id }) => id)).toEqual([c, a, b]);
  expect(messages[0]).toMatchObject({
    __typename: 'Message',
    recipient: 'grace',
    status: 'delivered',
    engagement_statuses: ['seen'],
    channel: { key: 'in-app', type: 'in_app_feed' },
    source: { __typename: 'NotificationSource', key: 'comment-created', type: 'workflow' },
  });
  const untouched = await getMessage(world.production, { messageId: foreign });
  expect(untouched.seen_at).toBeNull();
  expect(await eventTypes(a)).toEqual(['message.seen']);
});

test('a timestamp is that of the latest action, and taking it back clears it', async () => {
  const [id = ''] = await world.insert([{}]);
  const first = Date.now();
  await updateMessageStatus(at(first), { messageId: id, status: 'read' });
  const again = await updateMessageStatus(at(first + 5_000), { messageId: id, status: 'read' });
  expect(again.read_at).toBe(new Date(first + 5_000).toISOString());
  const unread = await updateMessageStatus(at(first + 6_000), { messageId: id, status: 'unread' });
  expect(unread).toMatchObject({ read_at: null, engagement_statuses: [] });
  await updateMessageStatus(at(first + 7_000), { messageId: id, status: 'unread' });
  expect(await eventTypes(id)).toEqual(['message.read', 'message.read', 'message.unread']);
});

test('whoever interacts with a message has read it, and the metadata is kept', async () => {
  const [id = ''] = await world.insert([{}]);
  const message = await updateMessageStatus(world.development, {
    messageId: id,
    status: 'interacted',
    metadata: { button: 'primary' },
  });
  expect(message.engagement_statuses).toEqual(['read', 'interacted']);
  const { items } = await listMessageEvents(world.development, {
    messageId: id,
    page: readPage({}),
  });
  expect(items[0]).toMatchObject({
    type: 'message.interacted',
    recipient: 'grace',
    data: { metadata: { button: 'primary' } },
  });
});

test('a user’s own token reaches that user’s messages only', async () => {
  const [mine = '', hers = ''] = await world.insert([{ userId: 'me' }, { userId: 'her' }]);
  const scope = { userId: 'me' };
  const messages = await updateMessageStatuses(world.development, {
    messageIds: [hers, mine],
    status: 'archived',
    ...scope,
  });
  expect(messages.map(({ id }) => id)).toEqual([mine]);
  await expect(getMessage(world.development, { messageId: hers, ...scope })).rejects.toMatchObject({
    code: 'resource_missing',
  });
  await expect(
    updateMessageStatus(world.development, { messageId: hers, status: 'read', ...scope }),
  ).rejects.toMatchObject({ code: 'resource_missing' });
  await bulk('read', { recipient_ids: ['me', 'her'] }, { userId: 'me' });
  expect((await someone(hers)).read_at).toBeNull();
  expect((await someone(mine)).read_at).not.toBeNull();
});

test('two batches over the same messages in opposite order both finish', async () => {
  const ids = await world.insert(Array.from({ length: 40 }, () => ({ userId: 'busy' })));
  await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      updateMessageStatuses(world.development, {
        messageIds: index % 2 === 0 ? ids : ids.toReversed(),
        status: index % 3 === 0 ? 'read' : 'seen',
      }),
    ),
  );
  const read = await Promise.all(ids.map(someone));
  expect(read.every(({ engagement_statuses: is }) => is.join() === 'seen,read')).toBe(true);
});

test('a bulk change reaches exactly the messages that match its filters', async () => {
  const fixtures = [
    { tenant: 'a' },
    { tenant: 'b' },
    {},
    { tenant: 'a', archived: true },
    { tenant: 'a', seen: true },
    { tenant: 'a', userId: 'other' },
    { tenant: 'a', channel: 'email' as const },
  ].map((fixture) => ({ userId: 'bulk', ...fixture }));
  const ids = await world.insert(fixtures);
  const operation = await bulk('read', {
    user_ids: ['bulk'],
    tenants: ['a'],
    has_tenant: true,
    archived: 'exclude',
    engagement_status: 'unseen',
  });
  expect(operation).toMatchObject({
    __typename: 'BulkOperation',
    status: 'completed',
    success_count: 1,
    error_count: 0,
  });
  const read = await Promise.all(ids.map(someone));
  expect(read.map((message) => message.read_at !== null)).toEqual([
    true,
    false,
    false,
    false,
    false,
    false,
    false,
  ]);
});

test('marking all of a tenant’s view reaches the untagged items that the view shows', async () => {
  const ids = await world.insert(
    [{ tenant: 'a' }, { tenant: 'b' }, {}].map((fixture) => ({ ...fixture, userId: 'view' })),
  );
  await bulk('archive', { user_ids: ['view'], tenants: ['a'], archived: 'exclude' });
  const archived = await Promise.all(ids.map(someone));
  expect(archived.map((message) => message.archived_at !== null)).toEqual([true, false, true]);
});

test('a bulk change of more than a chunk changes all of it', async () => {
  await world.insert(Array.from({ length: 2_100 }, () => ({ userId: 'many' })));
  expect(await bulk('seen', { recipient_ids: ['many'] })).toMatchObject({ success_count: 2_100 });
  expect(await bulk('unseen', { recipient_ids: ['many'] })).toMatchObject({ success_count: 2_100 });
  expect(await bulk('unseen', { recipient_ids: ['many'] })).toMatchObject({ success_count: 0 });
});

test('what arrives after the request for a bulk change stays as it is', async () => {
  const asked = await messageOperation(world.development, {
    channelId: world.channels['in-app'] ?? '',
    action: 'read',
    body: { recipient_ids: ['late'] },
    scope: {},
  });
  const agoMs = Date.now() - HOUR_MS;
  const [before, after] = await world.insert([
    { userId: 'late', insertedMs: agoMs },
    { userId: 'late', insertedMs: agoMs + 2 },
  ]);
  const arrived = { ...asked.operation, inserted_at: new Date(agoMs + 1) };
  await operations.operate({ ...asked, operation: arrived });
  await operations.settle();
  expect((await someone(before)).read_at).not.toBeNull();
  expect((await someone(after)).read_at).toBeNull();
});

test('an unknown action or channel is refused', async () => {
  await expect(bulk('constructor', {})).rejects.toMatchObject({ code: 'invalid_params' });
  const channelId = '00000000-0000-4000-8000-000000000000';
  await expect(bulk('read', {}, { channelId })).rejects.toMatchObject({ code: 'resource_missing' });
});

test('the list of messages honours its filters and stays in the environment', async () => {
  const [queued = '', bounced = '', object = ''] = await world.insert([
    { userId: 'lister', channel: 'email', status: 0, tenant: 't', data: { k: 1 } },
    { userId: 'lister', channel: 'email', status: 0, workflow: 'alert', categories: ['ops'] },
    { userId: 'lister', collection: 'projects', read: true },
  ]);
  await world.insert([{ userId: 'lister' }], world.production.environment);
  await database.db.query(
    `insert into delivery (message_id, attempt, status, provider, detail, attempted_at)
select $1, attempt, status, 'email_smtp', '{"request":{"method":"POST"},"response":{"status":550}}', now()
from (values (1, 3), (2, 5)) as d (attempt, status)`,
    [uuidFromKsuid(bounced)],
  );
  const of = async (parameters: JsonObject, recipient?: { collection: string; id: string }) =>
    (
      await listMessages(world.development, {
        query: readMessageQuery(parameters),
        recipient: recipient ?? { collection: '$users', id: 'lister' },
      })
    ).items.map(({ id }) => id);
  expect(await of({})).toEqual([bounced, queued]);
  expect(await of({}, { collection: 'projects', id: 'lister' })).toEqual([object]);
  expect(await of({ status: ['bounced'] })).toEqual([bounced]);
  expect(await of({ 'status[]': 'queued' })).toEqual([queued]);
  expect(await of({ tenant: 't', trigger_data: '{"k":1}' })).toEqual([queued]);
  expect(await of({ source: 'alert', workflow_categories: ['ops'] })).toEqual([bounced]);
  expect(await of({ engagement_status: 'read' })).toEqual([]);
  expect(await of({ message_ids: [queued, 'x'] })).toEqual([queued]);
  expect(await of({ channel_id: world.channels['in-app'] ?? '' })).toEqual([]);
  const first = await someone(queued);
  expect(
    await of({ workflow_run_id: (first.source as { workflow_run_id: string }).workflow_run_id }),
  ).toEqual([queued]);
  expect((await someone(bounced)).status).toBe('bounced');
  const all = await listMessages(world.development, { query: readMessageQuery({ page_size: 2 }) });
  expect(all.items.map(({ id }) => id)).toEqual([object, bounced]);

  const page = readPage({ page_size: 1 });
  const logs = await listDeliveryLogs(world.development, { messageId: bounced, page });
  expect(logs.items).toMatchObject([
    { __typename: 'MessageDeliveryLog', service_name: 'email_smtp', response: { status: 550 } },
  ]);
  const older = await listDeliveryLogs(world.development, {
    messageId: bounced,
    page: readPage({ page_size: 1, after: logs.page_info.after }),
  });
  expect(older.items).toHaveLength(1);
  expect(older.items[0]?.id).not.toBe(logs.items[0]?.id);
  expect(older.page_info.after).toBeNull();
});

test('the content of a message has the form of its channel', async () => {
  const [feed = '', email = '', sms = '', push = '', chat = ''] = await world.insert([
    {},
    { channel: 'email', content: { to: 'a@b.c', subject: 'Hi', html_body: '<p>Hi</p>' } },
    { channel: 'sms', content: { to: '+1', body: 'Hi', tracking: { links: true } } },
    {
      channel: 'push',
      content: { token: 't', title: 'T', body: 'B', overrides: { data: { a: 1 } } },
    },
    {
      channel: 'chat',
      content: { connection: { access_token: 'secret', channel_id: 'C' }, body: '*Hi*' },
    },
  ]);
  expect(await getMessageContent(world.development, { messageId: feed })).toMatchObject({
    __typename: 'MessageContent',
    message_id: feed,
    data: {
      __typename: 'MessageInAppFeedContent',
      blocks: [{ name: 'body', rendered: '<p><strong>Ada</strong> commented</p>' }, {}],
    },
  });
  const contents = await loadMessageContents(world.development, {
    messageIds: [email, 'unknown', feed],
  });
  expect(contents.map(({ message_id: id }) => id)).toEqual([email, feed]);
  expect(contents[0]?.data).toMatchObject({
    __typename: 'MessageEmailContent',
    subject_line: 'Hi',
  });
  const others = await loadMessageContents(world.development, { messageIds: [sms, push, chat] });
  expect(others.map(({ data }) => data)).toEqual([
    { __typename: 'MessageSmsContent', to: '+1', body: 'Hi' },
    { __typename: 'MessagePushContent', token: 't', title: 'T', body: 'B', data: { a: 1 } },
    {
      __typename: 'MessageChatContent',
      connection: { access_token: null, channel_id: 'C' },
      metadata: null,
      template: {
        blocks: [{ type: 'markdown', name: 'body', content: '*Hi*' }],
        json_content: null,
        summary: null,
      },
    },
  ]);
});
