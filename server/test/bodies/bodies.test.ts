import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ContentRow, createBodyReader } from '../../src/bodies/read-bodies.ts';
import { createRequestBudgets } from '../../src/bodies/request-budgets.ts';
import { NO_FAULTS } from '../../src/drill/stand-ins/faults.ts';
import { type BodiesWorld, createBodiesWorld, LONG_TEXT } from '../support/bodies-world.ts';
import { silentLog } from '../support/log.ts';

let own: BodiesWorld;
beforeAll(async () => {
  own = await createBodiesWorld();
});
afterEach(() => own.store.setFaults(NO_FAULTS));
afterAll(() => own.close());

const textOf = (body: unknown): unknown =>
  typeof body === 'object' && body !== null && 'text_body' in body ? body.text_body : body;

/** Of each message whether it says what was rendered for its user, or what it says instead. */
async function texts(ids: readonly string[]): Promise<unknown[]> {
  return (await own.read(ids)).map((body, i) => {
    const text = String(textOf(body)).trimEnd();
    const expected = LONG_TEXT.replace('{{ recipient.id }}', `user-${i}`).trimEnd();
    return text === expected ? 'as written' : text.slice(0, 50);
  });
}

const asWritten = (count: number): string[] => Array.from({ length: count }, () => 'as written');

describe('what a message says', () => {
  it('is in the ring, then in one object, and is read from either', async () => {
    const { ids } = await own.send(120);
    expect(ids).toHaveLength(120);
    const [row] = await own.world.test.db.query<{ stored: number }>(
      `select count(*) filter (where content -> '$stored' is not null) as stored
       from message
       where id = any($1::uuid[])`,
      [ids],
    );
    expect(row).toEqual({ stored: 120 });
    expect(await texts(ids)).toEqual(asWritten(120));
    await own.markSent(ids);
    const before = (await own.store.objects()).length;
    await own.moveAll();
    expect(await own.ringRows()).toBe(0);
    expect(await own.store.objects()).toHaveLength(before + 1);
    expect(await texts(ids)).toEqual(asWritten(120));
  });

  it('stays in its row when it is short, and in the feed', async () => {
    const { ids } = await own.send(3, 'short');
    const rows = await own.world.test.db.query<{ stored: boolean }>(
      `select content -> '$stored' is not null as stored
       from message
       where id = any($1::uuid[])`,
      [ids],
    );
    expect(rows.map(({ stored }) => stored)).toEqual([false, false, false]);
  });

  it('is an error when one byte of it is another, and nobody else’s', async () => {
    const { ids } = await own.send(2);
    await own.markSent(ids);
    await own.moveAll();
    own.store.setFaults({ kind: 'flip', share: 1 });
    expect(await own.read([ids[0] ?? ''])).toEqual(['damaged']);
    own.store.setFaults(NO_FAULTS);
    expect(await texts(ids)).toEqual(asWritten(2));
  });

  it.each(['slow_down', 'internal_error', 'reset', 'truncate', 'hang'] as const)(
    'is there later when the store answers with %s',
    async (kind) => {
      const { ids } = await own.send(1);
      await own.markSent(ids);
      await own.moveAll();
      own.store.setFaults({ kind, share: 1 });
      expect(await own.read(ids)).toEqual(['unavailable']);
      own.store.setFaults(NO_FAULTS);
      expect(await texts(ids)).toEqual(asWritten(1));
    },
  );
});

it('a reader that asks too much is told to come later, and others are not', async () => {
  const { ids } = await own.send(1);
  await own.markSent(ids);
  await own.moveAll(own.newSteps());
  const { db } = own.world.test;
  const budgets = createRequestBudgets({ perSecond: 0.001, burst: 2, nowMs: Date.now });
  const reader = createBodyReader({
    ...{ db, log: silentLog, budgets },
    store: async () => own.direct,
  });
  const rows = await db.query<ContentRow>(
    'select id, environment_id, content from message where id = any($1::uuid[])',
    [ids],
  );
  const isRead = async () => 'content' in ((await reader.read(rows)).get(ids[0] ?? '') ?? {});
  expect([await isRead(), await isRead(), await isRead()]).toEqual([true, true, false]);
  expect(budgets.waitMs((rows[0]?.environment_id ?? 0) + 1)).toBe(0);
});

describe('while the store fails', () => {
  it('everything is readable and waits, and afterwards the backlog drains', async () => {
    own.store.setFaults({ kind: 'internal_error', share: 1 });
    const sent: { readonly ids: readonly string[] }[] = [];
    for (let i = 0; i < 5; i++) {
      sent.push(await own.send(50));
      own.world.clock.move(40_000);
      await own.steps.look();
      own.steps.startBatches();
      await own.steps.giveBack();
    }
    await own.steps.measure();
    expect(own.steps.state().backlog).toMatchObject({ packs: 5 });
    for (const { ids } of sent) {
      expect(await texts(ids)).toEqual(asWritten(50));
      await own.markSent(ids);
    }
    own.store.setFaults(NO_FAULTS);
    await own.moveAll();
    expect(await own.ringRows()).toBe(0);
    for (const { ids } of sent) expect(await texts(ids)).toEqual(asWritten(50));
  }, 60_000);

  it('a third of the time, every object is there once in the end', async () => {
    const before = new Set(await own.store.objects());
    own.store.setFaults({ kind: 'reset_answer', share: 0.33 });
    const { ids } = await own.send(80);
    await own.markSent(ids);
    await own.moveAll(own.newSteps());
    own.store.setFaults(NO_FAULTS);
    expect((await own.store.objects()).filter((key) => !before.has(key))).toHaveLength(1);
    expect(await texts(ids)).toEqual(asWritten(80));
  }, 60_000);
});

describe('a message that is still to be delivered', () => {
  it('has its content in the database, whatever becomes of slot and store', async () => {
    const { ids } = await own.send(40);
    await own.markSent(ids.slice(2));
    await own.moveAll(own.newSteps());
    expect(await own.ringRows()).toBe(0);
    own.store.setFaults({ kind: 'internal_error', share: 1 });
    expect(await texts(ids.slice(0, 2))).toEqual(asWritten(2));
    expect(await own.read(ids.slice(2, 3))).toEqual(['unavailable']);
  });

  it('keeps its slot when it is one of many and there is room', async () => {
    const { ids } = await own.send(20);
    await own.moveAll();
    expect(await own.ringRows()).toBe(1);
    own.store.setFaults({ kind: 'internal_error', share: 1 });
    expect(await texts(ids)).toEqual(asWritten(20));
    own.store.setFaults(NO_FAULTS);
    await own.markSent(ids);
    own.world.clock.move(61_000);
    await own.steps.giveBack();
    expect(await own.ringRows()).toBe(0);
  });
});

describe('the mover', () => {
  it('finds what another one left, wherever it was in its work', async () => {
    const { ids } = await own.send(30);
    await own.markSent(ids);
    await own.moveAll(own.newSteps());
    expect(await own.ringRows()).toBe(0);
    expect(await texts(ids)).toEqual(asWritten(30));
  });

  it('finds a pack that was committed long after its time', async () => {
    const { ids } = await own.send(5);
    await own.markSent(ids);
    const { db } = own.world.test;
    await db.query('create table late as select * from body_pack');
    await db.query('delete from body_pack');
    own.world.clock.move(31_000);
    await own.steps.look();
    await db.query('insert into body_pack select * from late');
    await db.query('drop table late');
    const { ids: later } = await own.send(1);
    await own.markSent(later);
    await own.moveAll();
    expect(await own.ringRows()).toBe(0);
    expect(await texts(ids)).toEqual(asWritten(5));
  });

  it('deletes an object that was begun and never recorded, ten minutes later', async () => {
    const before = await own.store.objects();
    const { db } = own.world.test;
    const id = '01890000-0000-7000-8000-0000000000ab';
    await db.query('insert into body_upload values ($1, 1, $2)', [
      id,
      new Date(own.world.clock.now()),
    ]);
    await own.direct.put(`ab/1/${id}`, Buffer.from('nobody knows of it'));
    await own.steps.clear();
    expect(await own.store.objects()).toHaveLength(before.length + 1);
    own.world.clock.move(601_000);
    await own.steps.clear();
    expect(await own.store.objects()).toEqual(before);
    expect(await db.query('select from body_upload')).toEqual([]);
  });
});

describe('a ring that is full', () => {
  it('takes nothing more: contents stay in their messages, and are counted, until there is room', async () => {
    const small = await createBodiesWorld({ backlogBytes: 2 * 1024 * 1024 });
    try {
      const isStored = async (ids: readonly string[]): Promise<boolean> => {
        const [row] = await small.world.test.db.query<{ stored: boolean }>(
          `select content -> '$stored' is not null as stored from message where id = $1`,
          [ids[0]],
        );
        return row?.stored ?? false;
      };
      const first = await small.send(400);
      expect(await isStored(first.ids)).toBe(true);
      await small.gate.look();
      const second = await small.send(10);
      expect(await isStored(second.ids)).toBe(false);
      expect(small.gate.keptCount()).toBe(10);
      await small.markSent([...first.ids, ...second.ids]);
      await small.moveAll();
      await small.gate.look();
      const third = await small.send(10);
      expect(await isStored(third.ids)).toBe(true);
      for (const { ids } of [first, second, third]) {
        expect((await small.read(ids)).filter((body) => typeof body === 'string')).toEqual([]);
      }
    } finally {
      await small.close();
    }
  });
});
