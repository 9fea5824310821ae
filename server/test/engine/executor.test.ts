import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { executeRuns } from '../../src/engine/executor/run-worker.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { truncateSlot } from '../../src/engine/log/maintain.ts';
import { RUN_STATUS } from '../../src/engine/status.ts';
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
import { users } from '../support/triggers.ts';

let world: EngineWorld;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(() => world.close());

const runsOf = (id = '') => rows.runsOf(world.test.db, id);
const segmentsOf = (id = '') => rows.segmentsOf(world.test.db, id);
const messagesOf = (id = '') => rows.messagesOf(world.test.db, id);
const receiptsOf = (ref: ChunkRef) => rows.receiptsOf(world.test.db, ref);

/** Cannot be rendered when n is large. */
const BREAKS = '{% for i in (1..data.n) %}x{% endfor %}';

describe('a slice', () => {
  it('makes a run, a message and its event for each recipient, and its receipt', async () => {
    const of = await world.workflow({ steps: [feedStep('Hi {{ recipient.id }}, {{ data.n }}')] });
    const { refs, runIds } = await world.accept({ ...of, recipients: users(250), data: { n: 7 } });
    const reports = await world.execute(refs);
    expect(reports).toMatchObject([{ runs: 250, messages: 250, appended: [] }]);
    const runs = await runsOf(runIds[0] ?? '');
    expect(runs).toHaveLength(250);
    expect(runs.every((run) => run.status === RUN_STATUS.completed && run.error_count === 0)).toBe(
      true,
    );
    const messages = await messagesOf(runIds[0] ?? '');
    expect(messages.map((message) => message.content.body).sort()).toEqual(
      users(250)
        .map(({ recipient }) => `Hi ${recipient}, 7`)
        .sort(),
    );
    const events = await world.test.db.query<{ message_id: string }>(
      'select message_id from message_event where message_id = any($1::uuid[])',
      [messages.map((message) => message.id)],
    );
    expect(new Set(events.map((event) => event.message_id)).size).toBe(250);
    expect(events).toHaveLength(250);
    const receipts = await receiptsOf(refs[0] as ChunkRef);
    expect(receipts.map((receipt) => receipt.slice)).toEqual(
      slicesOf(refs[0] as ChunkRef).map((order) => order.slice),
    );
    expect(receipts.reduce((sum, receipt) => sum + receipt.done, 0)).toBe(250);
    expect(receipts.every((receipt) => receipt.failed === 0)).toBe(true);
  });

  it('executed by many sessions at the same time counts once', async () => {
    const of = await world.workflow({ steps: [feedStep('Once'), delayStep(60)] });
    const { refs, runIds } = await world.accept({ ...of, recipients: users(120) });
    const streams = await Promise.all([1, 2, 3].map(() => world.openStream()));
    const reports = await Promise.all(streams.map((stream) => world.execute(refs, stream)));
    expect(reports.flat().reduce((sum, report) => sum + report.runs, 0)).toBe(120);
    expect(await runsOf(runIds[0] ?? '')).toHaveLength(120);
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(120);
    expect(appendedRuns(reports.flat()).reduce((sum, ref) => sum + ref.runCount, 0)).toBe(120);
    expect(await world.execute(refs)).toMatchObject([{ runs: 0, messages: 0 }]);
  });

  it('that is done leaves the others of its order to be done', async () => {
    const of = await world.workflow({ steps: [feedStep('Rest')] });
    const { refs, runIds } = await world.accept({ ...of, recipients: users(300) });
    const [ref] = refs;
    if (!ref) throw new Error('no chunk');
    const stream = await world.openStream();
    const order = { id: 1, slot: ref.slot, careful: false };
    await executeRuns(world.services, stream, { ...order, slices: slicesOf(ref).slice(1, 2) });
    await executeRuns(world.services, stream, { ...order, slices: slicesOf(ref) });
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(300);
  });

  it('ordered twice in one order counts once', async () => {
    const of = await world.workflow({ steps: [feedStep('Twice')] });
    const { refs, runIds } = await world.accept({ ...of, recipients: users(3) });
    const [ref] = refs;
    if (!ref) throw new Error('no chunk');
    await executeRuns(world.services, await world.openStream(), {
      id: 1,
      slot: ref.slot,
      careful: false,
      slices: [...slicesOf(ref), ...slicesOf(ref)],
    });
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(3);
  }, 5_000);

  it('of a truncated slot writes nothing, even when its chunk is still in memory', async () => {
    const of = await world.workflow({ steps: [feedStep('Late')] });
    // A slot of its own.
    world.clock.move(20_000);
    const { refs, runIds } = await world.accept({ ...of, recipients: users(5) });
    await world.execute(refs);
    const [ref] = refs;
    if (!ref) throw new Error('no chunk');
    expect(await truncateSlot(world.test.db, ref.slot)).toBe(true);
    expect(await world.execute(refs)).toMatchObject([{ runs: 0, messages: 0, appended: [] }]);
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(5);
    expect(await receiptsOf(ref)).toEqual([]);
  });

  it('gives up nothing of itself when its session is lost in the middle', async () => {
    const of = await world.workflow({ steps: [feedStep('Session')] });
    const { refs, runIds } = await world.accept({ ...of, recipients: users(50) });
    const stream = await world.openStream();
    await world.test.db.query('select pg_terminate_backend($1)', [stream.backendPid]);
    await expect(world.execute(refs, stream)).rejects.toThrow();
    expect(await runsOf(runIds[0] ?? '')).toHaveLength(0);
    await world.execute(refs);
    expect(await runsOf(runIds[0] ?? '')).toHaveLength(50);
  });
});

describe('poison', () => {
  it('that the database refuses fails its own run, visibly, and no other', async () => {
    const of = await world.workflow({ steps: [feedStep('Data')] });
    const { refs, runIds } = await world.accept(
      {
        ...of,
        recipients: users(120).map((user, i) => (i === 42 ? { ...user, data: { x: '\0' } } : user)),
      },
      { ...of, recipients: users(3, 'neighbour') },
    );
    await world.execute(refs);
    const runs = await runsOf(runIds[0] ?? '');
    expect(runs).toHaveLength(120);
    const failed = runs.filter((run) => run.error_count > 0);
    expect(failed.map((run) => run.recipient_id)).toEqual(['user-42']);
    expect(failed[0]?.status).toBe(RUN_STATUS.completed);
    expect(failed[0]?.steps[0]).toMatchObject({ outcome: 'error' });
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(119);
    expect(await messagesOf(runIds[1] ?? '')).toHaveLength(3);
    const receipts = await receiptsOf(refs[0] as ChunkRef);
    expect(receipts.reduce((sum, receipt) => sum + receipt.done, 0)).toBe(119 + 3);
    expect(receipts.reduce((sum, receipt) => sum + receipt.failed, 0)).toBe(1);
  });

  it('in what all recipients share fails them, and no other trigger of the slice', async () => {
    const of = await world.workflow({ steps: [feedStep('Shared')] });
    const { refs, runIds } = await world.accept(
      { ...of, recipients: users(4), data: { text: '\0' } },
      { ...of, recipients: users(3, 'neighbour') },
    );
    await world.execute(refs);
    expect(await messagesOf(runIds[1] ?? '')).toHaveLength(3);
    const runs = await runsOf(runIds[0] ?? '');
    expect(runs.map((run) => [run.status, run.error_count])).toEqual(
      Array(4).fill([RUN_STATUS.completed, 1]),
    );
  });

  it('in conditions that throw fails its own run, and no other', async () => {
    const of = await world.workflow({ steps: [feedStep('Thrown')] });
    const { refs, runIds } = await world.accept({ ...of, recipients: users(3) });
    const [ref] = refs;
    if (!ref) throw new Error('no chunk');
    const compiled = await world.services.workflows.get(of.versionId);
    const throwing = {
      ...compiled,
      conditions: (scope: { recipient: { id?: unknown } }): boolean => {
        if (scope.recipient.id === 'user-1') throw new Error('conditions broke');
        return true;
      },
    };
    await executeRuns(
      { ...world.services, workflows: { ...world.services.workflows, get: async () => throwing } },
      await world.openStream(),
      { id: 1, slot: ref.slot, careful: false, slices: slicesOf(ref) },
    );
    expect((await messagesOf(runIds[0] ?? '')).map((message) => message.recipient_id)).toEqual([
      'user-0',
      'user-2',
    ]);
  });

  it('of a version that does not exist fails its runs, and no others', async () => {
    const of = await world.workflow({ steps: [feedStep('Known')] });
    const { refs, runIds } = await world.accept(
      { workflowKey: 'gone', versionId: 999_999, recipients: users(2) },
      { ...of, recipients: users(2) },
    );
    await world.execute(refs);
    expect((await runsOf(runIds[0] ?? '')).map((run) => run.error_count)).toEqual([1, 1]);
    expect(await messagesOf(runIds[1] ?? '')).toHaveLength(2);
  });
});

describe('a run', () => {
  it('sees recipient, actor, tenant and the recipient’s own data, merged deeply', async () => {
    const environmentId = world.ctx.environment.id;
    await world.test.db.query(
      `insert into recipient (environment_id, collection, id, properties)
       values ($1, '$users', 'ann', '{"name":"Ann"}'), ($1, 'projects', 'p1', '{"name":"Moon"}'),
              ($1, '$tenants', 'acme', '{"name":"Acme"}')`,
      [environmentId],
    );
    const of = await world.workflow({
      steps: [
        feedStep(
          '{{ recipient.name }} {{ actor.name }} {{ tenant.name }} {{ data.a.x }}{{ data.a.y }}',
        ),
      ],
    });
    const { refs, runIds } = await world.accept({
      ...of,
      recipients: [{ recipient: 'ann', data: { a: { y: 2 } } }, { recipient: 'nobody' }],
      actor: { collection: 'projects', id: 'p1' },
      tenant: 'acme',
      data: { a: { x: 1, y: 1 } },
    });
    await world.execute(refs);
    expect((await messagesOf(runIds[0] ?? '')).map((message) => message.content.body)).toEqual([
      'Ann Moon Acme 12',
      ' Moon Acme 11',
    ]);
  });

  it('respects the preferences of its recipient, and says which one', async () => {
    const environmentId = world.ctx.environment.id;
    await world.test.db.query(
      `insert into preference_set (environment_id, collection, recipient_id, id, preferences)
       values ($1, '$users', 'quiet', 'default', '{"channel_types":{"in_app_feed":false}}')`,
      [environmentId],
    );
    const of = await world.workflow({ steps: [feedStep('Quiet')] });
    const { refs, runIds } = await world.accept({
      ...of,
      recipients: [{ recipient: 'quiet' }, { recipient: 'loud' }],
    });
    await world.execute(refs);
    const messages = await messagesOf(runIds[0] ?? '');
    expect(messages.map((message) => message.recipient_id)).toEqual(['loud']);
    const [quiet] = await runsOf(runIds[0] ?? '');
    expect(quiet?.steps).toMatchObject([
      {
        outcome: 'skipped',
        reason: "preferences: the recipient's default set: channel type in_app_feed is off",
      },
    ]);
  });

  it('respects the environment’s preferences, unless the workflow overrides them', async () => {
    const { db } = world.test;
    const set = (settings: string) =>
      db.query('update environment set settings = $2 where id = $1', [
        world.ctx.environment.id,
        settings,
      ]);
    const ordinary = await world.workflow({ steps: [feedStep('Ordinary')] });
    const overriding = await world.workflow({
      steps: [feedStep('Overriding')],
      settings: { override_preferences: true },
    });
    const { refs, runIds } = await world.accept(ordinary, overriding);
    await set('{"preferences":{"channel_types":{"in_app_feed":false}}}');
    await world.execute(refs);
    await set('{}');
    expect(await messagesOf(runIds[0] ?? '')).toHaveLength(0);
    expect(await messagesOf(runIds[1] ?? '')).toHaveLength(1);
  });

  it('skips steps, and ends at once, by conditions [workflow.conditions] [step.conditions]', async () => {
    const when = (argument: string) => ({
      conditions: { all: [{ variable: 'data.kind', operator: 'equal_to', argument }] },
    });
    const stepped = await world.workflow({
      steps: [feedStep('A', 'a', when('a')), feedStep('B', 'b', when('b'))],
    });
    const gated = await world.workflow({ steps: [feedStep('Never')], ...when('other') });
    const { refs, runIds } = await world.accept(
      { ...stepped, data: { kind: 'b' } },
      { ...gated, data: { kind: 'b' } },
    );
    await world.execute(refs);
    expect((await messagesOf(runIds[0] ?? '')).map((message) => message.step_ref)).toEqual(['b']);
    expect((await runsOf(runIds[0] ?? ''))[0]?.steps).toMatchObject([
      { step_ref: 'a', outcome: 'skipped' },
      { step_ref: 'b', outcome: 'message' },
    ]);
    const [gatedRun] = await runsOf(runIds[1] ?? '');
    expect(gatedRun).toMatchObject({ status: RUN_STATUS.completed, error_count: 0 });
    expect(gatedRun?.steps).toMatchObject([
      { outcome: 'halted', reason: 'conditions: data.kind equal_to "other" was false' },
    ]);
  });

  it('skips a step that it has no address for, says so, and goes on', async () => {
    const of = await world.workflow({ steps: [emailStep('mail'), feedStep('After', 'after')] });
    const { refs, runIds } = await world.accept({ ...of, recipients: [{ recipient: 'no-mail' }] });
    expect(await world.executeAll(refs)).toBe(1);
    const [run] = await runsOf(runIds[0] ?? '');
    expect(run?.steps).toMatchObject([
      { step_ref: 'mail', outcome: 'skipped', reason: expect.stringContaining('no-mail') },
      { step_ref: 'after', outcome: 'message' },
    ]);
  });

  it('tries a failing step three times, keeps what went before, then ends with an error', async () => {
    const of = await world.workflow({
      steps: [feedStep('Before', 'before'), feedStep(BREAKS, 'breaks'), feedStep('After', 'after')],
    });
    const { refs, runIds } = await world.accept({
      ...of,
      recipients: [{ recipient: 'broken', data: { n: 1e9 } }, { recipient: 'well' }],
    });
    expect(await world.executeAll(refs)).toBe(3);
    const [run] = await runsOf(runIds[0] ?? '');
    expect(run).toMatchObject({ status: RUN_STATUS.paused, error_count: 1 });
    expect(run?.steps).toMatchObject([
      { step_ref: 'before', outcome: 'message' },
      { step_ref: 'breaks', outcome: 'error', attempt: 1 },
    ]);
    expect(await segmentsOf(runIds[0] ?? '')).toMatchObject([
      { segment: 1, status: RUN_STATUS.paused, steps: [{ step_ref: 'breaks', attempt: 2 }] },
      {
        segment: 2,
        status: RUN_STATUS.completed,
        error_count: 1,
        steps: [{ step_ref: 'breaks', attempt: 3, reason: expect.any(String) }],
      },
    ]);
    const messages = await messagesOf(runIds[0] ?? '');
    const refsOf = (recipient: string) =>
      messages.filter((m) => m.recipient_id === recipient).map((m) => m.step_ref);
    expect(refsOf('broken')).toEqual(['before']);
    expect(refsOf('well')).toEqual(['before', 'breaks', 'after']);
  });

  it('goes on when the cause of a failure is gone', async () => {
    const of = await world.workflow({
      steps: [
        feedStep(BREAKS.replace('data.n', 'recipient.n'), 'breaks'),
        feedStep('After', 'after'),
      ],
    });
    const { db } = world.test;
    const set = (n: number) =>
      db.query(
        `insert into recipient (environment_id, collection, id, properties)
         values ($1, '$users', 'healed', $2)
         on conflict (environment_id, collection, id) do update
         set properties = excluded.properties`,
        [world.ctx.environment.id, JSON.stringify({ n })],
      );
    await set(1e9);
    const { refs, runIds } = await world.accept({ ...of, recipients: [{ recipient: 'healed' }] });
    const retry = appendedRuns(await world.execute(refs));
    expect(retry).toHaveLength(1);
    await set(1);
    await world.executeAll(retry);
    expect((await messagesOf(runIds[0] ?? '')).map((message) => message.step_ref)).toEqual([
      'breaks',
      'after',
    ]);
    expect((await segmentsOf(runIds[0] ?? '')).at(-1)).toMatchObject({
      status: RUN_STATUS.completed,
      error_count: 0,
    });
  });

  it('that is in a sandbox renders and sends nothing', async () => {
    await world.test.db.query(
      `insert into recipient (environment_id, collection, id, properties)
       values ($1, '$users', 'sand', '{"email":"s@example.org"}')`,
      [world.ctx.environment.id],
    );
    const of = await world.workflow({ steps: [emailStep('mail')] });
    const { refs, runIds } = await world.accept({
      ...of,
      recipients: [{ recipient: 'sand' }],
      settings: { sandbox_mode: true },
    });
    const reports = await world.execute(refs);
    expect(reports[0]?.appended).toEqual([]);
    expect(await messagesOf(runIds[0] ?? '')).toMatchObject([{ status: 6 }]);
  });
});
