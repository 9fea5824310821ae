import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordCancellation } from '../../src/engine/cancel.ts';
import type { TriggerRequest } from '../../src/engine/engine.ts';
import { RUN_STATUS } from '../../src/engine/status.ts';
import { sweepWindows } from '../../src/engine/windows/sweep.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import * as rows from '../support/engine-rows.ts';
import {
  appendedRuns,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const runsOf = (id = '') => rows.runsOf(world.test.db, id);
const segmentsOf = (id = '') => rows.segmentsOf(world.test.db, id);

const LIST =
  '{{ total_activities }} by {{ total_actors }}: {% for a in activities %}[{{ a.n }}]{% endfor %}';

function batchStep(settings: JsonObject = {}, ref = 'batch_1'): JsonObject {
  const batch_window = { unit: 'minutes', value: 10 };
  return { ref, type: 'batch', settings: { batch_window, ...settings } };
}

const batched = (settings: JsonObject = {}, ...after: JsonObject[]) =>
  world.workflow({ steps: [batchStep(settings), ...after, feedStep(LIST)] });

type Of = { readonly workflowKey: string; readonly versionId: number };

/** Triggers for one recipient, executed at once; returns the chunks of runs that wait. */
async function trigger(of: Of, recipient: string, ...requests: Partial<TriggerRequest>[]) {
  const { refs, runIds } = await world.accept(
    ...requests.map((request) => ({ ...of, recipients: [{ recipient }], ...request })),
  );
  return { waiting: appendedRuns(await world.execute(refs)), runIds };
}

const n = (value: number, more: JsonObject = {}): Partial<TriggerRequest> => ({
  data: { n: value, ...more },
});

async function bodies(of: Of): Promise<string[]> {
  const found = await world.test.db.query<{ content: { body: string } }>(
    'select content from message where workflow_key = $1 order by id',
    [of.workflowKey],
  );
  return found.map(({ content }) => content.body);
}

const windows = (): Promise<JsonObject[]> => world.test.db.query('select * from batch_window');

describe('a batch', () => {
  test('collects what happens while its window is open, and goes on once with all of it [batch.batch_window]', async () => {
    const of = await batched();
    const first = await trigger(of, 'ada', { ...n(1), actor: 'bob' });
    expect(first.waiting).toMatchObject([{ runCount: 1, dueMs: world.clock.now() + 600_000 }]);
    world.clock.move(1_000);
    const second = await trigger(of, 'ada', { ...n(2), actor: 'cem' }, { ...n(3), actor: 'bob' });
    expect(second.waiting).toEqual([]);
    await world.executeAll(first.waiting);
    expect(await bodies(of)).toEqual(['3 by 2: [1][2][3]']);
    expect(await windows()).toEqual([]);
  });

  test('ends the runs that join; only the opener goes on', async () => {
    const of = await batched();
    const { waiting, runIds } = await trigger(of, 'ada', n(1), n(2));
    expect(await runsOf(runIds[1])).toMatchObject([
      { status: RUN_STATUS.completed, steps: [{ outcome: 'halted', reason: 'joined the batch' }] },
    ]);
    expect(await runsOf(runIds[0])).toMatchObject([{ status: RUN_STATUS.paused }]);
    await world.executeAll(waiting);
    expect(await segmentsOf(runIds[0])).toMatchObject([{ status: RUN_STATUS.completed }]);
  });

  test('is one for each recipient and batch key [batch.batch_key]', async () => {
    for (const batch_key of ['project', 'data.project', '{{ data.project }}']) {
      const of = await batched({ batch_key });
      const a = await trigger(of, 'ada', n(1, { project: 'x' }), n(2, { project: 'y' }));
      const b = await trigger(of, 'ada', n(3, { project: 'x' }));
      const c = await trigger(of, 'bob', n(4, { project: 'x' }));
      await world.executeAll([...a.waiting, ...b.waiting, ...c.waiting]);
      expect((await bodies(of)).sort()).toEqual(['1 by 0: [2]', '1 by 0: [4]', '2 by 0: [1][3]']);
    }
  });

  test('after its end opens another one, also while its own run is late', async () => {
    const of = await batched();
    const first = await trigger(of, 'ada', n(1));
    world.clock.move(600_000);
    const second = await trigger(of, 'ada', n(2));
    expect(second.waiting).toHaveLength(1);
    const third = await trigger(of, 'ada', n(3));
    expect(third.waiting).toEqual([]);
    await world.executeAll(first.waiting);
    await world.executeAll(second.waiting);
    expect(await bodies(of)).toEqual(['1 by 0: [1]', '2 by 0: [2][3]']);
  });

  test('gives the first ten activities, or the last, in order of time [batch.batch_order]', async () => {
    const asc = await batched();
    const desc = await batched({ batch_order: 'desc' });
    const many = Array.from({ length: 12 }, (_, i) => n(i + 1));
    for (const of of [asc, desc]) {
      const { waiting } = await trigger(of, 'ada', ...many);
      await world.executeAll(waiting);
    }
    expect(await bodies(asc)).toEqual(['12 by 0: [1][2][3][4][5][6][7][8][9][10]']);
    expect(await bodies(desc)).toEqual(['12 by 0: [3][4][5][6][7][8][9][10][11][12]']);
  });

  test('gives as many as the step says [batch.batch_items_render_limit]', async () => {
    const of = await batched({ batch_items_render_limit: 2 });
    const { waiting } = await trigger(of, 'ada', n(1), n(2), n(3));
    await world.executeAll(waiting);
    expect(await bodies(of)).toEqual(['3 by 0: [1][2]']);
  });

  test('leaves scalars of the activities as data, the last of each, and the attachments of the opener', async () => {
    const text =
      '{{ data.a }} {{ data.b }} {{ data.nested.x }}|{{ data.long | size }} {{ data.attachments[0].name }}';
    const of = await world.workflow({ steps: [batchStep(), feedStep(text)] });
    const { waiting } = await trigger(
      of,
      'ada',
      { data: { a: 1, b: 1, nested: { x: 1 }, attachments: [{ name: 'first' }] } },
      { data: { b: 2, long: 'x'.repeat(300), attachments: [{ name: 'second' }] } },
    );
    await world.executeAll(waiting);
    expect(await bodies(of)).toEqual(['1 2 |256 first']);
  });

  test('is kept through later waits', async () => {
    const of = await batched({}, delayStep(5));
    const { waiting } = await trigger(of, 'ada', n(1), n(2));
    expect(await world.executeAll(waiting)).toBe(2);
    expect(await bodies(of)).toEqual(['2 by 0: [1][2]']);
  });

  test('waits although the trigger skips delays', async () => {
    const of = await batched();
    const { waiting } = await trigger(of, 'ada', { ...n(1), settings: { skip_delay: true } });
    expect(waiting).toHaveLength(1);
  });
});

describe('the window of a batch', () => {
  test('ends when data says so, by time, duration or rule; nobody moves it later [batch.batch_until_field_path]', async () => {
    const until = new Date(world.clock.now() + 90_000).toISOString();
    const ends = [until, { unit: 'seconds', value: 90 }];
    for (const end of ends) {
      const of = await batched({ batch_window: null, batch_until_field_path: 'data.end' });
      const { waiting } = await trigger(
        of,
        'ada',
        n(1, { end }),
        n(2, { end: { unit: 'days', value: 3 } }),
      );
      expect(waiting).toMatchObject([{ dueMs: world.clock.now() + 90_000 }]);
    }
    const of = await batched({ batch_window: null, batch_until_field_path: 'data.end' });
    const { waiting } = await trigger(
      of,
      'ada',
      n(1, { end: { frequency: 'hourly', minutes: 30 } }),
    );
    expect(new Date(waiting[0]?.dueMs ?? 0).getUTCMinutes()).toBe(30);
  });

  test('is no window without a usable end: the step is skipped and says why', async () => {
    const of = await batched({ batch_window: null, batch_until_field_path: 'data.end' });
    const { waiting, runIds } = await trigger(of, 'ada', n(1));
    expect(waiting).toEqual([]);
    expect((await runsOf(runIds[0]))[0]?.steps[0]).toMatchObject({
      outcome: 'skipped',
      reason: '"data.end": there is no value',
    });
    expect(await bodies(of)).toHaveLength(1);
  });

  test('slides with each activity, up to its limit [batch.batch_window_type] [batch.batch_window_extension_limit]', async () => {
    const of = await batched({
      batch_window: { unit: 'minutes', value: 1 },
      batch_window_type: 'sliding',
      batch_window_extension_limit: { unit: 'seconds', value: 100 },
    });
    const openedMs = world.clock.now();
    const { waiting } = await trigger(of, 'ada', n(1));
    world.clock.moveTo(openedMs + 50_000);
    await trigger(of, 'ada', n(2));
    world.clock.moveTo(openedMs + 60_000);
    const again = appendedRuns(await world.execute(waiting));
    expect(again).toMatchObject([{ dueMs: openedMs + 100_000 }]);
    world.clock.moveTo(openedMs + 99_000);
    await trigger(of, 'ada', n(3));
    await world.executeAll(again);
    expect(world.clock.now()).toBe(openedMs + 100_000);
    expect(await bodies(of)).toEqual(['3 by 0: [1][2][3]']);
  });

  test('of which the limit is shorter is cut by the next activity', async () => {
    const of = await batched({
      batch_window: { unit: 'hours', value: 24 },
      batch_window_type: 'sliding',
      batch_window_extension_limit: { unit: 'hours', value: 12 },
    });
    const openedMs = world.clock.now();
    const { waiting } = await trigger(of, 'ada', n(1));
    world.clock.move(3_600_000);
    const woken = await trigger(of, 'ada', n(2));
    expect(woken.waiting).toMatchObject([{ dueMs: openedMs + 12 * 3_600_000 }]);
    await world.executeAll([...woken.waiting, ...waiting]);
    expect(await bodies(of)).toEqual(['2 by 0: [1][2]']);
  });

  test('closes when it is full, and the timer finds nothing to do [batch.batch_items_max_limit]', async () => {
    const of = await batched({ batch_items_max_limit: 3 });
    const first = await trigger(of, 'ada', n(1), n(2));
    const second = await trigger(of, 'ada', n(3), n(4));
    expect(second.waiting).toHaveLength(2);
    const woken = second.waiting.filter((ref) => ref.dueMs === world.clock.now());
    await world.execute(woken);
    expect(await bodies(of)).toEqual(['3 by 0: [1][2][3]']);
    await world.executeAll([...first.waiting, ...second.waiting]);
    expect((await bodies(of)).sort()).toEqual(['1 by 0: [4]', '3 by 0: [1][2][3]']);
    expect(await segmentsOf(first.runIds[0])).toHaveLength(1);
    expect(await world.test.db.query('select from batch_carrier')).toEqual([]);
  });

  test('that fills several times within one slice makes as many batches', async () => {
    const of = await batched({ batch_items_max_limit: 2 });
    const { waiting } = await trigger(of, 'ada', ...[1, 2, 3, 4, 5].map((i) => n(i)));
    await world.executeAll(waiting);
    expect((await bodies(of)).sort()).toEqual(['1 by 0: [5]', '2 by 0: [1][2]', '2 by 0: [3][4]']);
  });

  test('lets its first activity go on at once, and nobody who comes alone waits [batch.batch_execution_mode]', async () => {
    const of = await batched({ batch_execution_mode: 'flush_leading' });
    const first = await trigger(of, 'ada', n(1));
    expect(first.waiting).toEqual([]);
    expect(await bodies(of)).toEqual(['1 by 0: [1]']);
    world.clock.move(1_000);
    const openedMs = world.clock.now() - 1_000;
    const second = await trigger(of, 'ada', n(2), n(3));
    expect(second.waiting).toMatchObject([{ runCount: 1, dueMs: openedMs + 600_000 }]);
    await world.executeAll(second.waiting);
    expect(await bodies(of)).toEqual(['1 by 0: [1]', '2 by 0: [2][3]']);
  });

  test('is asked again by a run that woke too early: a clock that went back loses nothing', async () => {
    const of = await batched();
    const { waiting } = await trigger(of, 'ada', n(1));
    const closesMs = waiting[0]?.dueMs ?? 0;
    world.clock.moveTo(closesMs - 5_000);
    const again = appendedRuns(await world.execute(waiting));
    expect(again).toMatchObject([{ dueMs: closesMs }]);
    await trigger(of, 'ada', n(2));
    await world.executeAll(again);
    expect(await bodies(of)).toEqual(['2 by 0: [1][2]']);
  });
});

describe('a workflow that changes while a batch is open', () => {
  test('is followed where the step says so: one window for both versions, the newest goes on [batch.workflow_version_mode]', async () => {
    const settings = { workflow_version_mode: 'latest' };
    const of = await batched(settings);
    const { waiting } = await trigger(of, 'ada', n(1));
    const versionId = await world.publish(of.workflowKey, {
      steps: [
        feedStep('Before', 'before'),
        batchStep(settings),
        delayStep(5),
        feedStep(`New: ${LIST}`),
      ],
    });
    const newer = await trigger({ ...of, versionId }, 'ada', n(2));
    expect(newer.waiting).toEqual([]);
    expect(await world.executeAll(waiting)).toBe(2);
    expect(await bodies(of)).toEqual(['Before', 'New: 2 by 0: [1][2]']);
  });

  test('is not followed where its batch is gone', async () => {
    const of = await batched({ workflow_version_mode: 'latest' });
    const { waiting } = await trigger(of, 'ada', n(1));
    await world.publish(of.workflowKey, { steps: [feedStep('Without')] });
    await world.executeAll(waiting);
    expect(await bodies(of)).toEqual(['1 by 0: [1]']);
  });

  test('keeps its versions apart otherwise', async () => {
    const of = await batched();
    const { waiting } = await trigger(of, 'ada', n(1));
    const versionId = await world.publish(of.workflowKey, {
      steps: [batchStep(), feedStep(`New: ${LIST}`)],
    });
    const newer = await trigger({ ...of, versionId }, 'ada', n(2));
    await world.executeAll([...waiting, ...newer.waiting]);
    expect((await bodies(of)).sort()).toEqual(['1 by 0: [1]', 'New: 1 by 0: [2]']);
  });
});

describe('a cancellation', () => {
  const cancel = (workflowKey: string, cancellationKey: string) =>
    recordCancellation(world.test.db, world.clock.now(), {
      environmentId: world.ctx.environment.id,
      workflowKey,
      cancellationKey,
    });

  test('takes an activity out of an open batch, the opener included, and closes nothing', async () => {
    const of = await batched({}, delayStep(5));
    const one = await trigger(of, 'ada', { ...n(1), cancellationKey: 'a' });
    await trigger(of, 'ada', { ...n(2), cancellationKey: 'b' }, n(3));
    world.clock.move(1_000);
    await cancel(of.workflowKey, 'a');
    await cancel(of.workflowKey, 'b');
    world.clock.move(1);
    await trigger(of, 'ada', { ...n(4), cancellationKey: 'a' });
    await world.executeAll(one.waiting);
    expect(await bodies(of)).toEqual(['2 by 0: [3][4]']);
  });

  test('of everything in a batch ends its run without messages', async () => {
    const of = await batched();
    const { waiting, runIds } = await trigger(of, 'ada', { ...n(1), cancellationKey: 'a' });
    await cancel(of.workflowKey, 'a');
    await world.executeAll(waiting);
    expect(await bodies(of)).toEqual([]);
    expect((await segmentsOf(runIds[0]))[0]?.steps).toMatchObject([
      { outcome: 'halted', reason: 'every activity of the batch was cancelled' },
    ]);
  });

  test('after the end of the window concerns the opener alone', async () => {
    const of = await batched({}, delayStep(5));
    const joined = await trigger(of, 'ada', n(1), { ...n(2), cancellationKey: 'b' });
    world.clock.moveTo(joined.waiting[0]?.dueMs ?? 0);
    const later = appendedRuns(await world.execute(joined.waiting));
    world.clock.move(1_000);
    await cancel(of.workflowKey, 'b');
    await world.executeAll(later);
    expect(await bodies(of)).toEqual(['2 by 0: [1][2]']);
    const opened = await trigger(of, 'bob', { ...n(3), cancellationKey: 'c' });
    world.clock.moveTo(opened.waiting[0]?.dueMs ?? 0);
    const last = appendedRuns(await world.execute(opened.waiting));
    world.clock.move(1_000);
    await cancel(of.workflowKey, 'c');
    await world.executeAll(last);
    expect(await bodies(of)).toHaveLength(1);
  });
});

test('a workflow that is switched off ends its batch, and leaves no window open', async () => {
  const of = await batched({ batch_items_max_limit: 2 });
  const { waiting, runIds } = await trigger(of, 'ada', n(1));
  const filled = await trigger(of, 'ada', n(2));
  await world.test.db.query('update workflow set active = false where key = $1', [of.workflowKey]);
  await world.executeAll([...filled.waiting, ...waiting]);
  expect(await bodies(of)).toEqual([]);
  expect(await segmentsOf(runIds[0])).toMatchObject([{ status: RUN_STATUS.cancelled }]);
  expect(await world.test.db.query('select from batch_carrier')).toEqual([]);
});

test('windows that are over for a day are swept, and what is in them is delivered all the same', async () => {
  const of = await batched();
  const first = await trigger(of, 'ada', n(1), n(2));
  const alone = await batched({ batch_execution_mode: 'flush_leading' });
  await trigger(alone, 'ada', n(1));
  world.clock.move(86_400_000);
  await sweepWindows(world.test.db, world.clock.now());
  expect(await windows()).toHaveLength(2);
  world.clock.move(600_001);
  const open = await trigger(of, 'bob', n(3));
  await sweepWindows(world.test.db, world.clock.now());
  expect(await windows()).toHaveLength(1);
  await world.executeAll([...first.waiting, ...open.waiting]);
  expect(await bodies(of)).toEqual(['2 by 0: [1][2]', '1 by 0: [3]']);
});
