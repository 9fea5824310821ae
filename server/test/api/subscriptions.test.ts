import { Knock } from '@knocklabs/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { operatingEngine } from '../support/operations.ts';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

// Over HTTP and with the unmodified SDK.
let api: TestApi;
let account: TestAccount;
let knock: Knock;

beforeAll(async () => {
  api = await startTestApi({ engine: (_ctx, url) => operatingEngine(url) });
  account = await api.account();
  const url = await api.app.listen({ port: 0, host: '127.0.0.1' });
  knock = new Knock({ apiKey: account.secretKey, baseURL: url, maxRetries: 0 });
});
afterAll(() => api.close());

const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

async function idsOf(pages: AsyncIterable<{ recipient: object }>): Promise<unknown[]> {
  const ids: unknown[] = [];
  for await (const { recipient } of pages) ids.push('id' in recipient ? recipient.id : undefined);
  return ids;
}

describe('a subscription', () => {
  test('is made with the object and the recipients that come along, in the order of the request', async () => {
    const made = await knock.objects.addSubscriptions('projects', 'made', {
      recipients: [
        'zoe',
        { id: 'ada', name: 'Ada' },
        { id: 'design', collection: 'teams', name: 'Design' },
      ],
      properties: { role: 'reviewer' },
    });
    expect(made).toMatchObject([
      { recipient: { __typename: 'User', id: 'zoe' } },
      { recipient: { __typename: 'User', id: 'ada', name: 'Ada' } },
      { recipient: { __typename: 'Object', id: 'design', properties: { name: 'Design' } } },
    ]);
    expect(made[0]).toMatchObject({
      __typename: 'Subscription',
      object: { __typename: 'Object', id: 'made', collection: 'projects' },
      properties: { role: 'reviewer' },
      inserted_at: timestamp,
      updated_at: timestamp,
    });
    expect(await knock.users.get('ada')).toMatchObject({ name: 'Ada' });
    expect(await knock.objects.get('projects', 'made')).toMatchObject({ id: 'made' });
  });

  test('that exists gets the properties of the request, and keeps its own when there are none', async () => {
    const add = (more: object) =>
      knock.objects.addSubscriptions('projects', 'again', { recipients: ['ada'], ...more });
    const [first] = await add({ properties: { a: 1, b: 2 } });
    const [kept] = await add({});
    expect(kept?.properties).toEqual({ a: 1, b: 2 });
    expect(kept?.inserted_at).toBe(first?.inserted_at);
    const [replaced] = await add({ properties: { b: 3 } });
    expect(replaced?.properties).toEqual({ b: 3 });
    const [none] = await add({ properties: null });
    expect(none?.properties).toBeNull();
  });

  test('is ended by the recipient; the answer names those there were', async () => {
    await knock.objects.addSubscriptions('projects', 'ended', { recipients: ['ada', 'bob'] });
    const gone = await knock.objects.deleteSubscriptions('projects', 'ended', {
      recipients: ['bob', 'nobody'],
    });
    expect(gone).toMatchObject([{ recipient: { id: 'bob' } }]);
    expect(await idsOf(knock.objects.listSubscriptions('projects', 'ended'))).toEqual(['ada']);
  });

  test.each([
    ['no recipients', { recipients: [] }, 'recipients'],
    ['too many', { recipients: Array.from({ length: 101 }, (_, i) => `u${i}`) }, 'recipients'],
    ['large properties', { recipients: ['a'], properties: { a: 'x'.repeat(9_000) } }, 'properties'],
  ])('is refused with %s', async (_name, body, field) => {
    const answer = await api.call('POST', '/v1/objects/projects/p/subscriptions', {
      key: account.secretKey,
      body,
    });
    expect([answer.status, answer.body.errors[0].field]).toEqual([422, field]);
  });

  test('ends when its recipient or its object is deleted', async () => {
    await knock.objects.addSubscriptions('projects', 'stays', { recipients: ['leaver', 'ada'] });
    await knock.objects.addSubscriptions('projects', 'leaves', { recipients: ['ada'] });
    await knock.users.delete('leaver');
    await knock.objects.delete('projects', 'leaves');
    expect(await idsOf(knock.objects.listSubscriptions('projects', 'stays'))).toEqual(['ada']);
    expect(await idsOf(knock.objects.listSubscriptions('projects', 'leaves'))).toEqual([]);
  });
});

test('subscriptions to many objects are made and ended at once; what is wrong with one keeps none of the others', async () => {
  const added = await knock.objects.bulk.addSubscriptions('bulk', {
    subscriptions: [
      { id: 'b1', recipients: ['ada', { id: 'bob', name: 'Bob' }], properties: { role: 'x' } },
      { id: 'b2', recipients: [] },
      { id: 'b3', recipients: ['ada'] },
    ],
  });
  expect(await knock.bulkOperations.get(added.id)).toMatchObject({
    __typename: 'BulkOperation',
    name: 'subscriptions.add',
    status: 'completed',
    success_count: 2,
    error_items: [{ id: 'b2', collection: 'bulk' }],
  });
  expect(await idsOf(knock.objects.listSubscriptions('bulk', 'b1'))).toEqual(['ada', 'bob']);
  await knock.objects.bulk.deleteSubscriptions('bulk', {
    subscriptions: [
      { id: 'b1', recipients: ['ada'] },
      { id: 'b3', recipients: ['ada', 'nobody'] },
    ],
  });
  expect(await idsOf(knock.objects.listSubscriptions('bulk', 'b1'))).toEqual(['bob']);
  expect(await idsOf(knock.objects.listSubscriptions('bulk', 'b3'))).toEqual([]);
});

describe('subscribers of an object', () => {
  test('are listed page by page, forward and back, with preferences on request', async () => {
    const recipients = ['u1', 'u2', 'u3', 'u4', 'u5'];
    await knock.objects.addSubscriptions('projects', 'pages', { recipients });
    await knock.users.setPreferences('u2', 'default', { workflows: { a: false } });
    const pages = knock.objects.listSubscriptions('projects', 'pages', { page_size: 2 });
    expect(await idsOf(pages)).toEqual(recipients);
    const list = async (query: string) => {
      const path = '/v1/objects/projects/pages/subscriptions?page_size=2';
      return (await api.call('GET', `${path}&${query}`, { key: account.secretKey })).body;
    };
    const first = await list('include[]=preferences');
    expect(first.entries[1].recipient).toMatchObject({
      id: 'u2',
      preferences: { default: { workflows: { a: false } } },
    });
    const second = await list(`after=${first.page_info.after}`);
    const back = await list(`before=${second.page_info.before}`);
    expect(back.entries).toMatchObject([{ recipient: { id: 'u1' } }, { recipient: { id: 'u2' } }]);
  });

  test('can be asked for by name', async () => {
    await knock.objects.addSubscriptions('projects', 'named', {
      recipients: ['u1', 'u2', { id: 'design', collection: 'teams' }],
    });
    const named = knock.objects.listSubscriptions('projects', 'named', {
      recipients: ['u2', { id: 'design', collection: 'teams' }, 'nobody'],
    });
    expect(await idsOf(named)).toEqual(['u2', 'design']);
  });
});

describe('what somebody subscribes to', () => {
  test('is listed, the newest first, for users and for objects', async () => {
    for (const id of ['o1', 'o2', 'o3']) {
      await knock.objects.addSubscriptions('topics', id, {
        recipients: ['reader', { id: 'sub', collection: 'topics' }],
      });
    }
    const objects: string[] = [];
    for await (const { object } of knock.users.listSubscriptions('reader', { page_size: 2 })) {
      objects.push(object.id);
    }
    expect(objects).toEqual(['o3', 'o2', 'o1']);
    const named = await knock.users.listSubscriptions('reader', {
      objects: [{ id: 'o2', collection: 'topics' }],
    });
    expect(named.entries).toMatchObject([{ object: { id: 'o2' } }]);
    const ofObject = await knock.objects.listSubscriptions('topics', 'sub', { mode: 'recipient' });
    expect(ofObject.entries.map(({ object }) => object.id)).toEqual(['o3', 'o2', 'o1']);
  });

  test('is not known to another account', async () => {
    const other = await api.account();
    const client = new Knock({ apiKey: other.secretKey, baseURL: knock.baseURL });
    const page = await client.users.listSubscriptions('reader');
    expect(page.entries).toEqual([]);
  });
});
