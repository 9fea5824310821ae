import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { putAudience, staticAudience } from '../../src/broadcasts/audience.ts';
import { addMembers } from '../../src/broadcasts/audience-members.ts';
import { executeRuns } from '../../src/engine/executor/run-worker.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { identify } from '../../src/recipients/identify.ts';
import { setPreferences } from '../../src/recipients/preferences.ts';
import { TENANTS, USERS } from '../../src/recipients/reference.ts';
import * as rows from '../support/engine-rows.ts';
import {
  appendedRuns,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  emailStep,
  feedStep,
  slicesOf,
} from '../support/engine-world.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const reached = async (runId = ''): Promise<string[]> =>
  (await rows.messagesOf(world.test.db, runId)).map(({ step_ref }) => step_ref);
const reasons = async (runId = ''): Promise<(string | undefined)[]> => {
  const runs = await rows.runsOf(world.test.db, runId);
  const segments = await rows.segmentsOf(world.test.db, runId);
  return [...runs, ...segments].flatMap(({ steps }) => steps.map(({ reason }) => reason));
};

const only = (variable: string, operator: string, argument?: string): JsonObject => ({
  conditions: { all: [{ variable, operator, ...(argument === undefined ? {} : { argument }) }] },
});

/** A status of `first` is asked for by a step each. */
const asks = (...statuses: string[]): JsonObject[] =>
  statuses.map((status) =>
    feedStep('x', status, only('refs.first.engagement_status', 'equal_to', `$message.${status}`)),
  );

describe('conditions on the messages of earlier steps [condition.message_status]', () => {
  test('see those of the same execution as they are written', async () => {
    const of = await world.workflow({
      steps: [
        emailStep('first'),
        feedStep('x', 'second'),
        ...asks('queued', 'sent', 'skipped'),
        feedStep('x', 'fed', only('refs.second.delivery_status', 'equal_to', '$message.delivered')),
        feedStep('x', 'none', only('refs.sent.delivery_status', 'equal_to', '$message.skipped')),
      ],
    });
    const email = 'hal@example.com';
    await identify(world.ctx, { collection: USERS, id: 'hal', properties: { email } });
    const { refs, runIds } = await world.accept({ ...of, recipients: [{ recipient: 'hal' }] });
    await world.executeAll(refs);
    expect(await reached(runIds[0])).toEqual(['first', 'second', 'queued', 'fed', 'none']);
    expect(await reasons(runIds[0])).toContain(
      'conditions: refs.first.engagement_status equal_to $message.sent was false',
    );
  });

  test('see what has become of them when the run goes on', async () => {
    const of = await world.workflow({
      steps: [
        feedStep('x', 'first'),
        delayStep(60),
        ...asks('delivered', 'seen', 'seen_not_read', 'read', 'archived'),
        delayStep(60, 'seconds', 'delay_2'),
        feedStep('x', 'end', only('refs.first.status', 'not_equal_to', '$message.read')),
      ],
    });
    const { refs, runIds } = await world.accept(of);
    const waiting = appendedRuns(await world.execute(refs));
    const mark = (column: string): Promise<unknown> =>
      world.test.db.query(
        `update message set ${column} = now() where workflow_run_id = $1 and step_ref = 'first'`,
        [runIds[0]],
      );
    await mark('seen_at');
    world.clock.moveTo(world.clock.now() + 60_000);
    const again = appendedRuns(await world.execute(waiting));
    await mark('read_at');
    world.clock.moveTo(world.clock.now() + 60_000);
    await world.execute(again);
    expect(await reached(runIds[0])).toEqual(['first', 'delivered', 'seen', 'seen_not_read']);
  });

  test('are false either way when retention has removed the message', async () => {
    const of = await world.workflow({
      steps: [
        feedStep('x', 'first'),
        delayStep(60),
        ...asks('delivered', 'skipped'),
        feedStep('x', 'end', only('refs.first.status', 'not_equal_to', '$message.read')),
      ],
    });
    const { refs, runIds } = await world.accept(of);
    const waiting = appendedRuns(await world.execute(refs));
    await world.test.db.query('delete from message where workflow_run_id = $1', [runIds[0]]);
    await world.executeAll(waiting);
    expect(await reached(runIds[0])).toEqual([]);
  });

  test('cost the run of a workflow without them nothing', async () => {
    const of = await world.workflow({ steps: [feedStep('x', 'first'), delayStep(60)] });
    const { refs } = await world.accept(of);
    const [waiting] = appendedRuns(await world.execute(refs));
    const [chunk] = await world.test.db.query<{ body: string }>(
      'select body from chunk where stream = $1 and sequence = $2',
      [waiting?.stream, waiting?.sequence],
    );
    expect(chunk?.body).not.toContain('messages');
  });
});

describe('conditions on audiences [condition.is_audience_member] [condition.is_not_audience_member]', () => {
  beforeEach(async () => {
    await addMembers(world.ctx, {
      key: 'beta',
      create: true,
      members: [{ user: { id: 'ann' } }, { user: { id: 'bob' }, tenant: 'acme' }],
    });
  });

  test('are true for members, with the tenant of the run', async () => {
    const of = await world.workflow({
      steps: [
        feedStep('x', 'in', only('recipient', 'is_audience_member', 'beta')),
        feedStep('x', 'out', only('recipient', 'is_not_audience_member', 'beta')),
        feedStep('x', 'actor', only('actor', 'is_audience_member', 'beta')),
      ],
    });
    const recipients = [
      { recipient: 'ann' },
      { recipient: 'bob' },
      { recipient: { collection: 'teams', id: 'ann' } },
    ];
    const { refs, runIds } = await world.accept(
      { ...of, recipients, actor: 'ann' },
      { ...of, recipients, tenant: 'acme' },
    );
    await world.executeAll(refs);
    const found = async (runId = ''): Promise<string[]> =>
      (await rows.messagesOf(world.test.db, runId))
        .map((message) => `${message.recipient_id} ${message.step_ref}`)
        .sort();
    expect(await found(runIds[0])).toEqual([
      ...['ann actor', 'ann actor', 'ann in', 'ann out', 'bob actor', 'bob out'],
    ]);
    expect(await found(runIds[1])).toEqual(['ann out', 'ann out', 'bob in']);
  });

  test('of an audience by conditions follow the properties of the user', async () => {
    await putAudience(world.ctx, {
      key: 'pros',
      kind: 'condition',
      conditions: { all: [{ variable: 'recipient.plan', operator: 'equal_to', argument: 'pro' }] },
    });
    await identify(world.ctx, { collection: USERS, id: 'cyd', properties: { plan: 'pro' } });
    const of = await world.workflow({
      conditions: {
        any: [{ variable: 'recipient.id', operator: 'is_audience_member', argument: 'pros' }],
      },
      steps: [feedStep('x', 'in')],
    });
    const recipients = [{ recipient: 'ann' }, { recipient: 'cyd' }];
    const { refs, runIds } = await world.accept({ ...of, recipients });
    await world.executeAll(refs);
    const messages = await rows.messagesOf(world.test.db, runIds[0] ?? '');
    expect(messages.map(({ recipient_id }) => recipient_id)).toEqual(['cyd']);
  });

  test('cannot be conditions of an audience', async () => {
    const conditions = {
      all: [{ variable: 'recipient', operator: 'is_audience_member', argument: 'beta' }],
    };
    await expect(
      putAudience(world.ctx, { key: 'nested', kind: 'condition', conditions }),
    ).rejects.toMatchObject({ code: 'invalid_params' });
    await expect(staticAudience(world.ctx, { key: 'nested', create: false })).rejects.toThrow();
  });

  test('work in preferences', async () => {
    const isBeta = [{ variable: 'recipient', operator: 'is_audience_member', argument: 'beta' }];
    for (const id of ['ann', 'dan']) {
      await setPreferences(world.ctx, {
        ...{ collection: USERS, id, setId: 'default', strategy: 'replace' },
        preferences: { channel_types: { in_app_feed: { conditions: isBeta } } },
      });
    }
    const of = await world.workflow({ steps: [feedStep('x', 'in')] });
    const recipients = [{ recipient: 'ann' }, { recipient: 'dan' }];
    const { refs, runIds } = await world.accept({ ...of, recipients });
    await world.executeAll(refs);
    const messages = await rows.messagesOf(world.test.db, runIds[0] ?? '');
    expect(messages.map(({ recipient_id }) => recipient_id)).toEqual(['ann']);
    expect(await reasons(runIds[0])).toContain(
      'preferences: the recipient\'s default set: channel type in_app_feed: recipient is_audience_member "beta" was false',
    );
  });
});

describe('preferences with a tenant [preferences.per_tenant] [trigger.tenant]', () => {
  const set = (id: string, setId: string, preferences: JsonObject): Promise<unknown> =>
    setPreferences(world.ctx, { collection: USERS, id, setId, preferences, strategy: 'replace' });

  test('are those of the recipient for it, over those of the tenant [workflow.categories]', async () => {
    await identify(world.ctx, {
      collection: TENANTS,
      id: 'globex',
      properties: { settings: { preference_set: { categories: { news: false } } } },
    });
    await set('eve', 'globex', { categories: { news: true } });
    await set('fay', 'default', { categories: { news: true } });
    const of = await world.workflow({ categories: ['news'], steps: [feedStep('x', 'in')] });
    const recipients = [{ recipient: 'eve' }, { recipient: 'fay' }];
    const { refs, runIds } = await world.accept(
      { ...of, recipients, tenant: 'globex' },
      { ...of, recipients },
    );
    await world.executeAll(refs);
    const found = await Promise.all(
      runIds.map(async (runId) =>
        (await rows.messagesOf(world.test.db, runId)).map(({ recipient_id }) => recipient_id),
      ),
    );
    expect(found).toEqual([['eve'], ['eve', 'fay']]);
    expect(await reasons(runIds[0])).toContain(
      'preferences: the default set of the tenant globex: category news is off',
    );
  });

  test('ask for the commercial subscription of the default set [workflow.is_commercial] [workflow.override_preferences]', async () => {
    await set('gus', 'default', { commercial_subscribed: false });
    const steps = [feedStep('x', 'in')];
    const is_commercial = true;
    const commercial = await world.workflow({ settings: { is_commercial }, steps });
    const plain = await world.workflow({ steps });
    const override_preferences = true;
    const forced = await world.workflow({
      settings: { is_commercial, override_preferences },
      steps,
    });
    const recipients = [{ recipient: 'gus' }];
    const { refs, runIds } = await world.accept(
      { ...commercial, recipients, tenant: 'globex' },
      { ...plain, recipients },
      { ...forced, recipients },
    );
    await world.executeAll(refs);
    expect(await Promise.all(runIds.map(reached))).toEqual([[], ['in'], ['in']]);
  });

  test('and come with a link to end it, and one to all preferences [vars.commercial_unsubscribe_url] [vars.manage_preferences_url]', async () => {
    await identify(world.ctx, {
      ...{ collection: USERS, id: 'hal', properties: { email: 'hal@example.com' } },
    });
    const template = {
      subject: 'x',
      text_body: '{{ vars.commercial_unsubscribe_url }} {{ vars.manage_preferences_url }}',
    };
    const steps = [emailStep('first', { template })];
    const commercial = await world.workflow({ settings: { is_commercial: true }, steps });
    const plain = await world.workflow({ steps });
    const recipients = [{ recipient: 'hal' }];
    const { refs, runIds } = await world.accept(
      { ...commercial, recipients },
      { ...plain, recipients },
    );
    const unsubscribeUrl = ({ id }: { id: string }) => `https://b.example/unsubscribe/${id}`;
    const preferencesUrl = ({ id }: { id: string }) => `https://b.example/p/${id}`;
    const services = { ...world.services, unsubscribeUrl, preferencesUrl };
    const stream = await world.openStream();
    for (const ref of refs) {
      const order = { id: 1, slot: ref.slot, careful: false, slices: slicesOf(ref) };
      await executeRuns(services, stream, order);
    }
    const contents = await Promise.all(
      runIds.map(async (runId) => (await rows.messagesOf(world.test.db, runId))[0]?.content),
    );
    const url = 'https://b.example/unsubscribe/hal';
    const center = 'https://b.example/p/hal';
    expect(contents[0]).toMatchObject({ text_body: `${url} ${center}`, unsubscribe_url: url });
    expect(contents[1]).toMatchObject({ text_body: ` ${center}` });
    expect(contents[1]).not.toHaveProperty('unsubscribe_url');
  });

  test('see the data of the first activity after a batch [batch.batch_window] [preferences.conditions]', async () => {
    for (const id of ['first', 'second']) {
      const conditions = [{ variable: 'data.kind', operator: 'equal_to', argument: id }];
      await set(id, 'default', { channel_types: { in_app_feed: { conditions } } });
    }
    const settings = { batch_window: { unit: 'minutes', value: 1 } };
    const of = await world.workflow({
      steps: [{ ref: 'batch_1', type: 'batch', settings }, feedStep('{{ total_activities }}')],
    });
    const recipients = [{ recipient: 'first' }, { recipient: 'second' }];
    const opened = await world.accept({ ...of, recipients, data: { kind: 'first' } });
    const waiting = appendedRuns(await world.execute(opened.refs));
    world.clock.move(1_000);
    const joined = await world.accept({ ...of, recipients, data: { kind: 'second' } });
    await world.execute(joined.refs);
    await world.executeAll(waiting);
    const messages = await rows.messagesOf(world.test.db, opened.runIds[0] ?? '');
    expect(messages).toMatchObject([{ recipient_id: 'first', content: { body: '2' } }]);
    expect(await reasons(opened.runIds[0])).toContain(
      'preferences: the recipient\'s default set: channel type in_app_feed: data.kind equal_to "second" was false',
    );
  });
});

test('a run outside of a batch lists itself as the one activity, after a wait too', async () => {
  const list =
    '{% for a in activities %}[{{ a.n }} {{ a.data.n }} {{ a.recipient.id }}]{% endfor %}';
  const of = await world.workflow({
    steps: [feedStep(list, 'one'), delayStep(60), feedStep(list, 'two')],
  });
  const { refs, runIds } = await world.accept({
    ...of,
    recipients: [{ recipient: 'ian' }],
    data: { n: 7 },
  });
  await world.executeAll(refs);
  const messages = await rows.messagesOf(world.test.db, runIds[0] ?? '');
  expect(messages.map(({ content }) => content.body)).toEqual(['[7 7 ian]', '[7 7 ian]']);
});
