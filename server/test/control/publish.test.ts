import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { EnvironmentContext } from '../../src/context.ts';
import { createEnvironmentsInUse } from '../../src/control/environments-in-use.ts';
import { publish, publishWorkflows } from '../../src/control/publish.ts';
import { createPublishedWorkflows } from '../../src/control/published-workflows.ts';
import { readDirectory } from '../../src/control/read-directory.ts';
import { createWorkflowVersions } from '../../src/control/workflow-versions.ts';
import type { Database } from '../../src/db/database.ts';
import { BelfryError } from '../../src/lib/errors.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { runScope } from '../../src/workflows/scope.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { withOneMessage } from '../workflows/support.ts';
import { environmentContext } from './support.ts';

let database: TestDatabase;
let ctx: EnvironmentContext;

beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  ctx = await environmentContext(database.db, randomUUID());
});

function workflow(text: string): JsonObject {
  return {
    name: 'Hello',
    steps: [
      { type: 'channel', ref: 'a', channel_key: 'in-app', template: { markdown_body: text } },
    ],
  };
}

function compiledVersions(options: { readonly capacity?: number } = {}) {
  const { db, clock, log } = ctx;
  const environments = createEnvironmentsInUse({ db, clock, log });
  return createWorkflowVersions({ db, environments, log, ...options });
}

async function versionCount(): Promise<number> {
  const [row] = await database.db.query<{ count: number }>(
    'select count(*) from workflow_version where environment_id = $1',
    [ctx.environment.id],
  );
  return row?.count ?? 0;
}

describe('publishing', () => {
  test('makes a version of each workflow, and none of what did not change', async () => {
    const first = await publishWorkflows(ctx, [
      { key: 'one', content: workflow('a') },
      { key: 'two', content: workflow('a') },
    ]);
    expect(first.published).toMatchObject([
      { key: 'one', number: 1, changed: true },
      { key: 'two', number: 1, changed: true },
    ]);
    const second = await publishWorkflows(ctx, [
      // The order of keys, and what only files need, are no change.
      { key: 'one', content: { $schema: 'x', steps: workflow('a').steps ?? [], name: 'Hello' } },
      { key: 'two', content: workflow('b') },
    ]);
    expect(second.published).toEqual([
      { ...first.published[0], changed: false },
      { key: 'two', number: 2, versionId: expect.any(Number), changed: true },
    ]);
    expect(await versionCount()).toBe(3);
  });

  test('is all or nothing, and tells every defect by workflow and JSON path', async () => {
    const pushed = publishWorkflows(ctx, [
      { key: 'fine', content: workflow('a') },
      { key: 'broken', content: { ...workflow('{{ x'), name: '' } },
      { key: 'fine', content: workflow('b') },
      { key: 'No Key', content: workflow('a') },
      { key: 'not-json', content: 5 },
    ]);
    const error = await pushed.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BelfryError);
    expect(error).toMatchObject({ code: 'invalid_params', status: 422 });
    expect(error instanceof BelfryError && error.fields?.map((field) => field.field)).toEqual([
      'broken: $.name',
      'broken: $.steps[0].template.markdown_body',
      'fine',
      'No Key',
      'not-json: $',
    ]);
    expect(await versionCount()).toBe(0);
  });

  test('refuses what the database cannot keep, before anything looks at it', async () => {
    let deep: JsonObject = {};
    for (let i = 0; i < 20_000; i++) deep = { x: deep };
    for (const [content, path] of [
      [workflow('a\0b'), '$.steps[0].template.markdown_body'],
      [{ ...workflow('a'), 'x\ud800': 1 }, '$'],
      [{ ...workflow('a'), deep }, expect.stringContaining('$.deep.x')],
    ] as const) {
      await expect(publishWorkflows(ctx, [{ key: 'one', content }])).rejects.toMatchObject({
        fields: [
          {
            field:
              typeof path === 'string' ? `one: ${path}` : expect.stringContaining('one: $.deep'),
          },
        ],
      });
    }
  });

  test('from two sides at once gives each its own number, in some order', async () => {
    const texts = Array.from({ length: 8 }, (_, index) => `text ${index}`);
    const results = await Promise.all(
      texts.map((text) => publishWorkflows(ctx, [{ key: 'raced', content: workflow(text) }])),
    );
    const numbers = results.map((result) => result.published[0]?.number ?? 0);
    expect(numbers.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const published = await createPublishedWorkflows(database.db).published(
      ctx.environment.id,
      'raced',
    );
    expect(published?.number).toBe(8);
  });

  test('of two sides with the same workflows in opposite order never locks up', async () => {
    const both = ['a-1', 'b-1'].map((key) => ({ key, content: workflow(key) }));
    const rounds = Array.from({ length: 6 }, (_, index) =>
      publishWorkflows(ctx, index % 2 ? both : both.toReversed()),
    );
    const results = await Promise.all(rounds);
    expect(results.flatMap((result) => result.published).filter((one) => one.changed)).toHaveLength(
      2,
    );
  });

  test('switches a workflow on and off without a new version [workflow.active]', async () => {
    const cache = createPublishedWorkflows(database.db);
    await publishWorkflows(ctx, [{ key: 'one', content: workflow('a') }]);
    await publishWorkflows(ctx, [{ key: 'one', content: { ...workflow('a'), active: false } }]);
    expect(await cache.published(ctx.environment.id, 'one')).toMatchObject({
      number: 1,
      active: false,
    });
    // Content without a word about it leaves it as it is.
    await publishWorkflows(ctx, [{ key: 'one', content: workflow('b') }]);
    cache.invalidate(ctx.environment.id);
    expect(await cache.published(ctx.environment.id, 'one')).toMatchObject({
      number: 2,
      active: false,
    });
  });
});

describe('the cache of published workflows', () => {
  test('answers at once with what this process published', async () => {
    const cache = createPublishedWorkflows(database.db);
    expect(await cache.published(ctx.environment.id, 'one')).toBeUndefined();
    await publishWorkflows(ctx, [{ key: 'one', content: workflow('a') }]);
    expect(await cache.published(ctx.environment.id, 'one')).toMatchObject({ number: 1 });
    await publishWorkflows(ctx, [{ key: 'one', content: workflow('b') }]);
    cache.invalidate(ctx.environment.id);
    expect(await cache.published(ctx.environment.id, 'one')).toMatchObject({ number: 2 });
  });

  test('is two seconds behind another process at the most', async () => {
    let now = 1_000_000;
    const cache = createPublishedWorkflows(database.db, { now: () => now });
    await publishWorkflows(ctx, [{ key: 'one', content: workflow('a') }]);
    await cache.published(ctx.environment.id, 'one');
    await publishWorkflows(ctx, [{ key: 'one', content: workflow('b') }]);
    now += 2_000;
    expect(await cache.published(ctx.environment.id, 'one')).toMatchObject({ number: 2 });
  });

  test('asks the database once for many callers', async () => {
    await publishWorkflows(ctx, [{ key: 'one', content: workflow('a') }]);
    let queries = 0;
    const counted: Database = {
      ...database.db,
      query: (statement, values) => {
        queries += 1;
        return database.db.query(statement, values);
      },
    };
    const cache = createPublishedWorkflows(counted);
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => cache.published(ctx.environment.id, 'one')),
    );
    expect(new Set(answers).size).toBe(1);
    expect(queries).toBe(1);
  });

  test('keeps answering from what it knew while the database is away', async () => {
    const other = await createTestDatabase();
    const otherCtx = await environmentContext(other.db, randomUUID());
    await publishWorkflows(otherCtx, [{ key: 'one', content: workflow('a') }]);
    let now = 1_000_000;
    const cache = createPublishedWorkflows(other.db, { now: () => now });
    await cache.published(otherCtx.environment.id, 'one');
    await other.drop();
    for (let round = 0; round < 3; round++) {
      now += 60_000;
      expect(await cache.published(otherCtx.environment.id, 'one')).toMatchObject({ number: 1 });
    }
    cache.invalidate(otherCtx.environment.id);
    expect(await cache.published(otherCtx.environment.id, 'one')).toMatchObject({ number: 1 });
    await expect(cache.published(otherCtx.environment.id, 'two')).rejects.toThrow();
  });

  test('checks trigger data by the schema of the published version [workflow.trigger_data_json_schema]', async () => {
    const schema = { type: 'object', required: ['title'] };
    const content = { ...workflow('a'), trigger_data_json_schema: schema, categories: ['c'] };
    await publishWorkflows(ctx, [{ key: 'one', content }]);
    const published = await createPublishedWorkflows(database.db).published(
      ctx.environment.id,
      'one',
    );
    expect(published).toMatchObject({ categories: ['c'], name: 'Hello', active: true });
    expect(published?.dataProblems?.({ title: 'x' })).toEqual([]);
    expect(published?.dataProblems?.({})).toMatchObject([{ path: 'data' }]);
  });
});

describe('compiled versions', () => {
  test('are loaded once, and forgotten when others were used since', async () => {
    const { published } = await publishWorkflows(
      ctx,
      ['one', 'two', 'three'].map((key) => ({ key, content: workflow(key) })),
    );
    const [one, two, three] = published.map((version) => version.versionId) as [
      number,
      number,
      number,
    ];
    const versions = compiledVersions({ capacity: 2 });
    const [first, again] = await Promise.all([versions.get(one), versions.get(one)]);
    expect(again).toBe(first);
    expect(first).toMatchObject({ key: 'one', versionId: one, environmentId: ctx.environment.id });
    await versions.get(two);
    expect(versions.peek(one)).toBe(first);
    await versions.get(three);
    expect(versions.peek(two)).toBeUndefined();
    expect(versions.peek(one)).toBe(first);
    await expect(versions.get(2_000_000_000)).rejects.toThrow('no workflow version');
  });
});

test('the examples are read, published and run', async () => {
  const directory = fileURLToPath(new URL('../../../examples', import.meta.url));
  const { workflows, resources, problems, warnings } = await readDirectory(directory);
  expect(problems).toEqual([]);
  expect(warnings).toEqual([]);
  const { workflows: published } = await publish(ctx, { workflows, resources });
  expect(published.map((version) => version.key)).toEqual([
    'comment-digest',
    'incident-alert',
    'invoice',
    'new-comment',
    'onboarding',
    'reminder',
    'weekly-summary',
  ]);
  const versions = compiledVersions();
  const outcomes = new Map<string, unknown>();
  for (const { key, versionId } of published) {
    const compiled = await versions.get(versionId);
    const scope = runScope({
      recipient: { id: 'u1', name: 'Ann', email: 'ann@example.com' },
      actor: { id: 'u2', name: 'Zed' },
      tenant: null,
      data: {
        comment: 'Looks <great>\nto me',
        page: 'Launch plan',
        page_url: 'https://app.example/pages/1',
        task: 'Send the agenda',
        remind_in: { unit: 'seconds', value: 2 },
        title: 'Checkout is slow',
        severity: 'major',
        webhook_url: 'https://hooks.example/1',
      },
      workflow: compiled.scope,
      vars: {},
      timestamp: '2026-03-01T12:00:00.000Z',
    });
    for (const step of compiled.steps) {
      if (step.conditions && !step.conditions(scope)) continue;
      // This person has no device and no number, and there is no engine for what asks or branches.
      const isReachable = step.channel?.type !== 'push' && step.channel?.type !== 'sms';
      if (step.type !== 'delay' && (step.type !== 'channel' || !isReachable)) continue;
      const input = { scope, nowMs: 0, settings: {}, attempt: 0, refusal: () => undefined };
      outcomes.set(`${key}/${step.ref}`, withOneMessage(step.execute(input)));
    }
  }
  expect(outcomes.get('new-comment/in_app_feed_1')).toMatchObject({
    content: {
      body: '**Zed** commented on Launch plan\n\n> Looks &lt;great&gt;\nto me',
      action_url: 'https://app.example/pages/1',
    },
  });
  expect(outcomes.get('new-comment/email_1')).toMatchObject({
    content: {
      to: 'ann@example.com',
      subject: 'Zed commented on Launch plan',
      html_body: expect.stringContaining('Looks &lt;great&gt;<br />'),
      text_body: expect.stringContaining('Read and reply: https://app.example/pages/1'),
    },
  });
  expect(outcomes.get('reminder/delay_1')).toEqual({ kind: 'wait', untilMs: 2_000 });
  expect(outcomes.has('reminder/delay_2')).toBe(false);
  const alert = outcomes.get('incident-alert/http_1');
  expect(alert).toMatchObject({ content: { method: 'post', url: 'https://hooks.example/1' } });
  const { content } = alert as { content: { body: string } };
  expect(JSON.parse(content.body)).toMatchObject({
    summary: 'Checkout is slow',
    service: null,
    on_call: 'Ann',
    started_at: '2026-03-01T12:00:00.000Z',
  });
});
