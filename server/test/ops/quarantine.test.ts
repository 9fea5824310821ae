import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import type { QuarantineActions } from '../../src/ops/quarantine.ts';
import { createTraffic } from '../../src/ops/traffic.ts';
import { movableClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { testQuarantine } from '../support/quarantine.ts';

let database: TestDatabase;
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(() => database.drop());

type Options = NonNullable<Parameters<typeof testQuarantine>[1]['options']>;

/** Accounts whose arrivals and queues a test decides, looked at once a second of a clock that it moves. */
function scene(options: Options = {}, startMs = Date.now()) {
  const clock = movableClock(startMs);
  const db = openDatabase({ url: database.url, max: 1, applicationName: 'test', log: silentLog });
  const ctx = { db, clock, log: silentLog };
  const traffic = createTraffic(ctx);
  const queued = new Map<number, { runs: number; ageMs: number }>();
  const restrained = new Set<number>();
  const held = new Map<number, boolean>();
  const actions: QuarantineActions = {
    restrain: (id, on) => (on ? restrained.add(id) : restrained.delete(id)),
    hold: async (id, on) => {
      held.set(id, on);
    },
  };
  let finishedRuns = 0;
  const quarantine = testQuarantine(ctx, {
    traffic,
    actions,
    options,
    queues: {
      account: (id) => ({
        queuedRuns: queued.get(id)?.runs ?? 0,
        oldestAgeMs: queued.get(id)?.ageMs ?? 0,
        finishedRuns,
        noisy: false,
        environmentId: 10 * id,
      }),
      noisyAccounts: () => [],
      queuedRuns: () => [...queued.values()].reduce((sum, { runs }) => sum + runs, 0),
    },
  });
  const pass = (seconds: number, rates: Readonly<Record<number, number>>): void => {
    for (let second = 0; second < seconds; second++) {
      for (const [id, runs] of Object.entries(rates)) {
        const accountId = Number(id);
        traffic.count({
          caller: {
            accountId,
            environmentId: 10 * accountId,
            keyId: 100 + accountId,
            keyHint: 'ab12',
          },
          workflowKey: 'digest',
          sourceAddress: `192.0.2.${accountId}`,
          bytes: 100,
          outcome: { runs },
        });
      }
      clock.move(1_000);
      finishedRuns += 1_000;
      quarantine.tick();
    }
  };
  return { clock, db, quarantine, queued, restrained, held, pass };
}

const calm = { 1: 5, 2: 5, 3: 5 };
const flood = { 1: 5, 2: 5, 3: 305 };

describe('an account that floods', () => {
  test('is restrained and named: key, workflow, address, times its normal, share of the queue, since when', async () => {
    const { clock, quarantine, queued, restrained, pass, db } = scene();
    pass(600, calm);
    const floodMs = clock.now();
    queued.set(3, { runs: 830, ageMs: 2_500 }).set(1, { runs: 170, ageMs: 100 });
    pass(3, flood);
    expect([...restrained]).toEqual([3]);
    const [first, ...others] = await quarantine.current();
    expect(others).toEqual([]);
    expect(first).toMatchObject({ level: 'surge', shadow: false, account: { id: 3 } });
    const time = new Date(floodMs + 1_000).toISOString().slice(11, 19);
    expect(first?.line).toBe(
      `account #3, key ...ab12, workflow digest: 61 times its normal, 83 % of the queue, since ${time} UTC`,
    );
    expect(first?.evidence).toMatchObject({ source: '192.0.2.3', key: { id: 'key_103' } });
    await quarantine.stop();
    const rows = await db.query(
      'select account_id, from_level, to_level, shadow from quarantine_event',
    );
    expect(rows).toEqual([
      { account_id: 3, from_level: 'normal', to_level: 'surge', shadow: false },
    ]);

    queued.clear();
    pass(30, calm);
    expect(restrained.size).toBe(0);
    expect(await quarantine.current()).toEqual([]);
    await quarantine.stop();
    expect(quarantine.events(1)).toMatchObject([
      { from: 'surge', to: 'normal', because: 'drained' },
    ]);
    await db.close();
  });

  test('is named within ten seconds of a start without any history', async () => {
    const { quarantine, queued, pass, db } = scene();
    pass(3, { 1: 5 });
    queued.set(2, { runs: 50_000, ageMs: 3_000 });
    pass(7, { 1: 5, 2: 20_000 });
    expect((await quarantine.current()).map(({ line }) => line)).toEqual([
      expect.stringMatching(
        /^account #2, key \.\.\.ab12, workflow digest: 20000 runs\/s where no normal is known, 100 % of the queue, since /,
      ),
    ]);
    await db.close();
  });

  test('in shadow mode is told the same way, marked as shadow, and nothing is done to it', async () => {
    const { quarantine, queued, restrained, pass, db } = scene({ mode: 'shadow' });
    pass(100, calm);
    queued.set(3, { runs: 900, ageMs: 2_500 });
    pass(3, { ...calm, 3: 2_000 });
    expect(restrained.size).toBe(0);
    expect(await quarantine.current()).toMatchObject([
      { level: 'surge', shadow: true, culprit: true },
    ]);
    await quarantine.stop();
    expect(quarantine.events(5)).toMatchObject([{ to: 'surge', shadow: true }]);
    await db.close();
  });

  test('is left alone where quarantine is off', async () => {
    const { quarantine, queued, restrained, pass, db } = scene({ mode: 'off' });
    queued.set(3, { runs: 900, ageMs: 2_500 });
    pass(10, { 3: 20_000 });
    expect(restrained.size).toBe(0);
    expect(await quarantine.current()).toEqual([]);
    await db.close();
  });

  test('is paused, or refused, only where that is switched on; otherwise that is shadow and the surge stays', async () => {
    for (const on of [false, true]) {
      const { quarantine, queued, restrained, held, pass, db } = scene({
        pause: on,
        reject: on,
        backlogRuns: 2_000_000,
      });
      pass(100, calm);
      queued.set(3, { runs: 900_000, ageMs: 5_000 });
      pass(60, { 3: 5_000 });
      expect(await quarantine.current()).toMatchObject([{ level: 'paused', shadow: !on }]);
      expect(held.get(3) ?? false).toBe(on);
      queued.set(3, { runs: 2_000_000, ageMs: 5_000 });
      pass(2, { 3: 5_000 });
      expect(await quarantine.current()).toMatchObject([{ level: 'reject', shadow: !on }]);
      expect(quarantine.refuses(3)).toBe(on);
      expect([...restrained]).toEqual([3]);
      await quarantine.stop();
      await db.close();
    }
  });
});

test('accounts that are busy as ever, or come back after a night, stay normal while all wait', async () => {
  const { quarantine, queued, pass, db } = scene();
  pass(1, { 2: 5 });
  pass(600, { 1: 3_000 });
  for (const id of [1, 2]) queued.set(id, { runs: 5_000, ageMs: 4_000 });
  pass(120, { 1: 3_000, 2: 5 });
  expect(await quarantine.current()).toEqual([]);
  await db.close();
});

describe('a level set by hand', () => {
  const by = { author: 'mara', reason: 'drill' };

  test('holds against the rules until it expires, and after a restart', async () => {
    const first = scene();
    const { clock, quarantine, queued, restrained, pass } = first;
    pass(100, calm);
    queued.set(3, { runs: 900, ageMs: 2_500 });
    const untilMs = clock.now() + 600_000;
    expect(
      await quarantine.set({ accountId: 3, accountName: 'cedar', level: 'normal', ...by, untilMs }),
    ).toBe(true);
    pass(20, { 3: 5_000 });
    expect(restrained.size).toBe(0);
    expect(await quarantine.current()).toMatchObject([{ level: 'normal', hand: by }]);
    await quarantine.stop();
    expect(quarantine.events(2)).toMatchObject([
      { to: 'surge', shadow: true, author: null },
      { to: 'normal', because: 'set by hand', shadow: false, ...by },
    ]);
    await first.db.close();

    const second = scene({}, clock.now());
    await second.quarantine.start();
    expect(await second.quarantine.current()).toMatchObject([
      { level: 'normal', hand: by, account: { name: 'cedar' } },
    ]);
    second.queued.set(3, { runs: 900, ageMs: 2_500 });
    second.pass(20, { 3: 5_000 });
    expect(second.restrained.size).toBe(0);
    second.clock.moveTo(untilMs);
    second.pass(2, { 3: 5_000 });
    expect([...second.restrained]).toEqual([3]);
    await second.quarantine.stop();
    await second.db.close();
  });

  test('restrains, holds or refuses an account that the rules let go, and automatic ends that', async () => {
    const { clock, quarantine, restrained, held, pass, db } = scene();
    const set = (level: 'surge' | 'paused' | 'reject' | 'automatic') =>
      quarantine.set({
        accountId: 2,
        accountName: 'birch',
        level,
        ...by,
        untilMs: clock.now() + 60_000,
      });
    await set('surge');
    expect([...restrained]).toEqual([2]);
    await set('paused');
    expect(held.get(2)).toBe(true);
    await set('reject');
    expect(held.get(2)).toBe(false);
    expect(quarantine.refuses(2)).toBe(true);
    await set('automatic');
    pass(1, {});
    expect(quarantine.refuses(2)).toBe(false);
    expect(restrained.size).toBe(0);
    expect(await quarantine.current()).toEqual([]);
    await quarantine.stop();
    await db.close();
  });
});

test('with the database away decisions go on, and their events are there', async () => {
  const { quarantine, queued, restrained, pass, db } = scene();
  pass(100, calm);
  await db.close();
  queued.set(3, { runs: 900, ageMs: 2_500 });
  pass(3, { 3: 5_000 });
  expect([...restrained]).toEqual([3]);
  expect(await quarantine.current()).toMatchObject([{ level: 'surge', account: { name: null } }]);
  await quarantine.stop();
  expect(quarantine.events(1)).toMatchObject([{ to: 'surge' }]);
});

test('events that could not be written are written when the database is back', async () => {
  const { quarantine, queued, pass, db } = scene();
  await database.db.query('alter table quarantine_event rename to quarantine_event_away');
  pass(100, calm);
  queued.set(8, { runs: 900, ageMs: 2_500 });
  pass(3, { 8: 5_000 });
  await quarantine.stop();
  await database.db.query('alter table quarantine_event_away rename to quarantine_event');
  pass(1, { 8: 5_000 });
  await quarantine.stop();
  const rows = await db.query('select to_level from quarantine_event where account_id = 8');
  expect(rows).toEqual([{ to_level: 'surge' }]);
  await db.close();
});
