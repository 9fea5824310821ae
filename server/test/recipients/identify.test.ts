import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EnvironmentContext } from '../../src/context.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import {
  getChannelData,
  setChannelData,
  unsetChannelData,
} from '../../src/recipients/channel-data.ts';
import { deleteRecipient } from '../../src/recipients/delete-recipients.ts';
import { identify, identifyMany } from '../../src/recipients/identify.ts';
import { parseInline } from '../../src/recipients/inline.ts';
import { pageRequest } from '../../src/recipients/page.ts';
import { getPreferences } from '../../src/recipients/preferences.ts';
import { getRecipient, listRecipients } from '../../src/recipients/recipient.ts';
import { parseId, USERS } from '../../src/recipients/reference.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
  account = await api.account();
});
afterAll(() => api.close());

const user = (id: string) => ({ collection: USERS, id });
const inline = (id: string, body: JsonObject) => parseInline(user(id), body, '');
const properties = async (id: string) =>
  (await getRecipient(account.environment, user(id))).properties;

describe('identifying', () => {
  test('merges objects at every depth, replaces everything else, and removes nothing', async () => {
    const ctx = account.environment;
    await identify(ctx, inline('ada', { name: 'Ada', plan: { seats: 3, tags: ['a', 'b'] }, x: 1 }));
    await identify(ctx, inline('ada', { plan: { tags: ['c'], tier: { name: 'pro' } }, x: null }));
    expect(await properties('ada')).toEqual({
      name: 'Ada',
      plan: { seats: 3, tags: ['c'], tier: { name: 'pro' } },
      x: null,
    });
  });

  test('two at once for the same user lose nothing of either', async () => {
    const ctx = account.environment;
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => identify(ctx, inline('busy', { [`key${i}`]: i }))),
    );
    expect(Object.keys(await properties('busy'))).toHaveLength(20);
  });

  test('takes preferences and channel data out of the properties: the one merges, the other replaces', async () => {
    const ctx = account.environment;
    const webhook = account.channels.webhook ?? '';
    await identify(ctx, {
      ...inline('parts', {
        preferences: { default: { workflows: { a: false } } },
        channel_data: { [webhook]: { url: 'https://example.com/1' } },
      }),
    });
    await identifyMany(ctx, [
      inline('parts', {
        name: 'Parts',
        preferences: { default: { workflows: { b: { channel_types: { email: false } } } } },
        channel_data: { webhook: { token: 't' } },
      }),
    ]);
    expect(await properties('parts')).toEqual({ name: 'Parts' });
    const set = await getPreferences(ctx, { ...user('parts'), setId: 'default' });
    expect(set.workflows).toEqual({ a: false, b: { channel_types: { email: false } } });
    const data = await getChannelData(ctx, { ...user('parts'), channel: webhook });
    expect(data.data).toEqual({ token: 't' });
  });

  test('is all or nothing: an unknown channel leaves no user behind', async () => {
    const bad = inline('half', { name: 'Half', channel_data: { nowhere: {} } });
    await expect(identify(account.environment, bad)).rejects.toMatchObject({
      code: 'channel_invalid',
    });
    await expect(identifyMany(account.environment, [bad])).rejects.toMatchObject({
      code: 'channel_invalid',
    });
    await expect(properties('half')).rejects.toMatchObject({ code: 'resource_missing' });
  });

  test('refuses properties of more than 256 kB, at once and grown', async () => {
    const ctx = account.environment;
    const big = 'x'.repeat(200 * 1024);
    await expect(identify(ctx, inline('big', { a: big, b: big }))).rejects.toMatchObject({
      code: 'invalid_params',
    });
    await identify(ctx, inline('big', { a: big }));
    await expect(identify(ctx, inline('big', { b: big }))).rejects.toMatchObject({
      code: 'invalid_params',
    });
    await expect(identifyMany(ctx, [inline('big', { b: big })])).rejects.toMatchObject({
      code: 'invalid_params',
    });
    await identify(ctx, inline('big', { a: big.slice(1) }));
    expect(Object.keys(await properties('big'))).toEqual(['a']);
  });
});

describe('identifying many', () => {
  test('merges a recipient that is there twice, in order', async () => {
    await identifyMany(account.environment, [
      inline('twice', { a: 1, deep: { x: 1 } }),
      inline('once', {}),
      inline('twice', { a: 2, deep: { y: 2 } }),
    ]);
    expect(await properties('twice')).toEqual({ a: 2, deep: { x: 1, y: 2 } });
    expect(await properties('once')).toEqual({});
  });

  test('in opposite orders at the same time never deadlocks', async () => {
    const ids = Array.from({ length: 200 }, (_, i) => `crowd-${i}`);
    const { db } = account.environment;
    const failed: unknown[] = [];
    const ctx: EnvironmentContext = {
      ...account.environment,
      db: {
        ...db,
        // Before it would be done again.
        transaction: (work) =>
          db.transaction(work).catch((error) => {
            failed.push(error);
            throw error;
          }),
      },
    };
    await Promise.all(
      Array.from({ length: 8 }, (_, round) => {
        const order = round % 2 === 0 ? ids : [...ids].reverse();
        return identifyMany(
          ctx,
          order.map((id) => inline(id, { [`round${round}`]: round })),
        );
      }),
    );
    expect(failed).toEqual([]);
    expect(Object.keys(await properties('crowd-7'))).toHaveLength(8);
  });

  test('writes no row whose properties would stay the same', async () => {
    const ctx = account.environment;
    const version = async () => {
      const [row] = await ctx.db.query<{ xmin: string; xmax: string }>(
        `select xmin::text, xmax::text from recipient where environment_id = $1 and id = 'same'`,
        [ctx.environment.id],
      );
      return row;
    };
    await identifyMany(ctx, [inline('same', { name: 'Same', plan: { seats: 1 } })]);
    const before = await version();
    await identifyMany(ctx, [inline('same', { plan: { seats: 1 } }), inline('other', { a: 1 })]);
    expect(await version()).toEqual(before);
  });

  test('keeps any text: quotes, backslashes, braces, emoji', async () => {
    const awkward = `"q" 'q' \\ {a,b} null NULL 🔔 \n\t`;
    await identifyMany(account.environment, [inline(awkward.trim(), { text: awkward })]);
    expect(await properties(awkward.trim())).toEqual({ text: awkward });
  });
});

test('environments never see each other', async () => {
  const other = await api.account();
  await identify(account.environment, inline('private', { a: 1 }));
  await expect(getRecipient(other.environment, user('private'))).rejects.toMatchObject({
    code: 'resource_missing',
  });
  await deleteRecipient(other.environment, user('private'));
  expect(await properties('private')).toEqual({ a: 1 });
});

test('pages go forward to the end and backward to the start, each entry once', async () => {
  const { environment: ctx } = await api.account();
  const ids = Array.from({ length: 7 }, (_, i) => `user-${i}`);
  await identifyMany(
    ctx,
    ids.map((id) => inline(id, {})),
  );
  const read = (query: { after?: string | undefined; before?: string | undefined }) =>
    listRecipients(ctx, { collection: USERS, page: pageRequest({ ...query, page_size: 3 }) });

  const pages: string[][] = [];
  let after: string | undefined;
  let lastBefore: string | undefined;
  do {
    const { entries, pageInfo } = await read({ after });
    pages.push(entries.map(({ id }) => id));
    after = pageInfo.after ?? undefined;
    lastBefore = pageInfo.before ?? undefined;
  } while (after !== undefined);
  expect(pages).toEqual([ids.slice(0, 3), ids.slice(3, 6), ids.slice(6)]);

  const middle = await read({ before: lastBefore });
  expect(middle.entries.map(({ id }) => id)).toEqual(ids.slice(3, 6));
  const first = await read({ before: middle.pageInfo.before ?? undefined });
  expect(first.entries.map(({ id }) => id)).toEqual(ids.slice(0, 3));
  expect(first.pageInfo.before).toBeNull();
  await expect(async () => read({ after: 'not a cursor!' })).rejects.toMatchObject({
    code: 'invalid_params',
  });
});

test('deleting a user takes its preferences, channel data and messages along; the id starts afresh', async () => {
  const ctx = account.environment;
  await identify(
    ctx,
    inline('gone', { name: 'Gone', preferences: { default: { workflows: { a: false } } } }),
  );
  await setChannelData(ctx, { ...user('gone'), channel: 'webhook', data: { url: 'x' } });
  await deleteRecipient(ctx, user('gone'));
  await deleteRecipient(ctx, user('gone'));
  await identify(ctx, inline('gone', {}));
  expect(await properties('gone')).toEqual({});
  const set = await getPreferences(ctx, { ...user('gone'), setId: 'default' });
  expect(set.workflows).toEqual({});
  await expect(getChannelData(ctx, { ...user('gone'), channel: 'webhook' })).rejects.toMatchObject({
    code: 'resource_missing',
  });
});

describe('channel data', () => {
  test.each([
    [
      { tokens: ['a', 'b'] },
      {
        tokens: ['a', 'b'],
        devices: [
          { token: 'a', locale: null, timezone: null },
          { token: 'b', locale: null, timezone: null },
        ],
      },
    ],
    [
      { devices: [{ token: 'a', locale: 'de' }] },
      { tokens: ['a'], devices: [{ token: 'a', locale: 'de', timezone: null }] },
    ],
    [
      { target_arns: ['arn:1'] },
      {
        target_arns: ['arn:1'],
        devices: [{ target_arn: 'arn:1', locale: null, timezone: null }],
      },
    ],
    [{ connections: [{ channel_id: 'C1' }] }, { connections: [{ channel_id: 'C1' }] }],
    [{}, {}],
  ])('%j is given back in every form: %j', async (data, expected) => {
    const written = { ...user('push'), channel: 'webhook' };
    const answer = await setChannelData(account.environment, { ...written, data });
    expect(answer).toEqual({
      __typename: 'ChannelData',
      channel_id: account.channels.webhook,
      provider: 'http_knock_webhook',
      data: expected,
    });
    expect(await getChannelData(account.environment, written)).toEqual(answer);
  });

  test('of another account does not exist', async () => {
    const other = await api.account();
    const channel = other.channels.webhook ?? '';
    await expect(
      setChannelData(account.environment, { ...user('x'), channel, data: {} }),
    ).rejects.toMatchObject({ code: 'channel_invalid' });
  });

  test('that is removed is gone', async () => {
    const key = { ...user('push'), channel: 'webhook' };
    await unsetChannelData(account.environment, key);
    await unsetChannelData(account.environment, key);
    await expect(getChannelData(account.environment, key)).rejects.toMatchObject({
      code: 'resource_missing',
    });
  });
});

describe('an id', () => {
  test.each(['a', '🔔', `o'neill "q"`, 'a b', 'ä@b.c', '%2F', '..', 'x'.repeat(256)])(
    'may be %j',
    (id) => {
      expect(parseId(id, 'id')).toBe(id);
    },
  );

  test.each([undefined, null, '', '  ', 'a/b', 'a#b', 'a\u0000', '\ud800', 'x'.repeat(257), 5, {}])(
    'may not be %j',
    (id) => {
      expect(() => parseId(id, 'id')).toThrowError(
        expect.objectContaining({
          code: 'invalid_params',
          fields: [expect.objectContaining({ field: 'id' })],
        }),
      );
    },
  );
});
