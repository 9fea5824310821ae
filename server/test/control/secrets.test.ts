import { afterAll, beforeAll, expect, test } from 'vitest';
import { timeOrderedUuid } from '../../src/lib/uuid.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';

/** A push says where templates read secrets that they would not find, and nothing that was said before shows one. */

let api: TestApi;
let account: TestAccount;

beforeAll(async () => {
  api = await startTestApi();
  account = await api.account();
  await api.call('PUT', '/control/v1/variables/token', {
    key: account.service_token,
    body: { value: 'hush-token-1', type: 'secret' },
  });
});
afterAll(() => api.close());

const push = (body: object) =>
  api.call('POST', '/control/v1/push', { key: account.service_token, body });

const bearer = 'Bearer {{ vars.token }}';
const webhook = {
  method: 'post',
  url: 'https://x.example',
  headers: [{ key: 'a', value: bearer }],
};

test('a push that reads a secret outside of a request is refused, with the thing and the path', async () => {
  const steps = [
    { type: 'channel', ref: 'a', channel_key: 'in-app', template: { markdown_body: bearer } },
    {
      type: 'branch',
      ref: 'b',
      branches: [
        {
          name: 'x',
          conditions: { all: [{ variable: 'vars.token', operator: 'equal_to', argument: 'x' }] },
          steps: [
            {
              type: 'channel',
              ref: 'c',
              channel_key: 'sms',
              template: { text_body: '{% if vars["token"] == "x" %}y{% endif %}' },
            },
          ],
        },
        { name: 'Default', steps: [] },
      ],
    },
  ];
  const answer = await push({
    workflows: [{ key: 'leak', content: { name: 'L', steps } }],
    layouts: [
      {
        key: 'lay',
        content: { name: 'L', html_layout: `{{ content }}${bearer}`, text_layout: 'x' },
      },
    ],
    partials: [{ key: 'part', content: { name: 'P', type: 'html', content: bearer } }],
  });
  expect(answer.status).toBe(422);
  const fields = answer.body.errors.map(({ field }: { field: string }) => field);
  expect(fields).toEqual([
    'layouts/lay: $.html_layout',
    'partials/part: $.content',
    'leak: $.steps[0].template.markdown_body',
    'leak: $.steps[1].branches[0].conditions.all[0].variable',
    'leak: $.steps[1].branches[0].steps[0].template.text_body',
  ]);
  expect(answer.body.errors[0].message).toContain('reads the secret variable "token"');
});

test('requests may read secrets, also in a partial of JSON; public variables may be read anywhere', async () => {
  const steps = [
    { type: 'channel', ref: 'a', channel_key: 'webhook', template: webhook },
    {
      type: 'http_fetch',
      ref: 'b',
      settings: { method: 'get', url: 'https://x.example/{{ vars.token }}' },
    },
    {
      type: 'ai_agent',
      ref: 'c',
      settings: { model: 'x:y', request_prompt: bearer, response_type: 'text' },
    },
    {
      type: 'channel',
      ref: 'd',
      channel_key: 'in-app',
      template: { markdown_body: '{{ vars.plan }}' },
    },
  ];
  const answer = await push({
    workflows: [{ key: 'fine', content: { name: 'F', steps } }],
    partials: [
      { key: 'json', content: { name: 'P', type: 'json', content: '{"t":"{{ vars.token }}"}' } },
    ],
  });
  expect(answer.status).toBe(200);
});

test('what was rendered with a secret once is answered with a mask', async () => {
  const { db } = api.ctx;
  const [row] = await db.query<{ readonly environment_id: number; readonly id: string }>(
    `
    select w.environment_id, w.published_version_id as id
    from workflow w
    where w.key = 'fine'`,
  );
  const [messageId, runId] = [timeOrderedUuid(Date.now()), timeOrderedUuid(Date.now())];
  await db.query(
    `
    insert into workflow_run (id, environment_id, workflow_key, version_id, data, accepted_at)
    values ($1, $2, 'fine', $3, '{}', now())`,
    [runId, row?.environment_id, row?.id],
  );
  await db.query(
    `
    insert into message (
      id, environment_id, channel_id, channel_type, collection, recipient_id, content, status,
      workflow_key, version_id, workflow_run_id, recipient_run_id, step_ref, inserted_at
    )
    values ($1, $2, $3, 2, '$users', 'u1', '{"body": "it is hush-token-1"}', 2, 'fine', $4, $5, $5, 'd', now())`,
    [messageId, row?.environment_id, account.channels['in-app'], row?.id, runId],
  );
  const feed = await api.call('GET', `/v1/users/u1/feeds/${account.channels['in-app']}`, {
    key: account.secretKey,
  });
  expect(feed.body.entries[0].blocks[0].rendered).toContain('it is ••••••••');
  const id = feed.body.entries[0].id;
  const content = await api.call('GET', `/v1/messages/${id}/content`, { key: account.secretKey });
  expect(content.body.data.blocks[0].rendered).toContain('it is ••••••••');
  expect(JSON.stringify([feed.body, content.body])).not.toContain('hush');
});
