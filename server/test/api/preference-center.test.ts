import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toggleKey } from '../../src/recipients/preference-toggles.ts';
import { mergeKnownPreferences } from '../../src/recipients/preferences.ts';
import { USERS } from '../../src/recipients/reference.ts';
import { createSubscriberTokens } from '../../src/recipients/subscriber-tokens.ts';
import { startTestApi, type TestAccount, type TestApi } from './api-server.ts';

const CHANNEL = 'aef6e715-df82-4ab6-b61e-b743e249f7b6';
const rows = [
  { type: 'workflow', identifier: 'comment', name: 'Comments' },
  { type: 'category', identifier: 'news', name: 'News', channel_types: ['email', 'sms'] },
  { type: 'channel', identifier: CHANNEL, name: 'Letters' },
  { type: 'channel_types', name: 'Ways', channel_types: ['push'] },
];
const config = { title: 'Your choice', body: 'Choose.', show_account_name: true, rows };
const conditions = [{ variable: 'data.a', operator: 'equal_to', argument: 'b' }];

const many = (count: number, description = '') =>
  Array.from({ length: count }, (_, i) => ({
    ...{ type: 'workflow', identifier: `w${i}`, name: 'x', description },
  }));

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  account = await api.account();
  await call('PUT', '/v1/users/ada', { email: 'ada@example.com' });
});

const call = async (method: 'GET' | 'PUT' | 'POST', path: string, body?: object) =>
  (await api.call(method, path, { key: account.secretKey, ...(body && { body }) })).body;
const setUp = (body: object, query = '') =>
  api.call('PUT', `/control/v1/preference_center${query}`, { key: account.service_token, body });
const read = (user = 'ada') => call('GET', `/v1/users/${user}/preference_center/config`);
const linkOf = async (user = 'ada') => {
  const { url } = await call('POST', `/v1/users/${user}/preference_center/signed_url`);
  return new URL(url).pathname;
};
const preferences = (body?: object) =>
  call(body ? 'PUT' : 'GET', '/v1/users/ada/preferences/default', body);

/** The form as a browser sends it, after these switches were turned. */
async function save(path: string, ...turned: readonly string[][]) {
  return send(path, (await api.call('GET', path)).text, ...turned);
}

function send(path: string, page: string, ...turned: readonly string[][]) {
  const inputs = [...page.matchAll(/<input [^>]+>/g)].map(([input]) => input);
  const valuesOf = (name: string) =>
    inputs
      .filter((input) => input.includes(`name="${name}"`) && !input.includes('disabled'))
      .filter((input) => input.includes('hidden') || input.includes('checked'))
      .map((input) => /value="([^"]*)"/.exec(input)?.[1] ?? '');
  const on = new Set(valuesOf('on'));
  for (const key of turned.map(toggleKey)) {
    if (!on.delete(key)) on.add(key);
  }
  const fields = new URLSearchParams();
  for (const key of on) fields.append('on', key);
  for (const key of valuesOf('was_on')) fields.append('was_on', key);
  return api.app.inject({
    method: 'POST',
    url: path,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: fields.toString(),
  });
}

describe('the configuration', () => {
  test('that nobody has set lets people end commercial messages, and is not enabled', async () => {
    expect(await read()).toEqual({
      enabled: false,
      config: {
        title: 'Manage preferences',
        body: expect.any(String),
        show_account_name: true,
        rows: [expect.objectContaining({ type: 'commercial_subscribed' })],
      },
      branding: {},
      account_name: expect.stringContaining('account-'),
      user_email: 'ada@example.com',
      knock_branding_required: false,
    });
  });

  test('has the rows that were set, always that of commercial messages, and it alone while it is not enabled', async () => {
    await setUp({ config });
    expect((await read()).config.rows).toMatchObject([{ type: 'commercial_subscribed' }]);
    expect((await setUp({ enabled: true })).body).toEqual({ enabled: true, config });
    const shown = await read();
    expect(shown).toMatchObject({ enabled: true, config: { title: 'Your choice' } });
    expect(shown.config.rows).toEqual([
      ...rows,
      expect.objectContaining({ type: 'commercial_subscribed' }),
    ]);
    expect((await setUp({ config: null })).body).toMatchObject({
      enabled: true,
      config: { title: 'Manage preferences' },
    });
  });

  test('is of one environment of one account', async () => {
    await setUp({ enabled: true, config }, '?environment=production');
    expect(await read()).toMatchObject({ enabled: false });
    const other = await api.account();
    for (const [method, path] of [
      ['GET', '/v1/users/ada/preference_center/config'],
      ['POST', '/v1/users/ada/preference_center/signed_url'],
    ] as const) {
      const answer = await api.call(method, path, { key: other.secretKey });
      expect([answer.status, answer.body.code]).toEqual([404, 'resource_missing']);
    }
  });

  test('has the branding of the account, with the dark one apart', async () => {
    const branding = { primary_color: '#102030', dark_primary_color: '#ddeeff', logo_url: null };
    await api.call('PUT', '/control/v1/branding', { key: account.service_token, body: branding });
    expect((await read()).branding).toEqual({
      primary_color: '#102030',
      dark: { primary_color: '#ddeeff' },
    });
  });

  test('can be read with a public key; a link is made with a secret one only', async () => {
    const key = account.publicKey;
    const config = await api.call('GET', '/v1/users/ada/preference_center/config', { key });
    expect(config.status).toBe(200);
    const link = await api.call('POST', '/v1/users/ada/preference_center/signed_url', { key });
    expect(link.status).toBe(403);
  });

  test.each([
    [[{ type: 'workflow', name: 'x' }], 'config.rows[0].identifier'],
    [[{ type: 'channel', name: 'x', identifier: 'email' }], 'config.rows[0].identifier'],
    [[rows[0], rows[0]], 'config.rows[1]'],
    [many(101), 'config.rows'],
    [many(40, 'x'.repeat(900)), 'config'],
  ])(
    'with rows that nobody could use, or too much of them, is refused: %#',
    async (wrong, field) => {
      const { status, body } = await setUp({ config: { ...config, rows: wrong } });
      expect([status, body.errors[0].field]).toEqual([422, field]);
      expect(await read()).toMatchObject({ config: { title: 'Manage preferences' } });
    },
  );
});

describe('the page behind the link', () => {
  beforeEach(async () => {
    await setUp({ enabled: true, config });
  });

  test('has a switch for each thing, and nothing of the account gets into it as markup', async () => {
    const evil = '"><script>alert(1)</script>';
    await setUp({ config: { ...config, title: evil, rows: [{ ...rows[0], identifier: evil }] } });
    await api.call('PUT', '/control/v1/branding', {
      key: account.service_token,
      body: { primary_color: 'red}</style>', logo_url: `https://a.example/${evil}` },
    });
    await call('PUT', '/v1/users/ada', { email: evil });
    const answer = await api.call('GET', await linkOf());
    expect(answer.status).toBe(200);
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
    expect(answer.text).not.toContain('<script');
    expect(answer.text.match(/<\/style>/g)).toHaveLength(1);
    expect(answer.text.match(/role="switch"/g)).toHaveLength(2);
  });

  test('changes what was turned and nothing else', async () => {
    await preferences({ workflows: { other: false }, categories: { news: true } });
    const answer = await save(
      await linkOf(),
      ['workflows', 'comment'],
      ['categories', 'news', 'sms'],
      ['channels', CHANNEL],
      ['commercial_subscribed'],
    );
    expect(answer.body).toContain('role="status"');
    expect(await preferences()).toEqual({
      id: 'default',
      workflows: { other: false, comment: false },
      categories: { news: { channel_types: { sms: false } } },
      channels: { [CHANNEL]: false },
      channel_types: {},
      commercial_subscribed: false,
    });
    await save(await linkOf(), ['channel_types', 'push'], ['workflows', 'comment']);
    expect(await preferences()).toMatchObject({
      workflows: { other: false, comment: true },
      channel_types: { push: false },
    });
  });

  test('that was open while something else changed it undoes nothing', async () => {
    const path = await linkOf();
    const old = (await api.call('GET', path)).text;
    await preferences({ workflows: { comment: false } });
    await send(path, old, ['channel_types', 'push']);
    expect(await preferences()).toMatchObject({
      workflows: { comment: false },
      channel_types: { push: false },
    });
    const before = await preferences();
    expect((await save(path)).body).toContain('Nothing was changed');
    expect(await preferences()).toEqual(before);
  });

  test('leaves the other ways off when one way of something that was off is turned on', async () => {
    await preferences({ categories: { news: false } });
    await save(await linkOf(), ['categories', 'news', 'email']);
    expect(await preferences()).toMatchObject({
      categories: {
        news: { channel_types: { email: true, sms: false, push: false, in_app_feed: false } },
      },
    });
  });

  test('shows what conditions decide, and locks it', async () => {
    await preferences({
      workflows: { comment: { conditions } },
      channel_types: { push: { conditions } },
    });
    const path = await linkOf();
    const { text } = await api.call('GET', path);
    expect(text.match(/ disabled/g)?.length).toBeGreaterThanOrEqual(2);
    await save(path, ['workflows', 'comment'], ['channel_types', 'push']);
    expect(await preferences()).toMatchObject({
      workflows: { comment: { conditions } },
      channel_types: { push: { conditions } },
    });
  });

  test('changes nothing that has no row, whatever is sent', async () => {
    const path = await linkOf();
    await setUp({ enabled: false });
    const all = [['workflows', 'comment'], ['workflows', '__proto__'], ['commercial_subscribed']];
    await save(path, ...all);
    expect(await preferences()).toMatchObject({ workflows: {}, commercial_subscribed: false });
  });

  test('is of one user: links that were changed, cut off or made for something else lead nowhere', async () => {
    await call('PUT', '/v1/users/bob', {});
    const [subject = '', signature = ''] = (await linkOf()).slice('/p/'.length).split('.');
    const [bob = ''] = (await linkOf('bob')).slice('/p/'.length).split('.');
    const ada = { environmentId: account.development.id, collection: USERS, id: 'ada' };
    for (const wrong of [
      subject,
      `${bob}.${signature}`,
      `${subject}.${signature}.x`,
      createSubscriberTokens('a secret of tests', 'unsubscribe').sign(ada),
      createSubscriberTokens('another secret', 'preferences').sign(ada),
    ]) {
      for (const method of ['GET', 'POST'] as const) {
        const answer = await api.call(method, `/p/${wrong}`);
        expect(answer.status).toBe(404);
        expect(answer.headers['content-security-policy']).toContain("default-src 'none'");
        expect(answer.text).toContain('<h1>This link does not work</h1>');
      }
    }
  });

  test('changes nothing for who has the same id in another environment', async () => {
    const elsewhere = await api.account();
    const key = elsewhere.secretKey;
    await api.call('PUT', '/v1/users/ada', { key, body: {} });
    await save(await linkOf(), ['commercial_subscribed']);
    expect(await preferences()).toMatchObject({ commercial_subscribed: false });
    const { body } = await api.call('GET', '/v1/users/ada/preferences/default', { key });
    expect(body).toMatchObject({ commercial_subscribed: null });
  });

  test('does not bring back a user who was deleted', async () => {
    const path = await linkOf();
    await api.call('DELETE', '/v1/users/ada', { key: account.secretKey });
    const answer = await api.call('GET', path);
    expect(answer.status).toBe(404);
    expect(answer.text).not.toContain('ada');
    expect((await send(path, '', ['commercial_subscribed'])).statusCode).toBe(404);
    expect((await api.call('GET', '/v1/users/ada', { key: account.secretKey })).status).toBe(404);
  });

  test('keeps nothing of a user who is deleted while it saves', async () => {
    const write = { collection: USERS, setId: 'default', preferences: { channels: {} } };
    await expect(
      mergeKnownPreferences(account.environment, { ...write, id: 'gone' }),
    ).rejects.toMatchObject({
      code: 'resource_missing',
    });
    const [row] = await api.ctx.db.query<{ readonly sets: number }>(
      "select count(*)::int as sets from preference_set where recipient_id = 'gone'",
    );
    expect(row?.sets).toBe(0);
  });

  test('takes no more of a form than a page can send', async () => {
    const answer = await api.app.inject({
      method: 'POST',
      url: await linkOf(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: `on=${'x'.repeat(64 * 1024)}`,
    });
    expect(answer.statusCode).toBe(413);
  });
});
