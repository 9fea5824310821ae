import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordCancellation } from '../../src/engine/cancel.ts';
import type { TriggerRequest } from '../../src/engine/engine.ts';
import { createLedger } from '../../src/engine/ledger/ledger.ts';
import { type ChunkRef, FAN_OUT, RUNS } from '../../src/engine/log/chunk.ts';
import { forgetFanOuts } from '../../src/engine/log/maintain.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { pageRequest } from '../../src/recipients/page.ts';
import { subscribe } from '../../src/recipients/subscriptions.ts';
import { listRuns } from '../../src/runs/list-runs.ts';
import {
  appendedRuns,
  createEngineWorld,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

let world: EngineWorld;
let of: { workflowKey: string; versionId: number };
beforeAll(async () => {
  world = await createEngineWorld();
  of = await world.workflow({ steps: [feedStep('{{ recipient.subscription.role }}')] });
});
afterAll(() => world.close());

const project = (id: string) => ({ collection: 'projects', id });

let objects = 0;
/** An object of its own with these subscribers. */
async function topic(recipients: unknown[], properties?: JsonObject, name = ''): Promise<string> {
  objects += 1;
  const id = `${name}${objects}`;
  if (recipients.length === 0) return id;
  await subscribe(world.ctx, { object: project(id), recipients, properties });
  return id;
}

/** Users `from` to before `to` subscribe to the object, without being identified. */
async function crowd(id: string, from: number, to: number): Promise<void> {
  await world.test.db.query(
    `insert into subscription (environment_id, object_collection, object_id, recipient_collection, recipient_id)
     select $1, 'projects', $2, '$users', 'crowd-' || n
     from generate_series($3::int, $4::int - 1) as n`,
    [world.ctx.environment.id, id, from, to],
  );
}

const accept = (ids: string[], more: Partial<TriggerRequest> = {}) =>
  world.accept({ ...of, recipients: ids.map((id) => ({ recipient: project(id) })), ...more });

const fanOutsOf = (refs: readonly ChunkRef[]) => refs.filter(({ kind }) => kind === FAN_OUT);

/** Executes chunks and what comes of them until nothing is left; returns all that came. */
async function drain(refs: readonly ChunkRef[]): Promise<ChunkRef[]> {
  const all: ChunkRef[] = [];
  for (let next = [...refs]; next.length > 0; ) {
    const reports = await world.execute(next);
    next = reports.flatMap(({ appended }) => appended);
    all.push(...next);
  }
  return all;
}

async function reached(runId: string | undefined): Promise<string[]> {
  const rows = await world.test.db.query<{ name: string }>(
    `select collection || '/' || recipient_id as name
     from recipient_run
     where workflow_run_id = $1
     order by 1`,
    [runId],
  );
  return rows.map(({ name }) => name.replace('$users/', ''));
}

async function bodies(runId: string | undefined): Promise<Record<string, string>> {
  const rows = await world.test.db.query<{ id: string; body: string }>(
    `select recipient_id as id, content ->> 'body' as body
     from message
     where workflow_run_id = $1`,
    [runId],
  );
  return Object.fromEntries(rows.map(({ id, body }) => [id, body]));
}

async function rememberedOf(runId: string | undefined): Promise<number> {
  const [row] = await world.test.db.query<{ n: number }>(
    'select count(*)::int as n from fan_out_seen where workflow_run_id = $1',
    [runId],
  );
  return row?.n ?? 0;
}

describe('a trigger for an object', () => {
  test('is for the object and each of its subscribers [recipients.object]', async () => {
    const id = await topic(['ada', 'bob']);
    const { refs, runIds } = await accept([id]);
    await drain(refs);
    expect(await reached(runIds[0])).toEqual(['ada', 'bob', `projects/${id}`]);
  });

  test('whom nobody subscribes to is for the object alone, and costs no chunk', async () => {
    const { refs, runIds } = await accept([await topic([])]);
    expect(await drain(refs)).toEqual([]);
    expect(await reached(runIds[0])).toHaveLength(1);
  });

  test('shows templates the subscription and its object [recipients.subscription]', async () => {
    const shown = await world.workflow({
      steps: [
        feedStep('{{ recipient.subscription.role }} of {{ recipient.subscription.object.name }}'),
      ],
    });
    const id = await topic([{ id: 'ada', name: 'Ada' }], { role: 'owner' });
    await world.test.db.query(
      `update recipient set properties = '{"name":"Apollo"}' where collection = 'projects' and id = $1`,
      [id],
    );
    const { refs, runIds } = await accept([id], shown);
    await drain(refs);
    expect(await bodies(runIds[0])).toEqual({ ada: 'owner of Apollo', [id]: ' of ' });
  });

  test('shows conditions the subscription', async () => {
    const only = await world.workflow({
      steps: [
        feedStep('Hi', 'in_app_feed_1', {
          conditions: {
            all: [
              {
                variable: 'recipient.subscription.role',
                operator: 'equal_to',
                argument: 'owner',
              },
            ],
          },
        }),
      ],
    });
    const id = await topic(['ada'], { role: 'owner' });
    await subscribe(world.ctx, { object: project(id), recipients: ['bob'] });
    const { refs, runIds } = await accept([id], only);
    await drain(refs);
    expect(Object.keys(await bodies(runIds[0]))).toEqual(['ada']);
  });

  test('keeps the subscription while the run waits', async () => {
    const later = await world.workflow({
      steps: [
        { ref: 'd', type: 'delay', settings: { delay_for: { unit: 'seconds', value: 5 } } },
        feedStep('{{ recipient.subscription.role }}'),
      ],
    });
    const id = await topic(['ada'], { role: 'owner' });
    const { refs, runIds } = await accept([id], later);
    const due = (await drain(refs)).filter(({ dueMs }) => dueMs !== undefined);
    expect(due.length).toBeGreaterThan(0);
    expect((await bodies(runIds[0])).ada).toBe('owner');
  });

  test('gives its own data to nobody else [trigger.recipients.$trigger_data]', async () => {
    const own = await world.workflow({ steps: [feedStep('{{ data.word }}')] });
    const id = await topic(['ada']);
    const { refs, runIds } = await accept([], {
      ...own,
      recipients: [{ recipient: project(id), data: { word: 'own' } }],
      data: { word: 'shared' },
    });
    await drain(refs);
    expect(await bodies(runIds[0])).toEqual({ ada: 'shared', [id]: 'own' });
  });

  test('reaches a recipient of its own once, and the actor only as one of those [trigger.actor]', async () => {
    const id = await topic(['ada', 'bob', 'eve', 'mallory']);
    const { refs, runIds } = await accept([], {
      recipients: [{ recipient: project(id) }, { recipient: 'bob' }, { recipient: 'eve' }],
      actor: 'mallory',
    });
    await drain(refs);
    expect(await reached(runIds[0])).toEqual(['ada', 'bob', 'eve', `projects/${id}`]);
    const other = await accept([], {
      recipients: [{ recipient: project(id) }, { recipient: 'eve' }],
      actor: 'eve',
    });
    await drain(other.refs);
    expect(await reached(other.runIds[0])).toContain('eve');
  });

  test('leaves subscribers out when it says so', async () => {
    const { refs, runIds } = await accept([await topic(['ada'])], { fanOut: false });
    await drain(refs);
    expect(await reached(runIds[0])).toHaveLength(1);
  });
});

describe('objects that subscribe to objects', () => {
  test('pass it on to their own subscribers, and no further', async () => {
    const deepest = await topic(['never'], undefined, 'deepest');
    const child = await topic(['ada', 'bob', project(deepest)], { role: 'child' }, 'child');
    const parent = await topic(['bob', project(child)], { role: 'parent' }, 'parent');
    const { refs, runIds } = await accept([parent]);
    await drain(refs);
    const names = [child, deepest, parent].map((id) => `projects/${id}`);
    expect(await reached(runIds[0])).toEqual(['ada', 'bob', ...names.sort()]);
    expect(await bodies(runIds[0])).toMatchObject({ ada: 'child', bob: 'parent' });
  });

  test('in a circle reach everybody once', async () => {
    const first = await topic(['ada']);
    const second = await topic(['bob', project(first)]);
    await subscribe(world.ctx, { object: project(first), recipients: [project(second)] });
    const { refs, runIds } = await accept([first]);
    await drain(refs);
    expect((await reached(runIds[0])).sort()).toEqual(
      ['ada', 'bob', `projects/${first}`, `projects/${second}`].sort(),
    );
  });

  test('pass it on when somebody met them deeper before', async () => {
    // As a subscriber of `deep` it would be at depth 2 and pass nothing on, as one of `second` it does.
    const both = await topic(['ada'], undefined, 'both');
    const deep = await topic([project(both)], undefined, 'deep');
    const first = await topic([project(deep)], undefined, 'a-first');
    const second = await topic([project(both)], undefined, 'b-second');
    const { refs, runIds } = await accept([first, second]);
    await drain(refs);
    expect(await reached(runIds[0])).toContain('ada');
  });
});

describe('many subscribers', () => {
  test('of one object are read in pages of 2,000, each once, and nobody is remembered', async () => {
    const id = await topic([]);
    await crowd(id, 0, 5_000);
    const { refs, runIds } = await accept([id]);
    const chunks = await drain(refs);
    expect(Math.max(...chunks.map(({ runCount }) => runCount))).toBeLessThanOrEqual(2_000);
    expect(fanOutsOf(chunks)).toHaveLength(3);
    expect(await reached(runIds[0])).toHaveLength(5_001);
    expect(new Set(await reached(runIds[0])).size).toBe(5_001);
    expect(await rememberedOf(runIds[0])).toBe(0);
  });

  test('of several objects are reached once, whoever subscribes or leaves meanwhile', async () => {
    const ids = [await topic([]), await topic([]), await topic([])];
    for (const [i, id] of ids.entries()) await crowd(id, i * 500, i * 500 + 1_500);
    const { refs, runIds } = await accept(ids);
    let next = [...refs];
    for (let page = 0; next.length > 0; page++) {
      const reports = await world.execute(next);
      next = reports.flatMap(({ appended }) => appended);
      // Everybody moves to the next object, and some newcomers come.
      await world.test.db.query(
        `insert into subscription (environment_id, object_collection, object_id, recipient_collection, recipient_id)
         select environment_id, object_collection, $2, recipient_collection, recipient_id
         from subscription
         where object_id = $1
         on conflict do nothing`,
        [ids[page % 3], ids[(page + 1) % 3]],
      );
    }
    const names = await reached(runIds[0]);
    expect(names).toHaveLength(2_503);
    expect(new Set(names).size).toBe(2_503);
  });

  test('are forgotten when the fan-out is over', async () => {
    const ids = [await topic([]), await topic([])];
    for (const id of ids) await crowd(id, 0, 1_200);
    const { refs, runIds } = await accept(ids);
    const [report] = await world.execute(refs);
    const first = fanOutsOf(report?.appended ?? []);
    const [page] = await world.execute(first);
    await forgetFanOuts(world.test.db, world.clock.now());
    expect(await rememberedOf(runIds[0])).toBe(1_000);
    await drain(page?.appended ?? []);
    await forgetFanOuts(world.test.db, world.clock.now());
    expect(await rememberedOf(runIds[0])).toBe(0);
    expect(await reached(runIds[0])).toHaveLength(1_202);
  });

  test('of many triggers share pages', async () => {
    const ids = await Promise.all(Array.from({ length: 40 }, (_, i) => topic([`u${i}`, 'all'])));
    const { refs, runIds } = await world.accept(
      ...ids.map((id) => ({ ...of, recipients: [{ recipient: project(id) }] })),
    );
    const chunks = await drain(refs);
    expect(fanOutsOf(chunks)).toHaveLength(1);
    expect(chunks.filter(({ kind }) => kind === RUNS)).toHaveLength(1);
    for (const runId of runIds) expect(await reached(runId)).toHaveLength(3);
  });

  test('are found by their trigger, however late they got their runs', async () => {
    const id = await topic(['ada', 'bob']);
    const { refs, runIds } = await accept([id]);
    const [report] = await world.execute(refs);
    world.clock.move(3_600_000);
    await drain(report?.appended ?? []);
    const { items } = await listRuns(world.ctx, {
      filter: { workflowRunId: runIds[0] },
      page: pageRequest({}),
    });
    expect(items).toHaveLength(3);
  });
});

describe('a fan-out that has begun', () => {
  /** A trigger for 5,000 whose first page is done; what is left of it. */
  async function halfWay(more: Partial<TriggerRequest> = {}) {
    const id = await topic([]);
    await crowd(id, 0, 5_000);
    const { refs, runIds } = await accept([id], more);
    const [begun] = await world.execute(refs);
    const [page] = await world.execute(fanOutsOf(begun?.appended ?? []));
    return { id, runId: runIds[0] ?? '', appended: page?.appended ?? [] };
  }

  test('ends with a cancellation for everybody', async () => {
    const { runId, appended } = await halfWay({ cancellationKey: 'all' });
    const key = { workflowKey: of.workflowKey, cancellationKey: 'all' };
    await recordCancellation(world.test.db, world.clock.now(), {
      ...{ environmentId: world.ctx.environment.id, ...key },
    });
    await drain(appended);
    expect(await reached(runId)).toHaveLength(2_001);
    const [row] = await world.test.db.query<{ ended: boolean }>(
      'select ended_at is not null as ended from fan_out where workflow_run_id = $1',
      [runId],
    );
    expect(row?.ended).toBe(true);
  });

  test('leaves out whom a cancellation names [cancel.recipients]', async () => {
    const { runId, appended } = await halfWay({ cancellationKey: 'one' });
    await recordCancellation(world.test.db, world.clock.now(), {
      environmentId: world.ctx.environment.id,
      workflowKey: of.workflowKey,
      cancellationKey: 'one',
      recipients: ['crowd-999', 'nobody'],
    });
    await drain(appended);
    const names = await reached(runId);
    expect(names).toHaveLength(5_000);
    expect(names).not.toContain('crowd-999');
  });

  test('ends when its workflow is switched off', async () => {
    const own = await world.workflow({ steps: [feedStep('Hi')] });
    const { runId, appended } = await halfWay(own);
    await world.test.db.query('update workflow set active = false where key = $1', [
      own.workflowKey,
    ]);
    await drain(appended);
    expect(await reached(runId)).toHaveLength(2_001);
  });

  test('counts a page once, though two executors have it', async () => {
    const { runId, appended } = await halfWay();
    const other = await world.openStream();
    const pages = fanOutsOf(appended);
    const both = await Promise.all([world.execute(pages), world.execute(pages, other)]);
    const again = await world.execute(pages);
    const counts = [...both, again].map((reports) => appendedRuns(reports).length);
    expect(counts.sort()).toEqual([0, 0, 1]);
    await drain([
      ...appended.filter(({ kind }) => kind === RUNS),
      ...both.flat().flatMap((r) => r.appended),
    ]);
    expect(await reached(runId)).toHaveLength(5_001);
  });

  test('keeps the ledger balanced at every page', async () => {
    const ledger = createLedger({ db: world.test.db, clock: world.clock, log: silentLog });
    await ledger.check();
    const { appended } = await halfWay();
    for (let next = [...appended]; next.length > 0; ) {
      expect((await ledger.check()).gapRuns).toBe(0);
      world.clock.move(1_000);
      next = (await world.execute(next)).flatMap((report) => report.appended);
    }
    const check = await waitFor('the count', async () => {
      const counted = await ledger.check();
      return counted.open.every(({ pending }) => pending === 0) ? counted : undefined;
    });
    expect(check.gapRuns).toBe(0);
  });
});
