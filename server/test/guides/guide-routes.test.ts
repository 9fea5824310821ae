import { createPrivateKey } from 'node:crypto';
import { Knock } from '@knocklabs/node';
import type { GuideGetChannelResponse } from '@knocklabs/node/resources/users/guides';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { EnvironmentCredentials } from '../../src/accounts/create-account.ts';
import { addMembers } from '../../src/broadcasts/audience-members.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { identify } from '../../src/recipients/identify.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type FeedServer, startFeedServer } from '../support/feed-server.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';
import { pushGuides, step } from './support.ts';

/** Guides over HTTP, through the server SDK, as a user's application sees them. */

let database: TestDatabase;
let world: MessageWorld;
let server: FeedServer;
let keys: EnvironmentCredentials;
let knock: Knock;
let channelId = '';
let userId = '';
let users = 0;

beforeAll(async () => {
  database = await createTestDatabase({ max: 8 });
});
beforeEach(async () => {
  world = await createMessageWorld(database.db);
  server = await startFeedServer(world.ctx);
  const found = world.credentials.environments.development;
  if (!found) throw new Error('no development environment');
  keys = found;
  channelId = keys.channels['in-app-guide'] ?? '';
  knock = new Knock({ apiKey: keys.secret_key, baseURL: server.url, maxRetries: 0 });
  users += 1;
  userId = `guide-user-${users}`;
  return () => server.close();
});
afterAll(() => database.drop());

async function push(
  guides: { readonly [key: string]: JsonObject },
  group?: JsonObject,
): Promise<void> {
  const options = group ? { group } : {};
  const { status, body } = await pushGuides(server.url, world.credentials, guides, options);
  expect(status, JSON.stringify(body)).toBe(200);
}

const user = (properties: JsonObject, collection = '$users', id = userId) =>
  identify(world.development, { collection, id, properties });

const list = (query: JsonObject = {}): Promise<GuideGetChannelResponse> =>
  knock.users.guides.getChannel(userId, channelId, query);

const keysOf = ({ entries }: GuideGetChannelResponse) => entries.map(({ key }) => key);
const reasons = ({ ineligible_guides }: GuideGetChannelResponse) =>
  Object.fromEntries(ineligible_guides.map(({ key, reason }) => [key, reason]));
const messages = ({ entries }: GuideGetChannelResponse) =>
  entries.flatMap(({ steps = [] }) => steps.map(({ message }) => message));

const of = (guideKey = 'tour', ref = 'step_1') => ({
  channel_id: channelId,
  guide_id: '7e9dc78c-b3b1-4127-a54e-71f1899b831a',
  guide_key: guideKey,
  guide_step_ref: ref,
});
const see = (guideKey?: string, ref?: string, more: { readonly tenant?: string } = {}) =>
  knock.users.guides.markMessageAsSeen(userId, { ...of(guideKey, ref), content: {}, ...more });
const archive = (guideKey?: string, ref?: string, more: object = {}) =>
  knock.users.guides.markMessageAsArchived(userId, { ...of(guideKey, ref), ...more });

const tokenWith = (claims: { readonly [name: string]: unknown }) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256' })
    .setSubject(userId)
    .setExpirationTime('1h')
    .sign(createPrivateKey(keys.signing_key_pem));

async function call(method: string, path: string, key: string, body?: object, token?: string) {
  const response = await fetch(server.url + path, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      ...(token ? { 'x-knock-user-token': token } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  return { status: response.status, body: (await response.json()) as JsonObject };
}

test('a guide is answered as the wire contract has it, rendered for its user', async () => {
  await push({
    tour: {
      steps: [
        step('step_1', {
          title: 'Hi {{ recipient.name }} of {{ tenant.name }}',
          buttons: [{ text: '{{ data.call }}', action: '/start' }],
          dismissible: true,
        }),
      ],
      activation_url_patterns: [{ directive: 'allow', pathname: '/dairy/*' }],
    },
  });
  await user({ name: 'Ada' });
  await user({ name: 'Acme' }, '$tenants', 'acme');
  const answer = await list({ tenant: 'acme', data: '{"call":"Go"}' });
  expect(answer).toEqual({
    entries: [
      {
        __typename: 'Guide',
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        channel_id: channelId,
        key: 'tour',
        type: 'banner',
        semver: '0.0.1',
        active: true,
        bypass_global_group_limit: false,
        activation_url_rules: [],
        activation_url_patterns: [{ directive: 'allow', pathname: '/dairy/*' }],
        inserted_at: expect.stringMatching(/Z$/),
        updated_at: expect.stringMatching(/Z$/),
        steps: [
          {
            ref: 'step_1',
            schema_key: 'banner',
            schema_semver: '1.0.0',
            schema_variant_key: 'default',
            content: {
              title: 'Hi Ada of Acme',
              buttons: [{ text: 'Go', action: '/start' }],
              dismissible: true,
            },
            message: {
              id: null,
              seen_at: null,
              read_at: null,
              interacted_at: null,
              archived_at: null,
              link_clicked_at: null,
            },
          },
        ],
      },
    ],
    guide_groups: [
      {
        __typename: 'GuideGroup',
        key: 'default',
        display_sequence: ['tour'],
        display_sequence_unthrottled: [],
        display_sequence_throttled: ['tour'],
        inserted_at: expect.any(String),
        updated_at: expect.any(String),
      },
    ],
    guide_group_display_logs: {},
    ineligible_guides: [],
  });
});

test('what nobody may see is no entry, and the answer says why', async () => {
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const gone = new Date(Date.now() - 3_600_000).toISOString();
  const plan = { variable: 'recipient.plan', operator: 'equal_to', argument: 'pro' };
  await addMembers(world.development, {
    key: 'beta',
    create: true,
    members: [{ user: { id: 'x' } }],
  });
  await push({
    'for-all': {},
    'switched-off': { active: false },
    'not-yet': { active_from: soon },
    'no-more': { active_until: gone },
    'of-the-past': { archived_at: gone },
    'for-pros': { target_property_conditions: { all: [plan] } },
    'for-beta': { target_audience_key: 'beta' },
    'by-condition': {
      target_property_conditions: {
        all: [{ variable: 'recipient', operator: 'is_audience_member', argument: 'beta' }],
      },
    },
  });
  const answer = await list();
  expect(keysOf(answer)).toEqual(['for-all']);
  expect(reasons(answer)).toEqual({
    'switched-off': 'guide_not_active',
    'not-yet': 'guide_not_active',
    'no-more': 'guide_not_active',
    'for-pros': 'target_conditions_not_met',
    'for-beta': 'not_in_target_audience',
    'by-condition': 'target_conditions_not_met',
  });
  await user({ plan: 'pro' });
  await addMembers(world.development, {
    key: 'beta',
    create: false,
    members: [{ user: { id: userId } }],
  });
  expect(keysOf(await list()).sort()).toEqual(['by-condition', 'for-all', 'for-beta', 'for-pros']);
  // The toolbar shows all, with the same reasons.
  const { body } = await call(
    'GET',
    `/v1/users/${userId}/guides/${channelId}?force_all_guides=true`,
    keys.public_key,
  );
  expect(body.entries).toHaveLength(7);
  expect(body.ineligible_guides).toHaveLength(3);
});

test('a member of an audience in a tenant is one in that tenant only', async () => {
  await addMembers(world.development, {
    key: 'beta',
    create: true,
    members: [{ user: { id: userId }, tenant: 'acme' }],
  });
  await push({ tour: { target_audience_key: 'beta' } });
  expect(keysOf(await list({ tenant: 'acme' }))).toEqual(['tour']);
  expect(keysOf(await list({ tenant: 'other' }))).toEqual([]);
  expect(keysOf(await list())).toEqual([]);
});

test('a guide that cannot be rendered for a user is not shown to them, and others are', async () => {
  await push({
    tour: {
      steps: [step('step_1', { title: '{{ recipient.text | replace: "a", recipient.text }}' })],
    },
    other: {},
  });
  await user({ text: 'a'.repeat(100_000) });
  const answer = await list();
  expect(keysOf(answer)).toEqual(['other']);
  expect(answer.ineligible_guides).toMatchObject([
    { key: 'tour', message: expect.stringContaining('cannot be rendered for this user') },
  ]);
});

test('guides of a type are listed alone', async () => {
  await push({
    tour: {},
    advert: { type: 'card' },
    news: { steps: [step('step_1', {}, 'modal')] },
  });
  expect(keysOf(await list({ type: 'card' }))).toEqual(['advert']);
  expect(keysOf(await list({ type: 'modal' }))).toEqual(['news']);
});

describe('engagement', () => {
  test('each kind is recorded once, with the time of the first', async () => {
    await push({ tour: {} });
    expect(await see()).toEqual({ status: 'ok' });
    const [first] = messages(await list());
    expect(first).toMatchObject({ id: expect.stringMatching(/^\w{27}$/), read_at: null });
    await see();
    await Promise.all([see(), see(), see()]);
    expect(messages(await list())).toEqual([first]);
    await knock.users.guides.markMessageAsInteracted(userId, { ...of(), metadata: { a: 1 } });
    const [second] = messages(await list());
    expect(second).toMatchObject({ id: first?.id, seen_at: first?.seen_at });
    expect(second?.interacted_at).toEqual(expect.any(String));
    expect(second?.read_at).toBe(second?.interacted_at);
    await knock.users.guides.markMessageAsInteracted(userId, of());
    expect(messages(await list())).toEqual([second]);
    const rows = await database.db.query(
      'select from guide_engagement where environment_id = $1 and user_id = $2',
      [world.development.environment.id, userId],
    );
    expect(rows).toHaveLength(1);
  });

  test('two that race make one row, and one of them tells those who wait', async () => {
    await push({ tour: {} });
    const { id } = world.development.environment;
    await database.db.query(
      `insert into event_wait (run_id, ref, environment_id, collection, recipient_id, kind, source, event,
                               workflow_run_id, lane_id, flow, trigger, state, expires_at)
       select gen_random_uuid(), 'w', $1, '$users', $2, 'message', 'guide/tour', 'seen',
              gen_random_uuid(), 1, 1, '{}', '{}', now()`,
      [id, userId],
    );
    await Promise.all(Array.from({ length: 8 }, () => see()));
    const signals = await database.db.query<{ detail: JsonObject }>(
      'select detail from event_signal s join event_wait w using (run_id, ref) where w.recipient_id = $1',
      [userId],
    );
    expect(signals).toHaveLength(1);
    expect(signals[0]?.detail).toMatchObject({ guide: 'tour', step_ref: 'step_1', tenant: null });
  });

  test('what is done in a tenant is done there only', async () => {
    await push({ tour: {} });
    await see('tour', 'step_1', { tenant: 'acme' });
    expect(messages(await list())[0]?.seen_at).toBeNull();
    expect(messages(await list({ tenant: 'acme' }))[0]?.seen_at).not.toBeNull();
    await knock.users.guides.resetGuideEngagements(userId, { guide_key: 'tour' });
    expect(messages(await list({ tenant: 'acme' }))[0]?.seen_at).not.toBeNull();
    await knock.users.guides.resetGuideEngagements(userId, { guide_key: 'tour', tenant: 'acme' });
    expect(messages(await list({ tenant: 'acme' }))[0]).toMatchObject({ id: null, seen_at: null });
  });

  test('a guide is dismissed when all its steps are, and comes back when that is undone', async () => {
    await push({ tour: { steps: [step('step_1', {}), step('step_2', {})] } });
    await archive('tour', 'step_1');
    expect(messages(await list()).map((one) => one?.archived_at !== null)).toEqual([true, false]);
    await archive('tour', 'step_2');
    expect(reasons(await list())).toEqual({ tour: 'marked_as_archived' });
    await knock.users.guides.unarchiveGuideMessage(userId, { guide_key: 'tour' });
    expect(messages(await list()).map((one) => one?.archived_at)).toEqual([null, null]);
  });

  test('the final step ends a guide, whatever steps are left', async () => {
    await push({ tour: { steps: [step('step_1', {}), step('step_2', {})] } });
    await archive('tour', 'step_1', { is_final: true });
    expect(reasons(await list())).toEqual({ tour: 'marked_as_archived' });
  });

  test('dismissing opens the throttle window once, and a guide without a pace never', async () => {
    const group = {
      display_sequence: ['news', 'tour'],
      display_sequence_unthrottled: ['news'],
      display_interval: 3600,
    };
    await push({ tour: {}, news: {}, later: {} }, group);
    const before = await list();
    expect(before.guide_groups).toMatchObject([
      { display_sequence: ['news', 'tour', 'later'], display_interval: 3600 },
    ]);
    expect(before.entries.map((guide) => guide.bypass_global_group_limit)).toEqual([
      true,
      false,
      false,
    ]);
    await archive('news');
    await archive('later', 'step_1', { unthrottled: true });
    expect((await list()).guide_group_display_logs).toEqual({});
    await archive('tour');
    const opened = (await list()).guide_group_display_logs;
    expect(Date.parse(opened.default ?? '')).toBeGreaterThan(Date.now() - 60_000);
    await archive('tour');
    expect((await list()).guide_group_display_logs).toEqual(opened);
  });

  test('the older paths with a message id do the same', async () => {
    await push({ tour: {} });
    for (const kind of ['seen', 'interacted', 'archived']) {
      const path = `/v1/users/${userId}/guides/messages/33hjnKRKNx9ISRlixVBjhpkh28J/${kind}`;
      const answer = await call('PUT', path, keys.public_key, { ...of(), content: {} });
      expect(answer).toEqual({ status: 200, body: { status: 'ok' } });
    }
    expect(reasons(await list())).toEqual({ tour: 'marked_as_archived' });
  });

  test('goes with its user', async () => {
    await push({ tour: {} });
    await see();
    await archive();
    await knock.users.delete(userId);
    const answer = await list();
    expect(answer.guide_group_display_logs).toEqual({});
    expect(messages(answer)[0]?.id).toBeNull();
  });
});

describe('who may', () => {
  test('a public key acts for anybody, a user token for its user only', async () => {
    await push({ tour: {} });
    const path = (name: string) => `/v1/users/${name}/guides/${channelId}`;
    const token = await tokenWith({});
    expect((await call('GET', path('anybody'), keys.public_key)).status).toBe(200);
    expect((await call('GET', path(userId), keys.public_key, undefined, token)).status).toBe(200);
    expect((await call('GET', path('eve'), keys.public_key, undefined, token)).status).toBe(401);
    const seen = { ...of(), content: {} };
    const mark = '/v1/users/eve/guides/messages/seen';
    expect((await call('PUT', mark, keys.public_key, seen, token)).status).toBe(401);
    expect((await call('GET', path(userId), 'pk_nonsense')).status).toBe(401);
  });

  test('a token reads, writes and enters tenants as far as it grants', async () => {
    await push({ tour: {} });
    const path = `/v1/users/${userId}/guides/${channelId}`;
    const mark = `/v1/users/${userId}/guides/messages/seen`;
    const status = async (grants: object, tenant?: string) => {
      const token = await tokenWith({ grants, explicit_grants: true });
      const query = tenant === undefined ? '' : `?tenant=${tenant}`;
      const read = await call('GET', path + query, keys.public_key, undefined, token);
      const body = { ...of(), content: {}, tenant };
      const written = await call('PUT', mark, keys.public_key, body, token);
      return [read.status, written.status];
    };
    const own = `https://api.knock.app/v1/users/${userId}`;
    const acme = 'https://api.knock.app/v1/objects/$tenants/acme';
    expect(await status({})).toEqual([403, 403]);
    expect(await status({ [own]: { 'user/guide_read': [{}] } })).toEqual([200, 403]);
    expect(await status({ [own]: { 'user/guide_write': [{}] } })).toEqual([403, 200]);
    const inAcme = { [acme]: { 'user/guide_read': [{}], 'user/guide_write': [{}] } };
    expect(await status(inAcme, 'acme')).toEqual([200, 200]);
    expect(await status(inAcme, 'other')).toEqual([403, 403]);
    expect(await status(inAcme)).toEqual([403, 403]);
  });

  test('another account’s or environment’s guides and channels are not there', async () => {
    await push({ tour: {} });
    const other = await createMessageWorld(database.db);
    const stranger = other.credentials.environments.development?.secret_key ?? '';
    const production = world.credentials.environments.production?.secret_key ?? '';
    const path = `/v1/users/${userId}/guides/${channelId}`;
    expect((await call('GET', path, stranger)).status).toBe(404);
    expect((await call('GET', path, production)).body).toMatchObject({ entries: [] });
    for (const key of [stranger, production]) {
      const calls = [
        ['PUT', 'messages/seen', { ...of(), content: {} }],
        ['PUT', 'messages/interacted', of()],
        ['PUT', 'messages/archived', of()],
        ['PUT', `messages/x/archived`, of()],
        ['DELETE', 'messages/archived', { guide_key: 'tour' }],
        ['PUT', 'engagements/reset', { guide_key: 'tour' }],
      ] as const;
      for (const [method, place, body] of calls) {
        const answer = await call(method, `/v1/users/${userId}/guides/${place}`, key, body);
        expect(answer, place).toMatchObject({ status: 404, body: { code: 'resource_missing' } });
      }
    }
    // The other way round: what is done elsewhere under the same names is not done here.
    await pushGuides(server.url, other.credentials, { tour: {} });
    const theirs = { ...of(), channel_id: other.channels['in-app-guide'], content: {} };
    const seen = `/v1/users/${userId}/guides/messages/seen`;
    expect((await call('PUT', seen, stranger, theirs)).status).toBe(200);
    expect(messages(await list())[0]?.seen_at).toBeNull();
  });
});

test.for([
  ['GET', 'guides/in-app-guide', undefined, 404],
  ['GET', 'guides/00000000-0000-4000-8000-000000000000', undefined, 404],
  ['GET', 'guides/FEED', undefined, 422],
  ['GET', 'guides/GUIDES?data=%7B', undefined, 422],
  ['GET', 'guides/GUIDES?data=5', undefined, 422],
  ['GET', 'guides/GUIDES?tenant=a%2Fb', undefined, 422],
  ['PUT', 'guides/messages/seen', {}, 422],
  ['PUT', 'guides/messages/seen', { content: 5 }, 422],
  ['PUT', 'guides/messages/seen', { content: {}, guide_key: 'nothing' }, 404],
  ['PUT', 'guides/messages/seen', { content: {}, guide_step_ref: 'nothing' }, 404],
  ['PUT', 'guides/messages/seen', { content: {}, channel_id: 'nothing' }, 404],
  ['PUT', 'guides/messages/interacted', { metadata: { a: { b: 1 } } }, 422],
  ['PUT', 'guides/messages/archived', { tenant: { id: 'x' } }, 422],
  ['DELETE', 'guides/messages/archived', { guide_key: 'nothing' }, 404],
  ['PUT', 'guides/engagements/reset', { guide_key: 5 }, 422],
] as const)('%s %s %o is answered with %s', async ([method, place, body, status]) => {
  await push({ tour: {} });
  const path = place.replace('FEED', keys.channels['in-app'] ?? '').replace('GUIDES', channelId);
  const whole = body && Object.keys(body).length > 0 ? { ...of(), ...body } : body;
  const answer = await call(method, `/v1/users/${userId}/${path}`, keys.secret_key, whole);
  expect(answer.body).toMatchObject({ code: expect.any(String), status });
});
