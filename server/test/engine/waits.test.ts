import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordCancellation } from '../../src/engine/cancel.ts';
import { RUN_STATUS } from '../../src/engine/status.ts';
import * as rows from '../support/engine-rows.ts';
import {
  appendedRuns,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';
import { users } from '../support/triggers.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const runsOf = (id = '') => rows.runsOf(world.test.db, id);
const segmentsOf = (id = '') => rows.segmentsOf(world.test.db, id);
const messagesOf = (id = '') => rows.messagesOf(world.test.db, id);

describe('a delay', () => {
  it('pauses the run; it resumes with the next step when it is due, with its own data', async () => {
    const of = await world.workflow({
      steps: [feedStep('First', 'first'), delayStep(90), feedStep('{{ data.word }}', 'second')],
    });
    const { refs, runIds } = await world.accept({
      ...of,
      recipients: [{ recipient: 'ada', data: { word: 'own' } }, { recipient: 'bob' }],
      data: { word: 'shared' },
    });
    const paused = appendedRuns(await world.execute(refs));
    expect(paused).toMatchObject([{ runCount: 2, dueMs: world.clock.now() + 90_000 }]);
    expect((await runsOf(runIds[0] ?? '')).map((run) => run.status)).toEqual([
      RUN_STATUS.paused,
      RUN_STATUS.paused,
    ]);
    await world.executeAll(paused);
    const messages = await messagesOf(runIds[0] ?? '');
    expect(messages.map((message) => message.content.body).sort()).toEqual([
      'First',
      'First',
      'own',
      'shared',
    ]);
    expect(await segmentsOf(runIds[0] ?? '')).toMatchObject([
      { segment: 1, status: RUN_STATUS.completed },
      { segment: 1, status: RUN_STATUS.completed },
    ]);
    expect(await runsOf(runIds[0] ?? '')).toHaveLength(2);
  });

  it('is skipped when the trigger says so', async () => {
    const of = await world.workflow({ steps: [delayStep(3, 'hours'), feedStep('Now')] });
    const { refs, runIds } = await world.accept({ ...of, settings: { skip_delay: true } });
    const reports = await world.execute(refs);
    expect(appendedRuns(reports)).toEqual([]);
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(1);
  });

  it('until a time of day is by the clocks of the environment for who has none [delay.delay_until_field_path]', async () => {
    await world.test.db.query(
      `update environment
       set settings = settings || '{"timezone": "America/Phoenix"}'
       where id = $1`,
      [world.ctx.environment.id],
    );
    const of = await world.workflow({
      steps: [{ ref: 'd', type: 'delay', settings: { delay_until_field_path: 'data.at' } }],
    });
    const { refs } = await world.accept({ ...of, data: { at: { frequency: 'daily', hours: 9 } } });
    const [paused] = appendedRuns(await world.execute(refs));
    expect(new Date(paused?.dueMs ?? 0).toISOString()).toMatch(/T16:00:00.000Z$/);
  });

  it('after another one writes a segment each', async () => {
    const of = await world.workflow({
      steps: [
        delayStep(10),
        feedStep('1', 's1'),
        delayStep(20, 'seconds', 'd2'),
        feedStep('2', 's2'),
      ],
    });
    const { refs, runIds } = await world.accept(of);
    expect(await world.executeAll(refs)).toBe(3);
    expect((await segmentsOf(runIds[0] ?? '')).map((segment) => segment.segment)).toEqual([1, 2]);
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(2);
  });
});

describe('a cancellation', () => {
  const cancel = (workflowKey: string, recipients?: string[]) =>
    recordCancellation(world.test.db, world.clock.now(), {
      environmentId: world.ctx.environment.id,
      workflowKey,
      cancellationKey: 'order-1',
      ...(recipients ? { recipients } : {}),
    });

  it('ends a paused run when it resumes', async () => {
    const of = await world.workflow({ steps: [delayStep(60), feedStep('Never')] });
    const { refs, runIds } = await world.accept({ ...of, cancellationKey: 'order-1' });
    const paused = appendedRuns(await world.execute(refs));
    world.clock.move(1_000);
    await cancel(of.workflowKey);
    await world.executeAll(paused);
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(0);
    expect(await segmentsOf(runIds[0] ?? '')).toMatchObject([
      { status: RUN_STATUS.cancelled, steps: [{ outcome: 'halted', reason: 'cancelled' }] },
    ]);
  });

  it('for some recipients ends theirs and no others', async () => {
    const of = await world.workflow({ steps: [delayStep(60), feedStep('Some')] });
    const { refs, runIds } = await world.accept({
      ...of,
      cancellationKey: 'order-1',
      recipients: users(3),
    });
    const paused = appendedRuns(await world.execute(refs));
    await cancel(of.workflowKey, ['user-1']);
    await world.executeAll(paused);
    expect((await messagesOf(runIds[0] ?? '')).map((message) => message.recipient_id)).toEqual([
      'user-0',
      'user-2',
    ]);
  });

  it('leaves a later trigger with the same key alone, and other workflows', async () => {
    const of = await world.workflow({ steps: [delayStep(60), feedStep('Later')] });
    const other = await world.workflow({ steps: [delayStep(60), feedStep('Other')] });
    const before = await world.accept({ ...other, cancellationKey: 'order-1' });
    await cancel(of.workflowKey);
    world.clock.move(1);
    const { refs, runIds } = await world.accept({ ...of, cancellationKey: 'order-1' });
    await world.executeAll([...before.refs, ...refs]);
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(1);
    expect(await messagesOf(before.runIds[0] ?? '')).toHaveLength(1);
  });
});

describe('a workflow that is switched off', () => {
  it('cancels its paused runs when they resume', async () => {
    const of = await world.workflow({ steps: [delayStep(60), feedStep('Off')] });
    const { refs, runIds } = await world.accept(of);
    const paused = appendedRuns(await world.execute(refs));
    await world.test.db.query('update workflow set active = false where key = $1', [
      of.workflowKey,
    ]);
    await world.executeAll(paused);
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(0);
    expect(await segmentsOf(runIds[0] ?? '')).toMatchObject([
      { status: RUN_STATUS.cancelled, steps: [{ reason: 'workflow_inactive' }] },
    ]);
  });
});
