import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { readDirectory } from '../../src/control/read-directory.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';
import { guideContent, step } from './support.ts';

/** What a push of guides keeps and refuses. */

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
});
beforeEach(async () => {
  account = await api.account();
});
afterAll(() => api.close());

function push(body: object, query = '') {
  return api.call('POST', `/control/v1/push${query}`, { key: account.service_token, body });
}

const guides = (of: { readonly [key: string]: JsonObject }) => ({
  guides: Object.entries(of).map(([key, content]) => ({ key, content: guideContent(content) })),
});

async function list(key = account.secretKey) {
  const path = `/v1/users/ada/guides/${account.channels['in-app-guide']}`;
  return (await api.call('GET', path, { key })).body;
}

test('only what differs has changed, and its number rises with what it says', async () => {
  expect((await push(guides({ tour: {} }))).body.guides).toEqual([{ key: 'tour', changed: true }]);
  expect((await push(guides({ tour: {} }))).body.guides).toEqual([{ key: 'tour', changed: false }]);
  await push(guides({ tour: { steps: [step('step_1', { title: 'Other' })] } }));
  const { entries } = await list();
  expect(entries).toMatchObject([{ semver: '0.0.2', steps: [{ content: { title: 'Other' } }] }]);
});

test('a switch that the push does not name stays, and a new guide is on', async () => {
  await push(guides({ tour: { active_until: '2020-01-01T00:00:00Z' } }));
  expect((await push(guides({ tour: { name: 'New' } }))).body.guides[0].changed).toBe(true);
  expect((await list()).ineligible_guides).toMatchObject([{ reason: 'guide_not_active' }]);
  const cleared = await push(guides({ tour: { name: 'New', active_until: null } }));
  expect(cleared.body.guides[0].changed).toBe(true);
  expect((await list()).entries).toMatchObject([{ key: 'tour', semver: '0.0.2' }]);
  await push(guides({ tour: { name: 'New', active: false } }));
  await push(guides({ tour: { name: 'New' } }));
  expect((await list()).entries).toEqual([]);
});

test('an environment has guides of its own', async () => {
  await push(guides({ tour: {} }), '?environment=production');
  expect((await list()).entries).toEqual([]);
  const production = account.environments.production?.secret_key ?? '';
  expect((await list(production)).entries).toMatchObject([{ key: 'tour' }]);
});

test('a check keeps nothing', async () => {
  const answer = await push({ ...guides({ tour: {} }), check: true });
  expect(answer).toMatchObject({ status: 200, body: { guides: [] } });
  expect((await list()).entries).toEqual([]);
});

test.for<[string, JsonObject, string, string | RegExp]>([
  ['no name', { name: '' }, '$.name', /fewer than 1/],
  ['no channel', { channel_key: 'nothing' }, '$.channel_key', /no channel of the type/],
  ['a feed as its channel', { channel_key: 'in-app' }, '$.channel_key', /no channel of the type/],
  ['no steps', { steps: [] }, '$.steps', /fewer than 1/],
  ['a step without a schema', { steps: [{ ref: 'abc' }] }, '$.steps[0]', 'lacks "schema_key"'],
  [
    'a step twice',
    { steps: [step('same', {}), step('same', {})] },
    '$.steps[1].ref',
    '"same" is there twice',
  ],
  [
    'a template that is none',
    { steps: [step('abc', { deep: [{ title: '{{ x' }] })] },
    '$.steps[0].values.deep[0].title',
    /not closed/,
  ],
  [
    'a loop',
    { steps: [step('abc', { title: '{% for i in (1..9) %}{% endfor %}' })] },
    '$.steps[0].values.title',
    /has loops, assignments or partials/,
  ],
  [
    'an unknown operator',
    { target_property_conditions: { all: [{ variable: 'recipient.a', operator: 'is' }] } },
    '$.target_property_conditions.all[0].operator',
    /unknown operator/,
  ],
  [
    'conditions on messages',
    {
      target_property_conditions: {
        all: [
          { variable: 'refs.a.delivery_status', operator: 'equal_to', argument: '$message.read' },
        ],
      },
    },
    '$.target_property_conditions',
    /cannot ask for messages/,
  ],
  ['no audience', { target_audience_key: 'nobody' }, '$.target_audience_key', /no audience/],
  [
    'a pattern of nothing',
    { activation_url_patterns: [{ directive: 'allow' }] },
    '$.activation_url_patterns[0]',
    /at least one of/,
  ],
  [
    'a pattern that is none',
    { activation_url_patterns: [{ directive: 'allow', pathname: '/(' }] },
    '$.activation_url_patterns[0]',
    /no URL pattern/,
  ],
  [
    'patterns and rules',
    {
      activation_url_patterns: [{ directive: 'allow', pathname: '/a' }],
      activation_url_rules: [
        { directive: 'allow', variable: 'pathname', operator: 'contains', argument: 'a' },
      ],
    },
    '$.activation_url_rules',
    /use one of them/,
  ],
  ['no time', { active_from: 'soon' }, '$.active_from', /ISO 8601/],
  [
    'an end before its begin',
    { active_from: '2026-02-01T00:00:00Z', active_until: '2026-01-01T00:00:00Z' },
    '$.active_until',
    /after active_from/,
  ],
])('refuses a guide with %s', async ([, content, path, message]) => {
  const answer = await push(guides({ tour: content }));
  expect(answer.status).toBe(422);
  expect(answer.body.errors).toContainEqual({
    field: `guides/tour: ${path}`,
    message: message instanceof RegExp ? expect.stringMatching(message) : message,
  });
  expect((await list()).entries).toEqual([]);
});

test('a group may name guides that come with it, no others, and there is one group', async () => {
  const group = (key: string, content: JsonObject) => ({ guide_groups: [{ key, content }] });
  const order = { display_sequence: ['tour'], display_interval: 60 };
  const early = await push(group('default', order));
  expect(early.body.errors).toEqual([
    {
      field: 'guide-groups/default: $.display_sequence[0]',
      message: 'the environment has no guide "tour"',
    },
  ]);
  const both = await push({ ...guides({ tour: {} }), ...group('default', order) });
  expect(both.body.guide_groups).toEqual([{ key: 'default', changed: true }]);
  const other = await push(group('another', {}));
  expect(other.body.errors[0].message).toContain('there is one group of guides');
});

test('a push warns of a goal, which nobody counts', async () => {
  const answer = await push(guides({ tour: { goal_attachment: { goal_key: 'paid' } } }));
  expect(answer.body.warnings).toMatchObject([{ field: 'guides/tour: $.goal_attachment' }]);
});

test('a directory of the CLI’s layout brings guides, and the group beside them', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-guides-'));
  await mkdir(join(directory, 'guides', 'tour', 'step_1'), { recursive: true });
  await mkdir(join(directory, 'guide-groups', 'default'), { recursive: true });
  const content = guideContent({
    $schema: 'https://example.com/guide.json',
    steps: [{ ref: 'step_1', schema_key: 'banner', values: { 'body@': 'step_1/body.html' } }],
  });
  await writeFile(join(directory, 'guides', 'tour', 'guide.json'), JSON.stringify(content));
  await writeFile(join(directory, 'guides', 'tour', 'step_1', 'body.html'), '<p>Hello</p>');
  await writeFile(
    join(directory, 'guide-groups', 'default', 'guide_group.json'),
    JSON.stringify({ display_sequence: ['tour'] }),
  );
  const { resources, problems, warnings } = await readDirectory(directory);
  expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
  expect(resources).toMatchObject([
    { kind: 'guide', key: 'tour', content: { steps: [{ values: { body: '<p>Hello</p>' } }] } },
    { kind: 'guide_group', key: 'default' },
  ]);
  await rm(directory, { recursive: true });
});
