import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';

/** What a push brings beside workflows: what is kept, refused, and warned of. */

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
});
afterAll(() => api.close());

async function push(body: object, query = '') {
  return api.call('POST', `/control/v1/push${query}`, { key: account.service_token, body });
}

const layout = (key: string, html = '<p>{{ content }}</p>', text = '{{ content }}') => ({
  key,
  content: { name: 'L', html_layout: html, text_layout: text },
});
const partial = (key: string, content = 'Bye') => ({
  key,
  content: { name: 'P', type: 'text', content },
});
const translation = (key: string, texts: object) => ({
  key,
  content: { format: 'json', content: JSON.stringify(texts) },
});
const feed = (markdown_body: string, more: object = {}) => ({
  key: 'hello',
  content: {
    name: 'Hello',
    ...more,
    steps: [{ type: 'channel', ref: 'a', channel_key: 'in-app', template: { markdown_body } }],
  },
});

test('resources are kept by environment, and only what differs has changed', async () => {
  account = await api.account();
  const first = await push({
    layouts: [layout('default')],
    partials: [partial('sign')],
    translations: [translation('en', { hi: 'Hi' })],
    channel_groups: [
      {
        key: 'mails',
        content: {
          name: 'Mails',
          channel_type: 'email',
          channel_rules: [{ channel_key: 'email', rule_type: 'always' }],
        },
      },
    ],
  });
  expect(first).toMatchObject({
    status: 200,
    body: {
      published: [],
      layouts: [{ key: 'default', changed: true }],
      partials: [{ key: 'sign', changed: true }],
      translations: [{ key: 'en', changed: true }],
      channel_groups: [{ key: 'mails', changed: true }],
    },
  });
  const again = await push({ layouts: [layout('default')], partials: [partial('sign', 'Ciao')] });
  expect(again.body).toMatchObject({
    layouts: [{ changed: false }],
    partials: [{ changed: true }],
  });
  const elsewhere = await push({ layouts: [layout('default')] }, '?environment=production');
  expect(elsewhere.body.layouts).toEqual([{ key: 'default', changed: true }]);
});

test('every defect is told at once with kind, key and JSON path, and nothing is kept', async () => {
  account = await api.account();
  const answer = await push({
    workflows: [feed('{{ x')],
    layouts: [layout('no-content', '<p>{{ </p>'), layout('fine'), layout('fine'), layout('N')],
    partials: [{ key: 'odd', content: { name: 'P', type: 'xml', content: 'x' } }],
    translations: [
      translation('xx_', {}),
      { key: 'es', content: { format: 'json', content: '{' } },
      translation('de', { a: { b: 5 } }),
    ],
    channel_groups: [
      {
        key: 'mails',
        content: {
          name: 'Mails',
          channel_type: 'email',
          channel_rules: [
            { channel_key: 'nope', rule_type: 'always' },
            { channel_key: 'in-app', rule_type: 'always' },
            { channel_key: 'email', rule_type: 'if', variable: 'data.a', operator: 'nearly' },
          ],
        },
      },
    ],
  });
  // What cannot be named or read comes first, alone.
  expect(answer.status).toBe(422);
  expect(answer.body.errors.map(({ field }: { field: string }) => field)).toEqual([
    'layouts/fine',
    'layouts/N',
    'translations/xx_',
  ]);
  const next = await push({
    workflows: [feed('{{ x')],
    layouts: [layout('no-content', '<p>{{ </p>')],
    partials: [{ key: 'odd', content: { name: 'P', type: 'xml', content: 'x' } }],
    translations: [
      { key: 'es', content: { format: 'json', content: '{' } },
      translation('de', { a: { b: 5 } }),
    ],
    channel_groups: [
      {
        key: 'mails',
        content: {
          name: 'Mails',
          channel_type: 'email',
          channel_rules: [
            { channel_key: 'nope', rule_type: 'always' },
            { channel_key: 'in-app', rule_type: 'always' },
            { channel_key: 'email', rule_type: 'if', variable: 'data.a', operator: 'nearly' },
          ],
        },
      },
    ],
  });
  expect(next.status).toBe(422);
  expect(next.body.errors.map(({ field }: { field: string }) => field).sort()).toEqual([
    'channel-groups/mails: $.channel_rules[0].channel_key',
    'channel-groups/mails: $.channel_rules[1].channel_key',
    'channel-groups/mails: $.channel_rules[2].operator',
    'hello: $.steps[0].template.markdown_body',
    'layouts/no-content: $.html_layout',
    'layouts/no-content: $.html_layout',
    'partials/odd: $.type',
    'translations/de: $.content',
    'translations/es: $.content',
  ]);
  const [kept] = await api.ctx.db.query('select from resource where environment_id = $1', [
    account.development.id,
  ]);
  expect(kept).toBeUndefined();
});

test('a workflow may use what the same push brings, and nothing that is not there', async () => {
  account = await api.account();
  const workflows = [feed("{% render 'sign' %}")];
  const refused = await push({ workflows });
  expect(refused.body.errors).toEqual([
    {
      field: 'hello: $.steps[0].template.markdown_body',
      message: expect.stringContaining('there is no partial "sign"'),
    },
  ]);
  expect((await push({ workflows, partials: [partial('sign')] })).body).toMatchObject({
    published: [{ key: 'hello', changed: true }],
    warnings: [],
  });
  expect((await push({ workflows })).status).toBe(200);
  // What was published before uses it still.
  expect((await push({ partials: [partial('sign', 'Ciao')] })).body.warnings).toEqual([]);
});

test('an audience may come after the workflow that asks for it, and until then there is a warning', async () => {
  account = await api.account();
  const conditions = {
    all: [{ variable: 'recipient', operator: 'is_audience_member', argument: 'beta' }],
  };
  const answer = await push({ workflows: [feed('Hi', { conditions })] });
  expect(answer.body).toMatchObject({
    published: [{ key: 'hello', changed: true }],
    warnings: [
      { field: 'hello: $', message: expect.stringContaining('asks for the audience "beta"') },
    ],
  });
  await api.ctx.db.query(
    "insert into audience (environment_id, key, kind) values ($1, 'beta', 'static')",
    [account.development.id],
  );
  expect((await push({ workflows: [feed('Hi', { conditions })] })).body.warnings).toEqual([]);
});

test('a check publishes nothing, and says what is wrong and what is doubtful', async () => {
  account = await api.account();
  const checked = await push({ workflows: [feed('Hi')], partials: [partial('sign')], check: true });
  expect(checked).toMatchObject({
    status: 200,
    body: {
      published: [],
      partials: [],
      warnings: [{ field: 'partials/sign', message: 'nothing uses this partial' }],
    },
  });
  expect(await api.services.workflows.published(account.development.id, 'hello')).toBeUndefined();
  expect((await push({ workflows: [feed('{{ x')], check: true })).status).toBe(422);
});

test('a setting that does nothing here yet is told by its path', async () => {
  account = await api.account();
  const hello = feed('hi', { goal_attachment: { goal_key: 'g' } });
  const { status, body } = await push({ workflows: [hello] });
  expect(status).toBe(200);
  expect(body.warnings).toEqual([
    {
      field: 'hello: $.goal_attachment',
      message: 'does nothing here yet: no goals are counted',
    },
  ]);
});

test('settings that nobody reads are told by their paths, those of the answers of an API are not', async () => {
  account = await api.account();
  const step = {
    ref: 'hello_1',
    type: 'channel',
    channel_key: 'in-app',
    chanel_overrides: {},
    template: { markdown_body: 'hi', subject: 'hi' },
  };
  const branch = {
    ref: 'either',
    type: 'branch',
    branches: [{ name: 'a', terminate: true, steps: [step] }],
  };
  const schema = { properties: { misspelt: { anything: true } } };
  const content = { name: 'hello', sha: 'x', steps: [branch], trigger_data_json_schema: schema };
  const { status, body } = await push({ workflows: [{ key: 'hello', content }] });
  expect(status).toBe(200);
  const branchPath = '$.steps[0].branches[0]';
  expect(body.warnings).toEqual(
    ['terminate', 'steps[0].chanel_overrides', 'steps[0].template.subject'].map((path) => ({
      field: `hello: ${branchPath}.${path}`,
      message: 'is not a known setting, and does nothing',
    })),
  );
});

test('footer links of a layout are refused with a template that cannot be read, each by its place', async () => {
  account = await api.account();
  const linked = layout('linked');
  const footer_links = [
    { text: 'Help {{ data.n }}', url: 'https://x.example/{{ data.n }}' },
    { text: '{{ oh', url: '{% nothing %}' },
  ];
  const answer = await push({
    layouts: [{ ...linked, content: { ...linked.content, footer_links } }],
  });
  expect(answer.status).toBe(422);
  expect(answer.body.errors.map(({ field }: { field: string }) => field)).toEqual([
    'layouts/linked: $.footer_links[1].text',
    'layouts/linked: $.footer_links[1].url',
  ]);
});

test('a whole push is told what else there is of its kinds, and that stays', async () => {
  account = await api.account();
  await push({
    workflows: [
      feed('Hi'),
      { ...feed('Off'), key: 'switched-off' },
      { ...feed('Old'), key: 'old' },
    ],
    layouts: [layout('default'), layout('worn')],
    partials: [partial('sign')],
  });
  const off = { ...feed('Off').content, active: false };
  const part = await push({ workflows: [{ key: 'switched-off', content: off }] });
  expect(part.body.unnamed).toEqual([]);
  const whole = { workflows: [feed('Hi')], layouts: [layout('default')], whole: true };
  for (const check of [true, false]) {
    const { body } = await push({ ...whole, check });
    expect(body.unnamed).toEqual(['old', 'layouts/worn']);
  }
  const again = await push({ workflows: [{ ...feed('Old'), key: 'old' }] });
  expect(again.body.published).toMatchObject([{ key: 'old', changed: false }]);
});

test('warnings tell of unknown data, missing texts and what nothing uses, and refuse nothing', async () => {
  account = await api.account();
  const schema = {
    type: 'object',
    properties: { order: { type: 'object', properties: { id: { type: 'string' } } }, any: {} },
  };
  const answer = await push({
    workflows: [
      feed(
        '{{ data.order.id }} {{ order.total }} {{ data.nmae }} {{ any.thing }} {{ recipient.x }} {{ "hi" | t }} {{ "bye" | t }}',
        { trigger_data_json_schema: schema },
      ),
    ],
    layouts: [layout('lonely', '{{ content }}', '')],
    translations: [translation('en', { hi: 'Hi' }), translation('es', { hi: 'Hola', adios: 'A' })],
  });
  expect(answer.status).toBe(200);
  expect(answer.body.warnings).toEqual([
    { field: 'layouts/lonely', message: 'nothing uses this layout' },
    {
      field: 'layouts/lonely: $.text_layout',
      message: 'is empty; the text part of e-mails will be made of their HTML',
    },
    {
      field: 'translations/es: $.content',
      message: 'has "adios", which the default locale "en" lacks',
    },
    ...['data.nmae', 'data.order.total'].map((name) => ({
      field: 'hello: $.steps[0].template.markdown_body',
      message: `uses ${name}, which trigger_data_json_schema does not have`,
    })),
    {
      field: 'hello: $.steps[0].template.markdown_body',
      message: 'the default locale "en" has no translation of "bye"',
    },
  ]);
});
