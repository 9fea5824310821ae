import type { JsonObject } from '../../src/lib/json.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { feedStep } from '../support/engine-world.ts';
import { waitFor } from '../support/wait.ts';
import { newDataDir, removeDataDirs, startWholeServer } from '../support/whole-server.ts';
import type { Known } from './schema-values.ts';

/** Is in every value that the owner has, and in no id. */
export const MARK = 'only-the-owner-knows-this';

export type Keys = {
  readonly secret: string;
  readonly public: string;
  readonly service: string;
  /** Ids by key. */
  readonly channels: { readonly [key: string]: string };
};

export type TwoAccounts = {
  readonly url: string;
  readonly owner: Keys;
  readonly other: Keys;
  readonly operator: string;
  /** Ids of what the owner has, by the names that fields and parameters have. */
  readonly owned: Known;
  /** A digest of all rows of the owner's environment. */
  readonly ownedRows: () => Promise<string>;
  readonly database: TestDatabase;
  readonly stop: () => Promise<void>;
};

/** A whole server with two accounts: one that has something of everything, and one that has nothing. */
export async function startTwoAccounts(
  options: { readonly logLevel?: 'error' | 'silent' } = {},
): Promise<TwoAccounts> {
  const database = await createTestDatabase({ max: 4 });
  const whole = await startWholeServer({
    databaseUrl: database.url,
    dataDir: await newDataDir(),
    executors: 1,
    logLevel: options.logLevel ?? 'silent',
  });
  const { credentials, url } = whole.server;
  const mine = credentials?.environments.development;
  if (!credentials || !mine) throw new Error('the first start made no account');
  const operator = credentials.operator_token ?? '';
  const call = async (method: string, path: string, token: string, body?: object) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  const other = await call('POST', '/ops/v1/accounts', operator, { name: 'other' });
  await call('POST', '/control/v1/push', other.service_token, {
    workflows: [{ key: 'mine', content: { name: 'mine', steps: [feedStep('Mine')] } }],
  });
  const own = (method: string, path: string, body?: object) =>
    call(method, path, mine.secret_key, body);

  await whole.push('owned-flow', [feedStep(`${MARK} {{ data.text }}`)]);
  await own('PUT', '/v1/users/owned-user', { name: MARK, email: `${MARK}@example.com` });
  await own('PUT', '/v1/users/owned-old', { name: MARK });
  await own('PUT', '/v1/objects/owned-things/owned-object', { name: MARK });
  await own('PUT', '/v1/tenants/owned-tenant', { name: MARK });
  const preferences = { categories: { [MARK]: false } };
  await own('PUT', '/v1/users/owned-user/preferences/default', preferences);
  await own('PUT', '/v1/objects/owned-things/owned-object/preferences/default', preferences);
  const channel = mine.channels.push ?? '';
  const data = { data: { tokens: [MARK] } };
  await own('PUT', `/v1/users/owned-user/channel_data/${channel}`, data);
  await own('PUT', `/v1/objects/owned-things/owned-object/channel_data/${channel}`, data);
  await own('POST', '/v1/objects/owned-things/owned-object/subscriptions', {
    recipients: ['owned-user'],
    properties: { note: MARK },
  });
  await own('POST', '/v1/audiences/owned-audience/members?create_audience=true', {
    members: [{ user: { id: 'owned-user' } }],
  });
  const [schedule] = await own('POST', '/v1/schedules', {
    workflow: 'owned-flow',
    recipients: ['owned-user'],
    repeats: [{ frequency: 'monthly', day_of_month: 1 }],
    scheduled_at: '2199-01-01T00:00:00Z',
    data: { text: MARK },
  });
  await own('POST', '/v1/workflows/owned-flow/trigger', {
    recipients: ['owned-user'],
    data: { text: MARK },
  });
  const message = await waitFor('the message', async () => {
    const { items } = await own('GET', '/v1/users/owned-user/messages');
    return items[0];
  });
  const runs = await own('GET', '/v1/workflow_recipient_runs');
  const bulk = await own('POST', '/v1/objects/owned-things/bulk/subscriptions/add', {
    subscriptions: [{ id: 'owned-object', recipients: ['owned-user'] }],
  });
  const broadcast = await own('POST', '/v1/broadcasts', {
    workflow: 'owned-flow',
    audience: 'owned-audience',
    start: false,
  });
  // From here on nothing changes the owner's rows but requests.
  await waitFor('everything to be done', async () => {
    const { state } = await own('GET', `/v1/broadcasts/${broadcast.id}`);
    const { status } = await own('GET', `/v1/messages/${message.id}`);
    return state === 'paused' && status === 'delivered' ? true : undefined;
  });
  const feed = mine.channels['in-app'] ?? '';
  const log = await waitFor('the log of a request', async () => {
    const { entries } = await call('GET', '/control/v1/api_logs', credentials.service_token);
    return entries[0];
  });
  const webhook = await shareThings(call, credentials.service_token);
  return {
    url,
    operator,
    owner: {
      secret: mine.secret_key,
      public: mine.public_key,
      service: credentials.service_token,
      channels: mine.channels,
    },
    other: {
      secret: other.environments.development.secret_key,
      public: other.environments.development.public_key,
      service: other.service_token,
      channels: other.environments.development.channels,
    },
    owned: {
      user_id: ['owned-user'],
      from_user_id: ['owned-old'],
      user: [{ id: 'owned-user' }],
      recipient: ['owned-user', { id: 'owned-object', collection: 'owned-things' }],
      actor: ['owned-user'],
      collection: ['owned-things'],
      object_id: ['owned-object'],
      tenant_id: ['owned-tenant'],
      tenant: ['owned-tenant'],
      set_id: ['default', 'owned-tenant'],
      channel_id: Object.values(mine.channels),
      message_id: [message.id],
      schedule_id: [schedule.id],
      workflow: ['owned-flow'],
      workflow_key: ['owned-flow'],
      name: ['owned-flow'],
      audience: ['owned-audience'],
      key: ['owned-audience', 'owned-flow'],
      id: [feed, runs.items[0].id, bulk.id, broadcast.id, 'owned-object'],
      'users.id': [feed],
      'workflow_recipient_runs.id': [runs.items[0].id],
      'bulk_operations.id': [bulk.id],
      'broadcasts.id': [broadcast.id],
      'workflows.key': ['owned-flow'],
      'audiences.key': ['owned-audience'],
      'variables.key': ['owned_variable'],
      access_token_object: [{ collection: 'owned-things', object_id: 'owned-object' }],
      ms_teams_tenant_object: [{ collection: 'owned-things', object_id: 'owned-object' }],
      // Both accounts have one.
      'channels.key': ['chat'],
      'webhooks.id': [webhook],
      'api_logs.id': [log.id],
      account: ['demo'],
      workflow_run_id: [message.source.workflow_run_id],
    },
    ownedRows: () => digestOf(database),
    database,
    stop: async () => {
      await whole.stop();
      await database.drop();
      await removeDataDirs();
    },
  };
}

type Call = (method: string, path: string, token: string, body?: object) => Promise<JsonObject>;

/** What an account has beside its environments' things; the id of its webhook, which gets nothing. */
async function shareThings(call: Call, token: string): Promise<string> {
  const control = (method: string, path: string, body: object) =>
    call(method, `/control/v1/${path}`, token, body);
  await control('PUT', 'variables/owned_variable', { value: MARK });
  await control('PUT', 'branding', { logo_url: `https://example.com/${MARK}.png` });
  await control('PUT', 'channels/chat/provider', { bot_id: MARK });
  await control('PUT', 'preference_center', {
    enabled: true,
    config: { title: MARK, body: MARK, rows: [] },
  });
  const { id } = await control('POST', 'webhooks', {
    url: `https://${MARK}.example.com/`,
    events: ['message.bounced'],
  });
  await control('POST', `webhooks/${id}/disable`, { reason: MARK });
  return String(id);
}

/** Written behind what happens, at its own pace. */
const BOOKS = [
  'ledger_minute',
  'ledger_settled',
  'feed_count',
  'feed_settled',
  'api_log',
  'api_log_skipped',
];

/** What its service token changes. */
const OF_ACCOUNT = ['channel', 'channel_group', 'environment', 'service_token', 'variable'];

/** All rows of the tables that belong to the account `demo` or to its environment `development`. */
async function digestOf(database: TestDatabase): Promise<string> {
  const tables = await database.db.query<{ readonly name: string; readonly owner: string }>(
    `select c.relname as name, a.attname as owner
     from pg_class c
     join pg_attribute a on a.attrelid = c.oid
     where (a.attname = 'environment_id' or a.attname = 'account_id' and c.relname = any($2))
       and c.relkind in ('r', 'p')
       and not c.relispartition
       and c.relnamespace = 'public'::regnamespace
       and c.relname <> all($1)
     order by 1`,
    [BOOKS, OF_ACCOUNT],
  );
  const digests: string[] = [];
  for (const { name, owner } of tables) {
    const [row] = await database.db.query<{ readonly digest: string | null }>(
      `select md5(string_agg(t::text, ' ' order by t::text)) as digest
       from ${name} t
       where t.${owner} in (
         select ${owner === 'account_id' ? 'a.id' : 'e.id'}
         from environment e
         join account a on a.id = e.account_id
         where a.name = 'demo' and e.slug = 'development'
       )`,
      [],
    );
    digests.push(`${name} ${row?.digest ?? 'empty'}`);
  }
  return digests.join('\n');
}
