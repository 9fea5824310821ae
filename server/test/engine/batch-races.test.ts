import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSession, type Session } from '../../src/db/database.ts';
import type { Asked, Asker } from '../../src/engine/executor/evaluate-run.ts';
import { type ChunkRef, laneOf, NORMAL } from '../../src/engine/log/chunk.ts';
import { answerBatches } from '../../src/engine/windows/answer-batches.ts';
import type { BatchQuestion } from '../../src/workflows/step.ts';
import {
  appendedRuns,
  createEngineWorld,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { users } from '../support/triggers.ts';
import { waitFor } from '../support/wait.ts';

let world: EngineWorld;
let other: Session;
beforeAll(async () => {
  world = await createEngineWorld();
  other = await openSession({ url: world.test.url, applicationName: 'other', log: silentLog });
});
afterAll(async () => {
  await other.close();
  await world.close();
});

const MINUTES = { unit: 'minutes', value: 10 };
const LIST = '{{ total_activities }}:{% for a in activities %}[{{ a.n }}]{% endfor %}';

type Of = { readonly workflowKey: string; readonly versionId: number };

const batched = (settings = {}): Promise<Of> => {
  const step = { ref: 'b', type: 'batch', settings: { batch_window: MINUTES, ...settings } };
  return world.workflow({ steps: [step, feedStep(LIST)] });
};

async function accept(of: Of, n: number, recipients = users(1)): Promise<readonly ChunkRef[]> {
  const { refs } = await world.accept({ ...of, recipients, data: { n } });
  return refs;
}

async function bodies(of: Of): Promise<string[]> {
  const rows = await world.test.db.query<{ body: string }>(
    `select content ->> 'body' as body from message where workflow_key = $1 order by id`,
    [of.workflowKey],
  );
  return rows.map(({ body }) => body);
}

/** Somebody waits for a lock, and so for `other`. */
const blocked = () =>
  waitFor('somebody to wait', async () => {
    const rows = await world.test.db.query(
      `select from pg_locks where not granted and database is not distinct from
         (select oid from pg_database where datname = current_database())
       union all
       select from pg_locks where not granted and locktype = 'transactionid'`,
    );
    return rows.length > 0 ? true : undefined;
  });

/** A question of a run of `other`, as its executor would ask it. */
function asked(of: Of, about: BatchQuestion, n: number): Asked<BatchQuestion>[] {
  const id = `00000000-0000-8000-8000-${String(n).padStart(12, '0')}`;
  const by: Asker = {
    environmentId: world.ctx.environment.id,
    laneId: laneOf(world.ctx.environment.id, NORMAL),
    flow: 0,
    trigger: {
      id: `01a00000-0000-8000-8000-${String(n).padStart(12, '0')}`,
      key: of.workflowKey,
      version: of.versionId,
      actor: null,
      tenant: null,
      data: { n },
      cancel: null,
      settings: {},
      at: world.clock.now(),
    },
    recipient: 'user-0',
    runId: id.replace('00000000-0000', idTime()),
    ref: 'b',
  };
  return [{ by, about: about.op === 'join' ? { ...about, data: { n, own: true } } : about }];
}

/** The first half of an id of now, for which there are partitions. */
function idTime(): string {
  const hex = world.clock.now().toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}

const join = (): BatchQuestion => ({
  kind: 'batch',
  op: 'join',
  key: '',
  isPinned: true,
  closesMs: world.clock.now() + 600_000,
  isLeadingFlushed: false,
  data: {},
});

describe('sessions that meet at a batch', () => {
  test('make one window when they all want to open it', async () => {
    const of = await batched();
    const chunks: ChunkRef[] = [];
    for (let n = 1; n <= 8; n++) chunks.push(...(await accept(of, n)));
    const streams = await Promise.all([1, 2, 3, 4].map(() => world.openStream()));
    const reports = await Promise.all(
      streams.map((stream, i) =>
        world.execute(
          chunks.filter((_, n) => n % streams.length === i),
          stream,
        ),
      ),
    );
    const waiting = appendedRuns(reports.flat());
    expect(waiting).toHaveLength(1);
    await world.executeAll(waiting);
    expect(await bodies(of)).toEqual(['8:[1][2][3][4][5][6][7][8]']);
  });

  test('fill it as often as it fills, when they all want to be in it', async () => {
    const of = await batched({ batch_items_max_limit: 3 });
    const chunks: ChunkRef[] = [];
    for (let n = 1; n <= 12; n++) chunks.push(...(await accept(of, n)));
    const streams = await Promise.all([1, 2, 3, 4].map(() => world.openStream()));
    const reports = await Promise.all(
      streams.map((stream, i) =>
        world.execute(
          chunks.filter((_, n) => n % streams.length === i),
          stream,
        ),
      ),
    );
    await world.executeAll(appendedRuns(reports.flat()));
    const found = await bodies(of);
    expect(found.map((body) => body.slice(0, 2))).toEqual(['3:', '3:', '3:', '3:']);
    expect(
      found
        .join('')
        .match(/\[\d+\]/g)
        ?.sort(),
    ).toHaveLength(12);
    expect(new Set(found.join('').match(/\[\d+\]/g)).size).toBe(12);
  });

  test('lose nobody who is joining while it closes', async () => {
    const of = await batched();
    const waiting = appendedRuns(await world.execute(await accept(of, 1)));
    await other.query('begin');
    world.clock.move(1);
    await answerBatches(other, world.clock.now(), asked(of, join(), 2));
    world.clock.moveTo(waiting[0]?.dueMs ?? 0);
    const closing = world.execute(waiting);
    await blocked();
    await other.query('commit');
    await closing;
    expect(await bodies(of)).toEqual(['2:[1][2]']);
  });

  test('open another window while it closes: what comes after the end is in none that is closed', async () => {
    const of = await batched();
    const waiting = appendedRuns(await world.execute(await accept(of, 1)));
    const [row] = await world.test.db.query<{ id: number }>(
      'select id from batch_window order by id desc limit 1',
    );
    await other.query('begin');
    const close: BatchQuestion = {
      kind: 'batch',
      op: 'close',
      window: row?.id ?? 0,
      order: 'asc',
      limit: 10,
      hasCarrier: false,
      isAbandoned: false,
    };
    const closesMs = waiting[0]?.dueMs ?? 0;
    const [answer] = await answerBatches(other, closesMs, asked(of, close, 9));
    expect(answer).toMatchObject({ batch: { totalActivities: 1 } });
    const joining = accept(of, 2).then((refs) => world.execute(refs));
    await blocked();
    await other.query('commit');
    const opened = appendedRuns(await joining);
    expect(opened).toHaveLength(1);
    await world.executeAll(opened);
    expect(await bodies(of)).toEqual(['1:[2]']);
  });

  test('are done again when the database ends one of them for a deadlock', async () => {
    const of = await batched();
    const waiting = appendedRuns(await world.execute(await accept(of, 1, users(2))));
    const rows = await world.test.db.query<{ id: number }>(
      'select id from batch_window where closes_at > $1 order by environment_id, key',
      [new Date(world.clock.now())],
    );
    const lock = (id = 0) => other.query('select from batch_window where id = $1 for update', [id]);
    await other.query('begin');
    await lock(rows.at(-1)?.id);
    const refs = await accept(of, 2, users(2));
    const joining = world.execute(refs);
    await blocked();
    await lock(rows[0]?.id);
    await other.query('rollback');
    await joining;
    await world.executeAll(waiting);
    expect(await bodies(of)).toEqual(['2:[1][2]', '2:[1][2]']);
  });
});
