import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listFeed, readFeedQuery } from '../../src/feed/list-feed.ts';
import type { RawParameters } from '../../src/feed/query-reader.ts';
import { BelfryError } from '../../src/lib/errors.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createMessageWorld, type MessageFixture, type MessageWorld } from '../support/messages.ts';

let database: TestDatabase;
let world: MessageWorld;
let users = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
});
afterAll(() => database.drop());

const newUser = (): string => {
  users += 1;
  return `user-${users}`;
};

const list = (userId: string, parameters: RawParameters = {}) =>
  listFeed(world.development, {
    userId,
    channelId: world.channels['in-app'] ?? '',
    query: readFeedQuery(parameters),
  });

const insertFor = (userId: string, fixtures: readonly MessageFixture[]) =>
  world.insert(fixtures.map((fixture) => ({ ...fixture, userId })));

const idsOf = async (userId: string, parameters: RawParameters) =>
  (await list(userId, parameters)).entries.map(({ id }) => id);

describe('a feed item', () => {
  test('has blocks with their source and safe HTML, its data, actor and source', async () => {
    const userId = newUser();
    await database.db.query(
      `insert into recipient (environment_id, collection, id, properties)
values ($1, '$users', 'ada', '{"name":"Ada"}')`,
      [world.development.environment.id],
    );
    const [id] = await insertFor(userId, [
      {
        actor: 'ada',
        tenant: 'acme',
        categories: ['collaboration'],
        data: { url: 'https://example.com/1', nested: { a: 1 } },
        content: {
          body: 'Hi **Ada** &lt;b&gt; <script>alert(1)</script> [x](javascript:alert(1))',
          action_url: 'https://example.com/1?a=1&b=2',
          actions: [
            { label: 'Yes', action: 'https://example.com/yes' },
            { label: 'No', action: 'java\nscript:alert(1)' },
          ],
        },
      },
    ]);
    const page = await list(userId);
    expect(page.entries).toHaveLength(1);
    const [item] = page.entries;
    expect(item).toMatchObject({
      __typename: 'FeedItem',
      __cursor: id,
      id,
      tenant: 'acme',
      data: { url: 'https://example.com/1', nested: { a: 1 } },
      total_actors: 1,
      actors: [{ __typename: 'User', id: 'ada', name: 'Ada' }],
      total_activities: 1,
      seen_at: null,
      read_at: null,
      source: { __typename: 'Workflow', key: 'comment-created', categories: ['collaboration'] },
    });
    expect(item?.source).toHaveProperty(
      'version_id',
      expect.stringMatching(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
    );
    expect(item?.blocks).toEqual([
      {
        type: 'markdown',
        name: 'body',
        content: '**{{ actor.name }}** commented',
        rendered:
          '<p>Hi <strong>Ada</strong> &lt;b&gt; &lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:alert(1))</p>',
      },
      {
        type: 'text',
        name: 'action_url',
        content: '{{ data.url }}',
        rendered: 'https://example.com/1?a=1&b=2',
      },
      {
        type: 'button_set',
        name: 'actions',
        buttons: [
          { name: 'primary', label: 'Yes', action: 'https://example.com/yes' },
          { name: 'secondary', label: 'No', action: '' },
        ],
      },
    ]);
  });

  test('in compact mode has flat data and no activities', async () => {
    const userId = newUser();
    await insertFor(userId, [{ data: { flat: 1, text: null, list: [1], nested: {} } }]);
    const [item] = (await list(userId, { mode: 'compact' })).entries;
    expect(JSON.parse(JSON.stringify(item))).not.toHaveProperty('activities');
    expect(JSON.parse(JSON.stringify(item))).not.toHaveProperty('total_activities');
    expect(item?.data).toEqual({ flat: 1, text: null });
  });

  test('shows the recipient’s own data where the trigger gave it some', async () => {
    const userId = newUser();
    await insertFor(userId, [{ data: { a: 1 }, ownData: { a: 1, mine: true } }]);
    const [item] = (await list(userId)).entries;
    expect(item?.data).toEqual({ a: 1, mine: true });
    expect(await idsOf(userId, { trigger_data: '{"mine":true}' })).toHaveLength(1);
  });

  test('names an actor that was deleted by its id alone', async () => {
    const userId = newUser();
    await insertFor(userId, [{ actor: 'gone' }, { actor: { id: 'p1', collection: 'projects' } }]);
    const page = await list(userId);
    const time = expect.any(String);
    const times = { created_at: time, updated_at: time };
    expect(page.entries.map((item) => item.actors)).toEqual([
      [{ __typename: 'Object', id: 'p1', collection: 'projects', properties: {}, ...times }],
      [{ __typename: 'User', id: 'gone', created_at: null, updated_at: time }],
    ]);
  });
});

describe('which feed', () => {
  test('an unknown user has an empty feed', async () => {
    expect(await list('nobody')).toEqual({
      entries: [],
      meta: { __typename: 'FeedMetadata', total_count: 0, unread_count: 0, unseen_count: 0 },
      page_info: { __typename: 'PageInfo', after: null, before: null, page_size: 50 },
      vars: {},
    });
  });

  test.for(['00000000-0000-4000-8000-000000000000', 'in-app', ''])(
    'an unknown channel (%s) is a 404',
    async (channelId) => {
      const refused = listFeed(world.development, {
        userId: 'grace',
        channelId,
        query: readFeedQuery({}),
      });
      await expect(refused).rejects.toMatchObject({ code: 'resource_missing' });
    },
  );

  test('a channel of another type, or of another account, is refused', async () => {
    const query = readFeedQuery({});
    const other = await createMessageWorld(database.db);
    await expect(
      listFeed(world.development, {
        userId: 'grace',
        channelId: world.channels.email ?? '',
        query,
      }),
    ).rejects.toMatchObject({ code: 'channel_invalid' });
    await expect(
      listFeed(other.development, {
        userId: 'grace',
        channelId: world.channels['in-app'] ?? '',
        query,
      }),
    ).rejects.toMatchObject({ code: 'resource_missing' });
  });

  test('another environment, another user and another channel stay apart', async () => {
    const userId = newUser();
    await insertFor(userId, [{ channel: 'email' }, { collection: 'projects' }]);
    await world.insert([{ userId }], world.production.environment);
    const [mine] = await insertFor(userId, [{}]);
    const page = await list(userId);
    expect(page.entries.map(({ id }) => id)).toEqual([mine]);
    expect(page.meta.total_count).toBe(1);
  });
});

describe('filters', () => {
  test('a tenant’s view has the untagged items too, unless has_tenant is set', async () => {
    const userId = newUser();
    const [a, b, none] = await insertFor(userId, [{ tenant: 'a' }, { tenant: 'b' }, {}]);
    expect(await idsOf(userId, { tenant: 'a' })).toEqual([none, a]);
    expect(await idsOf(userId, { tenant: 'a', has_tenant: 'true' })).toEqual([a]);
    expect(await idsOf(userId, { has_tenant: 'true' })).toEqual([b, a]);
    expect(await idsOf(userId, { has_tenant: false })).toEqual([none]);
  });

  test('archived items are left out, included or all there is', async () => {
    const userId = newUser();
    const [archived, other] = await insertFor(userId, [{ archived: true }, {}]);
    expect(await idsOf(userId, {})).toEqual([other]);
    expect(await idsOf(userId, { archived: 'include' })).toEqual([other, archived]);
    expect(await idsOf(userId, { archived: 'only' })).toEqual([archived]);
  });

  test('trigger_data must match every pair; long texts are compared by their beginning', async () => {
    const userId = newUser();
    const long = 'x'.repeat(300);
    const [first, second] = await insertFor(userId, [
      { data: { id: 7, text: long, none: null, yes: true } },
      { data: { id: '7', list: ['7'] } },
    ]);
    expect(await idsOf(userId, { trigger_data: '{"id":7}' })).toEqual([first]);
    expect(await idsOf(userId, { trigger_data: '{"id":"7"}' })).toEqual([second]);
    expect(await idsOf(userId, { trigger_data: { id: 7, yes: true, none: null } })).toEqual([
      first,
    ]);
    expect(await idsOf(userId, { trigger_data: { text: long } })).toEqual([first]);
    expect(await idsOf(userId, { trigger_data: { id: 7, yes: false } })).toEqual([]);
    expect(await idsOf(userId, { trigger_data: { list: '7' } })).toEqual([]);
  });

  test('times are compared as they are shown, in every style of writing them', async () => {
    const userId = newUser();
    const [first, second] = await insertFor(userId, [{}, {}]);
    const at = (await list(userId)).entries[0]?.inserted_at;
    expect(await idsOf(userId, { 'inserted_at.gte': at })).toEqual([second]);
    expect(await idsOf(userId, { 'inserted_at[gt]': at })).toEqual([]);
    expect(await idsOf(userId, { inserted_at: { lte: at } })).toEqual([second, first]);
    expect(await idsOf(userId, { inserted_at: { lt: at } })).toEqual([first]);
  });

  test.for([
    { status: 'green' },
    { archived: 'maybe' },
    { has_tenant: 'perhaps' },
    { page_size: '0' },
    { page_size: '51' },
    { page_size: 'ten' },
    { after: 'garbage' },
    { before: '!!!' },
    { after: '0'.repeat(27) },
    { trigger_data: '{"a":{"b":1}}' },
    { trigger_data: '[1]' },
    { trigger_data: '{' },
    { trigger_data: '{"a":"\\u0000"}' },
    { source: 'a\0b' },
    { mode: 'tiny' },
    { exclude: 'a.b.c.d' },
    { 'inserted_at.gt': 'yesterday' },
    { workflow_categories: [1] },
    { tenant: ['a', 'b'] },
  ])('a wrong parameter is refused by name: %j', (parameters) => {
    const [name = ''] = Object.keys(parameters);
    try {
      readFeedQuery(parameters);
      expect.fail('it was accepted');
    } catch (error) {
      expect(error).toBeInstanceOf(BelfryError);
      expect(error).toMatchObject({ code: 'invalid_params' });
      expect((error as BelfryError).fields?.[0]?.field).toMatch(
        new RegExp(`^${name.replace('.', '\\.')}`),
      );
    }
  });
});

describe('pages', () => {
  test('follow each other without gap or repetition while new items arrive', async () => {
    const userId = newUser();
    const ids = await insertFor(
      userId,
      Array.from({ length: 25 }, () => ({})),
    );
    const newestFirst = ids.toReversed();
    const read: string[] = [];
    let after: string | null | undefined;
    let pages = 0;
    do {
      const page = await list(userId, { page_size: 10, ...(after ? { after } : {}) });
      read.push(...page.entries.map(({ id }) => id));
      after = page.page_info.after;
      pages += 1;
      await insertFor(userId, [{}]);
    } while (after);
    expect(read).toEqual(newestFirst);
    expect(pages).toBe(3);
  });

  test('before a cursor come the next newer ones, newest first', async () => {
    const userId = newUser();
    const ids = await insertFor(
      userId,
      Array.from({ length: 6 }, () => ({})),
    );
    const page = await list(userId, { before: ids[1], page_size: 3 });
    expect(page.entries.map(({ id }) => id)).toEqual([ids[4], ids[3], ids[2]]);
    expect(page.page_info).toMatchObject({ before: ids[4], after: ids[2] });
    expect(await idsOf(userId, { before: ids[4], page_size: 3 })).toEqual([ids[5]]);
    const end = await list(userId, { before: ids[5] });
    expect(end.entries).toEqual([]);
    expect(end.page_info).toMatchObject({ before: null, after: null });
  });

  test('before a cursor, without a page size, comes all that is newer', async () => {
    const userId = newUser();
    const nowMs = Date.now();
    const [shown] = await insertFor(userId, [{ insertedMs: nowMs - 1 }]);
    const burst = await insertFor(
      userId,
      Array.from({ length: 120 }, () => ({ insertedMs: nowMs })),
    );
    expect((await idsOf(userId, { before: shown })).sort()).toEqual(burst.sort());
    expect(await idsOf(userId, { before: shown, page_size: 50 })).toHaveLength(50);
  });

  test('before a cursor comes also what was accepted earlier and done later', async () => {
    const userId = newUser();
    const nowMs = Date.now();
    const [shown] = await insertFor(userId, [{ insertedMs: nowMs - 1_000 }]);
    const [late] = await insertFor(userId, [{ acceptedMs: nowMs - 60_000, insertedMs: nowMs }]);
    expect(await idsOf(userId, { before: shown })).toEqual([late]);
    expect(await idsOf(userId, { before: late })).toEqual([]);
  });
});
