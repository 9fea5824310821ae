import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { addMembers, removeMembers } from '../../src/broadcasts/audience-members.ts';
import { publish } from '../../src/control/publish.ts';
import { recordCancellation } from '../../src/engine/cancel.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { RUN_STATUS } from '../../src/engine/status.ts';
import { createSignals, type Signals } from '../../src/engine/waits/signals.ts';
import { updateMessageStatuses } from '../../src/feed/message-status.ts';
import { createCatalogs } from '../../src/guides/catalog.ts';
import { markGuideStep } from '../../src/guides/engagement.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { ksuidFromUuid } from '../../src/lib/ksuid.ts';
import type { Logger } from '../../src/lib/log.ts';
import { identify } from '../../src/recipients/identify.ts';
import { guideContent } from '../guides/support.ts';
import * as rows from '../support/engine-rows.ts';
import {
  appendedRuns,
  createEngineWorld,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';

let world: EngineWorld;
let signals: Signals;
let woken: ChunkRef[] = [];
beforeAll(async () => {
  world = await createEngineWorld();
  signals = createSignals({
    db: world.test.db,
    url: world.test.url,
    clock: world.clock,
    log: silentLog,
    onAppended: (refs) => woken.push(...refs),
  });
});
afterEach(async () => {
  woken = [];
  await world.test.db.query('truncate event_wait, event_signal');
});
afterAll(async () => {
  await signals.close();
  await world.close();
});

function waitStep(event: JsonObject, settings: JsonObject = {}): JsonObject {
  return { ref: 'wait_1', type: 'wait_for_event', settings: { event, ...settings } };
}

const updated = { event_type: 'recipient', event_key: 'updated' };
const texts = async (runId = ''): Promise<unknown[]> =>
  (await rows.messagesOf(world.test.db, runId)).map((message) => message.content.body);
const waiting = () => world.test.db.query('select from event_wait');
const segments = (runId = '') => rows.segmentsOf(world.test.db, runId);

const update = (id: string, properties: JsonObject = {}) =>
  identify(world.ctx, {
    collection: '$users',
    id,
    properties,
  });

/** Accepts a trigger for one recipient whose workflow waits first, and parks it. */
async function parked(step: JsonObject, recipient: string, after: JsonObject[] = [feedStep('On')]) {
  const of = await world.workflow({ steps: [step, ...after] });
  const { refs, runIds } = await world.accept({ ...of, recipients: [{ recipient }] });
  const timers = appendedRuns(await world.execute(refs));
  return { ...of, runId: runIds[0] ?? '', timers };
}

/** Hands over what was told, and executes it. */
async function wake(): Promise<ChunkRef[]> {
  await signals.work();
  const refs = woken;
  woken = [];
  await world.executeAll(refs);
  return refs;
}

describe('a wait for an event [wait_for_event.event.event_type]', () => {
  it('ends with the update of its recipient, and its timer is then for nothing', async () => {
    const { runId, timers } = await parked(waitStep(updated), 'ada');
    expect(timers).toMatchObject([{ runCount: 1, dueMs: world.clock.now() + 900_000 }]);
    await update('bob');
    expect(await wake()).toEqual([]);
    await update('ada', { plan: 'pro' });
    expect(await wake()).toHaveLength(1);
    expect(await texts(runId)).toEqual(['On']);
    await world.executeAll(timers);
    expect(await texts(runId)).toEqual(['On']);
    expect(await segments(runId)).toMatchObject([{ segment: 1, status: RUN_STATUS.completed }]);
    expect(await waiting()).toEqual([]);
  });

  it('goes on after its time without the event, and an event that comes then changes nothing [wait_for_event.expires_after]', async () => {
    const step = waitStep(updated, { expires_after: { unit: 'hours', value: 2 } });
    const { runId, timers } = await parked(step, 'bea', [
      feedStep('{% if refs.wait_1.matched %}yes{% else %}no{% endif %}'),
    ]);
    expect(timers).toMatchObject([{ dueMs: world.clock.now() + 7_200_000 }]);
    await world.executeAll(timers);
    await update('bea', { plan: 'x' });
    expect(await wake()).toEqual([]);
    expect(await texts(runId)).toEqual(['no']);
  });

  it('of two events that race with its time, exactly one wins', async () => {
    const { runId, timers } = await parked(waitStep(updated), 'cleo');
    await update('cleo', { n: 1 });
    await update('cleo', { n: 2 });
    await signals.work();
    const streams = await Promise.all([world.openStream(), world.openStream()]);
    world.clock.moveTo(world.clock.now() + 900_000);
    await Promise.all([world.execute(woken, streams[0]), world.execute(timers, streams[1])]);
    expect(await texts(runId)).toEqual(['On']);
    expect(await segments(runId)).toHaveLength(1);
    expect(await waiting()).toEqual([]);
  });

  it.each([
    ['on_match', true],
    ['on_timeout', false],
  ])(
    'halts where the step says so [wait_for_event.on_match] [wait_for_event.on_timeout]: %s',
    async (reaction, matched) => {
      const { runId, timers } = await parked(
        waitStep(updated, { [reaction]: 'halt' }),
        `dan-${reaction}`,
      );
      if (matched) {
        await update(`dan-${reaction}`);
        await wake();
      } else await world.executeAll(timers);
      expect(await texts(runId)).toEqual([]);
      expect(await segments(runId)).toMatchObject([{ status: RUN_STATUS.completed }]);
    },
  );

  it('waits on while conditions on the event are false [wait_for_event.match_conditions] [wait_for_event.event.source_type]', async () => {
    const first = await parked(feedStep('A message'), 'eve', []);
    const [message] = await world.test.db.query<{ id: string }>(
      'select id from message where workflow_run_id = $1',
      [first.runId],
    );
    const id = message?.id ?? '';
    const read = {
      event_type: 'message',
      event_key: 'read',
      source_type: 'workflow',
      source_key: first.workflowKey,
    };
    const conditions = (argument: string) => [
      {
        operator: 'and',
        conditions: [{ variable: 'event.message_id', operator: 'equal_to', argument }],
      },
    ];
    const body = [feedStep('Read {{ refs.wait_1.signal_variables.message_id }}')];
    const other = await parked(
      waitStep(read, { match_conditions: conditions('other') }),
      'eve',
      body,
    );
    const same = await parked(
      waitStep(read, { match_conditions: conditions(ksuidFromUuid(id)) }),
      'eve',
      body,
    );
    await updateMessageStatuses(world.ctx, { messageIds: [ksuidFromUuid(id)], status: 'read' });
    await wake();
    expect(await texts(same.runId)).toEqual([`Read ${ksuidFromUuid(id)}`]);
    expect(await texts(other.runId)).toEqual([]);
    expect(await segments(other.runId)).toEqual([]);
    expect(await waiting()).toHaveLength(1);
  });

  it('hears what its recipient does with a guide, once for each kind [wait_for_event.event.source_type]', async () => {
    const guides = ['tour', 'other'].map((key) => ({
      kind: 'guide' as const,
      key,
      content: guideContent(),
    }));
    await publish(world.ctx, { workflows: [], resources: guides });
    const to = (event_key: string, source_key = 'tour') =>
      waitStep({ event_type: 'message', event_key, source_type: 'guide', source_key });
    const body = [feedStep('{{ refs.wait_1.signal_variables.metadata.button }}')];
    const archived = await parked(to('archived'), 'ida', [feedStep('Dismissed')]);
    const interacted = await parked(to('interacted'), 'ida', body);
    const other = await parked(to('archived', 'other'), 'ida');
    const { services, ctx, channels } = world;
    const mark = (kind: 'interacted' | 'archived', metadata?: JsonObject) =>
      markGuideStep(ctx, {
        catalogs: createCatalogs(services.environments),
        userId: 'ida',
        tenant: null,
        guideKey: 'tour',
        channelId: channels['in-app-guide'] ?? '',
        stepRef: 'step_1',
        kind,
        metadata,
      });
    services.environments.invalidate(ctx.environment.id);
    await mark('interacted', { button: 'primary' });
    await mark('archived');
    await mark('archived');
    expect(await wake()).toHaveLength(1);
    expect(await texts(interacted.runId)).toEqual(['primary']);
    expect(await texts(archived.runId)).toEqual(['Dismissed']);
    expect(await texts(other.runId)).toEqual([]);
    const sent = world.workflow({ steps: [to('sent')] });
    await expect(sent).rejects.toMatchObject({
      fields: [{ message: expect.stringContaining('must be one of seen, interacted') }],
    });
    const nowhere = world.workflow({ steps: [to('seen', 'nowhere')] });
    await expect(nowhere).rejects.toMatchObject({
      fields: [{ message: 'the environment has no guide "nowhere"' }],
    });
  });

  it('is not pushed with groups of conditions that no “and” joins', async () => {
    const event = { event_type: 'recipient', event_key: 'updated' };
    const step = waitStep(event, { match_conditions: [{ operator: 'or', conditions: [] }] });
    await expect(world.workflow({ steps: [step] })).rejects.toMatchObject({
      fields: [{ message: 'must be "and": all conditions of all groups must hold' }],
    });
  });

  it('hears that a run of another workflow has started, and that it has ended [wait_for_event.event.event_key] [wait_for_event.event.source_key]', async () => {
    const child = await world.workflow({ steps: [feedStep('Child')] });
    const to = (event_key: string) =>
      waitStep({ event_type: 'workflow', event_key, source_key: child.workflowKey });
    const started = await parked(to('started'), 'fay');
    const completed = await parked(to('completed'), 'fay');
    const { refs } = await world.accept({ ...child, recipients: [{ recipient: 'fay' }] });
    await world.execute(refs);
    await wake();
    expect(await texts(started.runId)).toEqual(['On']);
    expect(await texts(completed.runId)).toEqual(['On']);
  });

  it('hears of its recipient in an audience [wait_for_event.event.audience_key]', async () => {
    await addMembers(world.ctx, { key: 'vip', create: true, members: [{ user: { id: 'gus' } }] });
    const to = (event_key: string) =>
      waitStep({ event_type: 'audience', event_key, audience_key: 'vip' });
    const enter = await parked(to('enter'), 'hal');
    const exit = await parked(to('exit'), 'gus');
    await addMembers(world.ctx, {
      key: 'vip',
      create: true,
      members: [{ user: { id: 'hal' } }, { user: { id: 'gus' } }],
    });
    await removeMembers(world.ctx, { key: 'vip', members: [{ user: { id: 'gus' } }] });
    await wake();
    expect(await texts(enter.runId)).toEqual(['On']);
    expect(await texts(exit.runId)).toEqual(['On']);
  });

  it('is cancelled once, whoever wakes the run first', async () => {
    const { runId, timers, workflowKey } = await parked(waitStep(updated), 'ida');
    await world.test.db.query(
      `update event_wait set trigger = jsonb_set(trigger, '{cancel}', '"key"')`,
    );
    await recordCancellation(world.test.db, world.clock.now(), {
      environmentId: world.ctx.environment.id,
      workflowKey,
      cancellationKey: 'key',
    });
    await update('ida', { x: 1 });
    await wake();
    await world.executeAll(timers);
    expect(await segments(runId)).toMatchObject([{ status: RUN_STATUS.cancelled }]);
    expect(await waiting()).toEqual([]);
  });

  it('that the database refuses to wake is logged and waits on, and those before and after it are woken', async () => {
    const names = ['jo', 'kim', 'poisoned', 'lea', 'max'];
    const runIds: string[] = [];
    for (const name of names) runIds.push((await parked(waitStep(updated), name)).runId);
    for (const name of names) await update(name, { n: 1 });
    await world.test.db.query(
      `alter table chunk add constraint healthy check (body not like '%poisoned%') not valid`,
    );
    const told: unknown[] = [];
    const log = { ...silentLog, error: (fields: unknown) => void told.push(fields) };
    const { db, url } = world.test;
    const onAppended = (refs: readonly ChunkRef[]) => woken.push(...refs);
    const own = createSignals({ db, url, clock: world.clock, log: log as Logger, onAppended });
    try {
      await own.work();
    } finally {
      await own.close();
      await world.test.db.query('alter table chunk drop constraint healthy');
    }
    await world.executeAll(woken);
    const shown = await Promise.all(runIds.map(texts));
    expect(shown).toEqual([['On'], ['On'], [], ['On'], ['On']]);
    expect(told).toMatchObject([{ step: 'wait_1', err: { code: '23514' } }]);
    expect(await world.test.db.query('select from event_signal')).toEqual([]);
    // The next event reaches it.
    await update('poisoned', { n: 2 });
    await wake();
    expect(await texts(runIds[2])).toEqual(['On']);
  });
});
