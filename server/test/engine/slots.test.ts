import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openSession, type Session } from '../../src/db/database.ts';
import { executeRuns } from '../../src/engine/executor/run-worker.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { bringTimersNear, truncateSlot } from '../../src/engine/log/maintain.ts';
import { chunksAfter, highestSequences, openChunksOfSlot } from '../../src/engine/log/read-refs.ts';
import {
  FAR_SLOT,
  FIRST_TIMER_SLOT,
  isOpenSlot,
  NEAR_TIMER_MS,
  SLOT_COUNT,
  slotFor,
} from '../../src/engine/log/slots.ts';
import { createTimers } from '../../src/engine/timers.ts';
import {
  appendedRuns,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  feedStep,
  slicesOf,
} from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { forSeeds, integer } from '../support/random.ts';
import { users } from '../support/triggers.ts';

const HOUR_MS = 3_600_000;

describe('the slot of a chunk', () => {
  it('is one that its writer keeps open, for every time and due time', () => {
    forSeeds(20_000, (random) => {
      const nowMs = 1.7e12 + Math.floor(random() * 4e11);
      const kind = random();
      const dueMs =
        kind < 0.3
          ? undefined
          : nowMs + integer(random, 0, kind < 0.6 ? HOUR_MS : 400 * 24 * HOUR_MS);
      const slot = slotFor(nowMs, dueMs);
      expect(slot).toBeGreaterThanOrEqual(0);
      expect(slot).toBeLessThan(SLOT_COUNT);
      expect(isOpenSlot(slot, nowMs), `slot ${slot} at ${nowMs} for ${dueMs}`).toBe(true);
      if (dueMs === undefined) expect(slot).toBeLessThan(FIRST_TIMER_SLOT);
      else if (dueMs - nowMs > NEAR_TIMER_MS) expect(slot).toBe(FAR_SLOT);
      else expect(slot).toBeGreaterThanOrEqual(FIRST_TIMER_SLOT);
    });
  });

  it('is closed at some time, so that each can be given back', () => {
    for (let slot = 0; slot < FAR_SLOT; slot++) {
      const startMs = 1.78e12;
      const moments = Array.from({ length: 27 * 360 }, (_, i) => startMs + i * 10_000);
      expect(
        moments.some((ms) => !isOpenSlot(slot, ms)),
        `slot ${slot}`,
      ).toBe(true);
    }
  });
});

describe('timers', () => {
  const timer = (sequence: number, dueMs: number): ChunkRef => ({
    slot: 16,
    stream: 1,
    sequence,
    laneId: 5,
    kind: 0,
    flow: 0,
    runCount: 1,
    sliceCount: 1,
    dueMs,
  });

  it('fall due in order, each once, none early and none late', () => {
    forSeeds(500, (random) => {
      const timers = createTimers(1_000_000);
      const waiting = new Map<number, number>();
      let nowMs = 0;
      for (let sequence = 1; sequence < 200; sequence++) {
        const dueMs = nowMs + integer(random, 0, 500);
        timers.add(timer(sequence, dueMs));
        // Told twice: by the one who appended it and by a look into the log.
        if (random() < 0.3) timers.add(timer(sequence, dueMs));
        waiting.set(sequence, dueMs);
        if (random() < 0.3) {
          nowMs += integer(random, 0, 200);
          const due = timers.due(nowMs);
          due.forEach((ref, i) => {
            if (i > 0 && (due[i - 1]?.dueMs ?? 0) > (ref.dueMs ?? 0)) throw new Error('order');
            if ((ref.dueMs ?? 0) > nowMs) throw new Error('early');
            if (!waiting.delete(ref.sequence)) throw new Error('twice');
          });
          if ([...waiting.values()].some((ms) => ms <= nowMs)) throw new Error('late');
          const soonest = waiting.size === 0 ? undefined : Math.min(...waiting.values());
          if (timers.nextDueMs() !== soonest) throw new Error('next');
        }
      }
      if (timers.size() !== waiting.size) throw new Error('size');
    });
  });
});

describe('in the database', () => {
  let world: EngineWorld;
  let other: Session;
  beforeAll(async () => {
    world = await createEngineWorld();
    other = await openSession({ url: world.test.url, applicationName: 'reader', log: silentLog });
  });
  afterAll(async () => {
    await other.close();
    await world.close();
  });
  beforeEach(async () => {
    await world.test.db.query('truncate chunk, receipt');
    world.clock.move(20_000);
  });

  const chunkCount = async (slot: number): Promise<number> => {
    const [row] = await world.test.db.query<{ n: number }>(
      'select count(*) as n from chunk where slot = $1',
      [slot],
    );
    return row?.n ?? 0;
  };

  it('a slot with a slice that has no receipt is never truncated', async () => {
    const of = await world.workflow({ steps: [feedStep('Open')] });
    const { refs } = await world.accept({ ...of, recipients: users(450) });
    const [ref] = refs;
    if (!ref) throw new Error('no chunk');
    const slices = slicesOf(ref);
    const stream = await world.openStream();
    for (const slice of slices) {
      expect(await truncateSlot(world.test.db, ref.slot)).toBe(false);
      expect(await chunkCount(ref.slot)).toBe(1);
      await executeRuns(world.services, stream, {
        id: 1,
        slot: ref.slot,
        careful: false,
        slices: [slice],
      });
    }
    expect(await truncateSlot(world.test.db, ref.slot)).toBe(true);
    expect(await chunkCount(ref.slot)).toBe(0);
  });

  it('an insert that is under way when its slot is truncated stays', async () => {
    const of = await world.workflow({ steps: [feedStep('Race')] });
    for (let round = 0; round < 20; round++) {
      const before = await world.accept(of);
      await world.execute(before.refs);
      const slot = before.refs[0]?.slot ?? 0;
      const [after] = await Promise.all([world.accept(of), truncateSlot(world.test.db, slot)]);
      await world.execute(after.refs);
      const messages = await world.test.db.query(
        'select from message where workflow_run_id = any($1::uuid[])',
        [[...before.runIds, ...after.runIds]],
      );
      expect(messages).toHaveLength(2);
    }
  });

  it('an idle reader in a transaction holds up neither appends nor executions', async () => {
    const of = await world.workflow({ steps: [feedStep('Reader')] });
    const { refs } = await world.accept(of);
    const slot = refs[0]?.slot ?? 0;
    await other.query('begin');
    await other.query('select count(*) from chunk');
    await other.query('select count(*) from receipt');
    await world.execute(refs);
    // Truncation gives up instead of queueing, so that nobody queues behind it.
    const truncations = Promise.all([1, 2, 3].map(() => truncateSlot(world.test.db, slot)));
    const more = await world.accept(of, of);
    await world.execute(more.refs);
    expect(await truncations).toEqual([false, false, false]);
    await other.query('commit');
    expect(await truncateSlot(world.test.db, slot)).toBe(true);
  });

  it('what lacks receipts is found again, with the slices that have some', async () => {
    const of = await world.workflow({ steps: [feedStep('Found')] });
    const { refs } = await world.accept({ ...of, recipients: users(500) });
    const [ref] = refs;
    if (!ref) throw new Error('no chunk');
    const slices = slicesOf(ref);
    await executeRuns(world.services, await world.openStream(), {
      id: 1,
      slot: ref.slot,
      careful: false,
      slices: slices.slice(1, 2),
    });
    const open = await openChunksOfSlot(world.test.db, ref.slot, new Date(world.clock.now()));
    expect(open).toEqual([{ ref, receipted: [1] }]);
    await world.execute(refs);
    expect(await openChunksOfSlot(world.test.db, ref.slot, new Date(world.clock.now()))).toEqual(
      [],
    );
  });

  it('every stream that ever appended is known, also when its session is over', async () => {
    const of = await world.workflow({ steps: [delayStep(600), feedStep('Stream')] });
    const { refs } = await world.accept({ ...of, recipients: users(3) });
    const stream = await world.openStream();
    const [paused] = appendedRuns(await world.execute(refs, stream));
    await stream.session.close();
    const highest = await highestSequences(world.test.db);
    expect(highest.get(stream.number)).toBe(paused?.sequence);
    const after = await chunksAfter(world.test.db, stream.number, (paused?.sequence ?? 1) - 1);
    expect(after.map((chunk) => chunk.ref)).toEqual([paused]);
  });

  it('a timer that is far away comes near, falls due once, and runs', async () => {
    const of = await world.workflow({ steps: [delayStep(30, 'hours'), feedStep('Far')] });
    const { refs, runIds } = await world.accept({ ...of, recipients: users(2) });
    const [far] = appendedRuns(await world.execute(refs));
    expect(far?.slot).toBe(FAR_SLOT);
    const dueMs = far?.dueMs ?? 0;
    const timers = createTimers(world.clock.now() + 60_000);
    const fired: ChunkRef[] = [];
    for (let hour = 0; hour < 32; hour++) {
      world.clock.move(HOUR_MS);
      const nowMs = world.clock.now();
      await bringTimersNear(world.test.db, nowMs);
      await timers.load(world.test.db, nowMs);
      const due = timers.due(nowMs);
      if (due.length > 0) expect(nowMs).toBeGreaterThanOrEqual(dueMs);
      fired.push(...due);
    }
    expect(fired).toMatchObject([{ stream: far?.stream, sequence: far?.sequence, dueMs }]);
    expect(fired[0]?.slot).not.toBe(FAR_SLOT);
    await world.execute(fired);
    const messages = await world.test.db.query('select from message where workflow_run_id = $1', [
      runIds[0],
    ]);
    expect(messages).toHaveLength(2);
    expect(await bringTimersNear(world.test.db, world.clock.now())).toBe(0);
  });

  it('a timer is loaded when it comes within the horizon, however often one looks', async () => {
    const of = await world.workflow({ steps: [delayStep(150), feedStep('Near')] });
    const { refs } = await world.accept(of);
    const [near] = appendedRuns(await world.execute(refs));
    const timers = createTimers(world.clock.now() + 60_000);
    if (near) timers.add(near);
    expect(timers.size()).toBe(0);
    for (let i = 0; i < 10; i++) {
      await timers.load(world.test.db, world.clock.now());
      world.clock.move(10_000);
    }
    expect(timers.size()).toBe(1);
    world.clock.move(60_000);
    expect(timers.due(world.clock.now())).toMatchObject([{ sequence: near?.sequence }]);
  });
});
