import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addMembers } from '../../src/broadcasts/audience-members.ts';
import { createLedger } from '../../src/engine/ledger/ledger.ts';
import { CHUNK_RUNS } from '../../src/engine/log/chunk.ts';
import { RUN_STATUS } from '../../src/engine/status.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { identify } from '../../src/recipients/identify.ts';
import * as rows from '../support/engine-rows.ts';
import {
  appendedRuns,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { users } from '../support/triggers.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const update = (type: string, settings: JsonObject, ref = `${type}_1`): JsonObject => ({
  ref,
  type,
  settings,
});

/** Runs the steps to their end; returns the run's id and what its feed items say. */
async function run(steps: readonly JsonObject[], more: JsonObject = {}) {
  const of = await world.workflow({ steps });
  const request = { ...of, recipients: [{ recipient: 'ada' }], ...more };
  const { refs, runIds } = await world.accept(request);
  await world.executeAll(refs);
  const runId = runIds[0] ?? '';
  const messages = await rows.messagesOf(world.test.db, runId);
  return { ...of, runId, texts: messages.map(({ content }) => content.body) };
}

async function propertiesOf(id: string, collection = '$users'): Promise<JsonObject | undefined> {
  const [row] = await world.test.db.query<{ properties: JsonObject }>(
    'select properties from recipient where collection = $1 and id = $2',
    [collection, id],
  );
  return row?.properties;
}

const stepsOf = async (runId: string) => (await rows.runsOf(world.test.db, runId))[0]?.steps;

describe('an update of data', () => {
  test('is merged at every depth, for later steps and after a pause [update_data.data]', async () => {
    const { texts, runId } = await run(
      [
        update('update_data', {
          data: '{"a": {"y": {{ data.n | plus: 1 }}}, "who": "{{ recipient.id }}"}',
        }),
        feedStep('{{ data.a.x }} {{ data.a.y }} {{ data.who }}'),
        delayStep(1),
        feedStep('{{ a.x }} {{ a.y }} {{ who }}', 'feed_2'),
      ],
      { data: { n: 1, a: { x: 1 } } },
    );
    expect(texts).toEqual(['1 2 ada', '1 2 ada']);
    expect((await stepsOf(runId))?.[0]).toMatchObject({
      outcome: 'continued',
      reason: 'sets a, who',
    });
  });

  test('that renders as no JSON object is skipped and says so', async () => {
    const { texts, runId } = await run([
      update('update_data', { data: '{{ data.nothing | default: "[" }}' }),
      feedStep('on'),
    ]);
    expect(texts).toEqual(['on']);
    expect((await stepsOf(runId))?.[0]).toMatchObject({
      outcome: 'skipped',
      reason: 'the template "data" renders as no JSON',
    });
  });

  test('that is too large is skipped', async () => {
    const { runId } = await run(
      [update('update_data', { data: '{"more": "{{ data.text }}"}' }), feedStep('on')],
      { data: { text: 'x'.repeat(300_000) } },
    );
    expect((await stepsOf(runId))?.[0]).toMatchObject({ outcome: 'skipped' });
  });

  test('is merged beside files that are larger than it may be itself', async () => {
    const { texts } = await run(
      [update('update_data', { data: '{"more": "yes"}' }), feedStep('{{ more }}')],
      { data: { attachments: [{ content: 'A'.repeat(400_000) }] } },
    );
    expect(texts).toEqual(['yes']);
  });
});

describe('an update of a recipient', () => {
  test('is merged into the run’s user, and later steps see it [update_user.recipient_mode] [update_user.update_properties]', async () => {
    await identify(world.ctx, {
      collection: '$users',
      id: 'ada',
      properties: { plan: { name: 'free', seats: 1 } },
    });
    const { texts } = await run(
      [
        update('update_user', {
          recipient_mode: 'current',
          update_properties: '{"plan": {"name": "{{ data.plan }}"}, "id": "other"}',
        }),
        feedStep('{{ recipient.plan.name }} {{ recipient.plan.seats }} {{ recipient.id }}'),
      ],
      { data: { plan: 'pro' } },
    );
    expect(texts).toEqual(['pro 1 ada']);
    expect(await propertiesOf('ada')).toEqual({ plan: { name: 'pro', seats: 1 } });
  });

  test('is merged into the user, object or tenant that is named [update_user.recipient_gid] [update_object.recipient_gid] [update_object.update_properties] [update_tenant.recipient_gid]', async () => {
    await run(
      [
        update('update_user', {
          recipient_mode: 'reference',
          recipient_gid: 'gid://Object/$users/{{ data.boss }}',
          update_properties: '{"asked": true}',
        }),
        update('update_object', {
          recipient_gid: 'gid://Object/projects/p/1',
          update_properties: '{"state": "open"}',
        }),
        update('update_tenant', {
          recipient_mode: 'reference',
          recipient_gid: 'gid://Object/$tenants/t9',
          update_properties: '{"settings": {"branding": {"primary_color": "#123456"}}}',
        }),
      ],
      { data: { boss: 'bob' } },
    );
    expect(await propertiesOf('bob')).toEqual({ asked: true });
    expect(await propertiesOf('p/1', 'projects')).toEqual({ state: 'open' });
    expect(await propertiesOf('t9', '$tenants')).toMatchObject({ settings: { branding: {} } });
  });

  test('is merged into the run’s tenant; a run without one skips it [update_tenant.recipient_mode] [update_tenant.update_properties]', async () => {
    const step = update('update_tenant', {
      recipient_mode: 'current',
      update_properties: '{"name": "Acme"}',
    });
    const { texts } = await run([step, feedStep('{{ tenant.name }}')], { tenant: 't1' });
    expect(texts).toEqual(['Acme']);
    expect(await propertiesOf('t1', '$tenants')).toEqual({ name: 'Acme' });
    const { runId } = await run([step]);
    expect((await stepsOf(runId))?.[0]).toMatchObject({
      outcome: 'skipped',
      reason: 'the run has no tenant; there is nobody to update',
    });
  });

  test('by many runs of one assignment is merged in their order, and done once', async () => {
    const step = update('update_object', {
      recipient_gid: 'gid://Object/counters/{{ data.key }}',
      update_properties: '{"last": "{{ recipient.id }}", "of": {"{{ recipient.id }}": 1}}',
    });
    const of = await world.workflow({ steps: [step] });
    const { refs } = await world.accept({ ...of, recipients: users(20), data: { key: 'k' } });
    await world.execute(refs);
    await world.execute(refs);
    const properties = await propertiesOf('k', 'counters');
    expect(properties?.last).toBe('user-19');
    expect(Object.keys(properties?.of ?? {})).toHaveLength(20);
  });

  test('whose result would be larger than 256 kB is skipped', async () => {
    await identify(world.ctx, {
      collection: '$users',
      id: 'large',
      properties: { text: 'x'.repeat(200_000) },
    });
    const step = update('update_user', {
      recipient_mode: 'current',
      update_properties: '{"more": "{{ recipient.text }}"}',
    });
    const { runId } = await run([step], { recipients: [{ recipient: 'large' }] });
    expect((await stepsOf(runId))?.[0]).toMatchObject({ outcome: 'skipped' });
    expect(await propertiesOf('large')).not.toHaveProperty('more');
  });
});

describe('an update of an audience', () => {
  const membersOf = (key: string) =>
    world.test.db.query<{ user_id: string; tenant: string }>(
      `select m.user_id, m.tenant
       from audience_member m
       join audience a on a.id = m.audience_id
       where a.key = $1
       order by 1, 2`,
      [key],
    );

  test('adds and removes the run’s user, with its tenant [update_audience.action] [update_audience.audience_key]', async () => {
    await addMembers(world.ctx, { key: 'beta', create: true, members: [{ user: { id: 'old' } }] });
    const step = (action: string) => update('update_audience', { audience_key: 'beta', action });
    await run([step('add')], { tenant: 't1', recipients: users(3) });
    await run([step('add')], { recipients: [{ recipient: 'old' }] });
    expect(await membersOf('beta')).toEqual([
      { user_id: 'old', tenant: '' },
      ...users(3).map(({ recipient }) => ({ user_id: recipient, tenant: 't1' })),
    ]);
    await run([step('remove')], { recipients: [{ recipient: 'old' }, { recipient: 'user-0' }] });
    expect(await membersOf('beta')).toHaveLength(3);
    await run([step('remove')], { tenant: 't1', recipients: users(3) });
    expect(await membersOf('beta')).toEqual([]);
  });
});

describe('a step that triggers a workflow', () => {
  const child = (
    steps: readonly JsonObject[] = [feedStep('{{ data | json }} {{ actor.id }} {{ tenant.id }}')],
  ) => world.workflow({ steps });
  const trigger = (workflowKey: string, settings: JsonObject = {}) =>
    update('trigger_workflow', { workflow_key: workflowKey, ...settings });
  const childRuns = (workflowKey: string) =>
    world.test.db.query<{
      id: string;
      recipient_id: string;
      collection: string;
      body: string;
      by: number | null;
      cancel: string | null;
    }>(
      `select w.id, r.recipient_id, r.collection, m.content->>'body' as body, w.api_key_id as by,
              w.cancellation_key as cancel
       from workflow_run w
       join recipient_run r on r.workflow_run_id = w.id
       left join message m on m.recipient_run_id = r.id
       where w.workflow_key = $1
       order by r.id`,
      [workflowKey],
    );
  const plain = (body: string | undefined) =>
    body?.replaceAll('&quot;', '"').replaceAll('&#34;', '"');

  test('takes recipient, actor, tenant and data of its run where it says nothing', async () => {
    const { workflowKey } = await child();
    const { runId } = await run([trigger(workflowKey)], {
      actor: 'zoe',
      tenant: 't1',
      data: { a: 1 },
    });
    const runs = await childRuns(workflowKey);
    expect(runs).toMatchObject([{ recipient_id: 'ada', collection: '$users', cancel: null }]);
    expect(plain(runs[0]?.body)).toBe('{"a":1} zoe t1');
    expect(runs[0]?.id).not.toBe(runId);
    expect((await stepsOf(runId))?.at(-1)).toMatchObject({
      outcome: 'continued',
      reason: `triggers "${workflowKey}" for 1 recipient`,
    });
  });

  test('takes what its templates say [trigger_workflow.workflow_key] [trigger_workflow.recipients] [trigger_workflow.actor] [trigger_workflow.tenant] [trigger_workflow.data] [trigger_workflow.cancellation_key]', async () => {
    const { workflowKey } = await child();
    const settings = {
      recipients:
        '["{{ actor.id }}", {"id": "p1", "collection": "projects"}, {"id": "new", "name": "N"}]',
      actor: '{{ recipient.id }}',
      tenant: '{{ data.team }}',
      data: '{"total": {{ data.n }}}',
      cancellation_key: 'order-{{ data.n }}',
    };
    await run([trigger('{{ data.next }}', settings)], {
      actor: 'zoe',
      data: { next: workflowKey, n: 7, team: 'red' },
      apiKeyId: 12,
    });
    const runs = await childRuns(workflowKey);
    expect(runs.map(({ collection, recipient_id }) => `${collection}/${recipient_id}`)).toEqual([
      '$users/zoe',
      'projects/p1',
      '$users/new',
    ]);
    expect(runs[0]).toMatchObject({ cancel: 'order-7', by: 12 });
    expect(plain(runs[0]?.body)).toBe('{"total":7} ada red');
    expect(await propertiesOf('new')).toEqual({ name: 'N' });
    expect(await propertiesOf('red', '$tenants')).toEqual({});
  });

  test('means an object that is its run’s recipient by the id alone', async () => {
    const { workflowKey } = await child();
    const recipients = [{ recipient: { id: 'p7', collection: 'projects' } }];
    await run([trigger(workflowKey, { recipients: '{{ recipient.id }}' })], { recipients });
    expect(await childRuns(workflowKey)).toMatchObject([
      { collection: 'projects', recipient_id: 'p7' },
    ]);
  });

  test('of which many runs come lays them out in chunks, counted as accepted, and once', async () => {
    const { workflowKey } = await child([feedStep('x')]);
    const list = JSON.stringify(users(30, 'child').map(({ recipient }) => recipient));
    const parent = await world.workflow({ steps: [trigger(workflowKey, { recipients: list })] });
    const { refs } = await world.accept({ ...parent, recipients: users(40) });
    const children = appendedRuns(await world.execute(refs));
    expect(children.every(({ dueMs }) => dueMs === undefined)).toBe(true);
    expect(children.reduce((sum, { runCount }) => sum + runCount, 0)).toBe(1_200);
    expect(Math.max(...children.map(({ runCount }) => runCount))).toBeLessThanOrEqual(CHUNK_RUNS);
    await world.executeAll(children);
    await world.execute(refs);
    const runs = await childRuns(workflowKey);
    expect(runs).toHaveLength(1_200);
    expect(new Set(runs.map(({ id }) => id)).size).toBe(40);
    const ledger = createLedger({ db: world.test.db, clock: world.clock, log: silentLog });
    await ledger.check();
    expect(ledger.latest()).toMatchObject({ gapRuns: 0 });
  });

  test.each<[string, string, string]>([
    ['an unknown workflow', 'nowhere', 'there is no published workflow "nowhere"'],
    ['no recipients', '', 'recipients must have at least one recipient'],
  ])('with %s is skipped and says so', async (_, key, reason) => {
    const { workflowKey } = await child();
    const step =
      key === '' ? trigger(workflowKey, { recipients: '[]' }) : trigger('{{ data.key }}');
    const { runId, texts } = await run([step, feedStep('on')], { data: { key } });
    const record = (await stepsOf(runId))?.at(0);
    expect(record).toMatchObject({ outcome: 'skipped', reason: expect.stringContaining(reason) });
    expect(texts).toEqual(['on']);
  });

  test('with data that does not fit the other workflow is skipped and says so', async () => {
    const schema = { type: 'object', required: ['n'] };
    const { workflowKey } = await world.workflow({
      steps: [feedStep('x')],
      trigger_data_json_schema: schema,
    });
    const { runId } = await run([trigger(workflowKey)]);
    expect((await stepsOf(runId))?.[0]?.reason).toContain('does not fit the JSON schema');
    expect(await childRuns(workflowKey)).toEqual([]);
  });

  test('ends a circle: the eleventh workflow in another is not triggered', async () => {
    const circle = await world.workflow({ steps: [trigger('{{ workflow.key }}')] });
    const { refs } = await world.accept({ ...circle, recipients: users(1) });
    await world.executeAll(refs);
    const runs = await childRuns(circle.workflowKey);
    expect(runs).toHaveLength(11);
    const [last] = await rows.runsOf(world.test.db, runs.at(-1)?.id ?? '');
    expect(last).toMatchObject({ status: RUN_STATUS.completed });
    expect(last?.steps[0]).toMatchObject({
      outcome: 'skipped',
      reason: expect.stringMatching(/^10 workflows/),
    });
  });
});
