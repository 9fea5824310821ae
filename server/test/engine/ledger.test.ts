import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type LedgerCell, missingRuns } from '../../src/engine/ledger/cell.ts';
import { createLedger, type Ledger, type LedgerCheck } from '../../src/engine/ledger/ledger.ts';
import { forgetLedger } from '../../src/engine/ledger/lists.ts';
import type { ChunkRef } from '../../src/engine/log/chunk.ts';
import { truncateSlot } from '../../src/engine/log/maintain.ts';
import { readLedger } from '../../src/engine/read-ledger.ts';
import type { Logger } from '../../src/lib/log.ts';
import { createTestDatabase } from '../support/database.ts';
import {
  appendedRuns,
  createEngineWorld,
  delayStep,
  type EngineWorld,
  feedStep,
} from '../support/engine-world.ts';
import { everythingOnce, startLoad } from '../support/load.ts';
import { silentLog } from '../support/log.ts';
import { idempotencyKey, users } from '../support/triggers.ts';
import { waitFor } from '../support/wait.ts';
import { removeDataDirs, startWholeServer } from '../support/whole-server.ts';

const MINUTE_MS = 60_000;

let world: EngineWorld;
let errors: object[];
let ledger: Ledger;
beforeAll(async () => {
  world = await createEngineWorld();
});
afterAll(async () => {
  await world.close();
  await removeDataDirs();
});
beforeEach(async () => {
  await world.test.db.query(
    'truncate chunk, receipt, ledger_minute, ledger_settled, recipient_run',
  );
  world.clock.move(10 * MINUTE_MS);
  errors = [];
  ledger = newLedger();
});

function newLedger(): Ledger {
  const log = { ...silentLog, error: (line: object) => errors.push(line) } as unknown as Logger;
  return createLedger({ db: world.test.db, clock: world.clock, log });
}

/** All minutes and environments that are not settled, as one. */
function total(check: LedgerCheck): Omit<LedgerCell, 'minute' | 'environmentId'> {
  const sum = { accepted: 0, done: 0, pending: 0, held: 0, discarded: 0, failed: 0 };
  for (const cell of check.open) {
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += cell[name];
  }
  return sum;
}

const folded = async (): Promise<number> => {
  const [row] = await world.test.db.query<{ accepted: number }>(
    'select coalesce(sum(accepted), 0)::int as accepted from ledger_minute',
  );
  return row?.accepted ?? 0;
};

async function accepted(count: number): Promise<readonly ChunkRef[]> {
  const of = await world.workflow({ steps: [feedStep('Hi')] });
  return (await world.accept({ ...of, recipients: users(count) })).refs;
}

describe('the ledger', () => {
  it('counts accepted work as pending, then as done', async () => {
    const refs = await accepted(450);
    expect(total(await ledger.check())).toMatchObject({ accepted: 450, pending: 450, done: 0 });
    await world.execute(refs);
    const check = await ledger.check();
    expect(total(check)).toMatchObject({ accepted: 450, pending: 0, done: 450 });
    expect(check.gaps).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('counts a run that waits once, and not again when it goes on', async () => {
    const of = await world.workflow({ steps: [delayStep(90), feedStep('Later')] });
    const { refs } = await world.accept({ ...of, recipients: users(3) });
    const paused = appendedRuns(await world.execute(refs));
    expect(total(await ledger.check())).toMatchObject({ accepted: 3, done: 3, pending: 0 });
    await world.executeAll(paused);
    const check = await ledger.check();
    expect(check.open.every((cell) => cell.accepted === 3)).toBe(true);
    expect(check.gapRuns).toBe(0);
  });

  it('counts runs that cannot be executed as failed', async () => {
    const { refs } = await world.accept({ versionId: 999_999, recipients: users(4) });
    await world.execute(refs);
    const check = await ledger.check();
    expect(total(check)).toMatchObject({ accepted: 4, done: 0, failed: 4 });
    expect(check.gapRuns).toBe(0);
  });

  it('counts a repeat of an idempotency key not at all', async () => {
    const of = await world.workflow({ steps: [feedStep('Once')] });
    const idempotency = idempotencyKey('ledger');
    const { refs } = await world.accept({ ...of, idempotency }, { ...of, idempotency });
    await world.execute(refs);
    const again = await world.accept({ ...of, idempotency });
    expect(again.refs).toEqual([]);
    expect(total(await ledger.check())).toMatchObject({ accepted: 1, done: 1, pending: 0 });
  });

  it('settles a minute that is over, and then reads it from the settled counts', async () => {
    const refs = await accepted(120);
    await world.execute(refs);
    await ledger.check();
    world.clock.move(4 * MINUTE_MS);
    expect((await ledger.check()).open).toEqual([]);
    expect(await truncateSlot(world.test.db, refs[0]?.slot ?? 0)).toBe(true);
    for (const each of [ledger, newLedger()]) expect((await each.check()).open).toEqual([]);
    const answer = await readLedger(world.ctx, {
      check: ledger.latest(),
      account: 'acme',
      minutes: 15,
    });
    expect(answer).toMatchObject({
      state: 'balanced',
      gap_runs: 0,
      entries: [{ account: 'acme', environment: 'development', accepted: 120, done: 120 }],
    });
  });

  it('goes on after a restart with what is not settled', async () => {
    const refs = await accepted(120);
    await world.execute(refs);
    await truncateSlot(world.test.db, refs[0]?.slot ?? 0);
    expect(total(await newLedger().check())).toMatchObject({ accepted: 120, done: 120 });
  });

  it('keeps a minute open while one of its runs is pending, however late it is done', async () => {
    const refs = await accepted(300);
    const early = await accepted(200);
    await world.execute(early);
    world.clock.move(30 * MINUTE_MS);
    expect(total(await ledger.check())).toMatchObject({ accepted: 500, pending: 300, done: 200 });
    await world.execute(refs);
    expect(await ledger.check()).toMatchObject({ open: [], gapRuns: 0 });
  });

  it('forgets days that are past its memory, no others', async () => {
    await world.execute(await accepted(5));
    await truncateSlot(world.test.db, (await accepted(1))[0]?.slot ?? 0);
    await world.test.db.query('insert into ledger_minute select 0, 0, 1, 0, 7');
    const nowMs = world.clock.now();
    const before = await folded();
    for (let day = 0; day < 6; day++) await forgetLedger(world.test.db, nowMs + day * 86_400_000);
    expect(await folded()).toBeGreaterThanOrEqual(before - 7);
    for (let day = 6; day < 8; day++) await forgetLedger(world.test.db, nowMs + day * 86_400_000);
    expect(await folded()).toBe(0);
  });
});

describe('truncation', () => {
  it('folds what a slot accepted exactly once, and nothing when it does not come about', async () => {
    const refs = await accepted(450);
    const slot = refs[0]?.slot ?? 0;
    expect(await truncateSlot(world.test.db, slot)).toBe(false);
    expect(await folded()).toBe(0);
    await world.execute(refs);
    await world.test.db.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'cut off'; end $$`,
    );
    await world.test.db.query(
      `create trigger refuse before truncate on chunk_${slot} for each statement execute function refuse()`,
    );
    await expect(truncateSlot(world.test.db, slot)).rejects.toThrow('cut off');
    expect(await folded()).toBe(0);
    await world.test.db.query(`drop trigger refuse on chunk_${slot}`);
    expect(await truncateSlot(world.test.db, slot)).toBe(true);
    expect(await truncateSlot(world.test.db, slot)).toBe(true);
    expect(await folded()).toBe(450);
    expect(total(await ledger.check())).toMatchObject({ accepted: 450, done: 450, pending: 0 });
  });

  it('during checks is never seen half', async () => {
    for (let round = 0; round < 10; round++) {
      const refs = await accepted(20);
      await world.execute(refs);
      const [check] = await Promise.all([
        ledger.check(),
        truncateSlot(world.test.db, refs[0]?.slot ?? 0),
      ]);
      expect(check.gaps).toEqual([]);
      world.clock.move(10_000);
    }
  });
});

describe('a corruption is found by the next check, within a minute', () => {
  const gapAfter = async (): Promise<LedgerCheck> => {
    world.clock.move(20_000);
    const check = await ledger.check();
    expect(errors).toHaveLength(check.gaps.length);
    return check;
  };

  it('when executed runs vanish', async () => {
    await world.execute(await accepted(150));
    expect((await ledger.check()).gapRuns).toBe(0);
    await world.test.db.query(
      'delete from recipient_run where id in (select id from recipient_run limit 2)',
    );
    const check = await gapAfter();
    expect(check).toMatchObject({ gapRuns: 2, gaps: [{ accepted: 150, done: 148, pending: 0 }] });
    expect(check.gaps.map(missingRuns)).toEqual([2]);
    expect(errors).toMatchObject([{ accepted: 150, done: 148, missing: 2 }]);
    await ledger.check();
    expect(errors).toHaveLength(1);
    const answer = await readLedger(world.ctx, { check, account: undefined, minutes: 15 });
    expect(answer).toMatchObject({ state: 'gap', gap_runs: 2, gaps: [{ missing: 2 }] });
  });

  it('when a receipt appears without results', async () => {
    const [ref] = await accepted(450);
    await world.test.db.query(
      'insert into receipt (slot, stream, sequence, slice, done, failed) values ($1, $2, $3, 4, 50, 0)',
      [ref?.slot, ref?.stream, ref?.sequence],
    );
    expect(await gapAfter()).toMatchObject({ gaps: [{ accepted: 450, done: 0, pending: 400 }] });
  });

  it('when accepted work vanishes before it is executed', async () => {
    const [ref] = await accepted(80);
    await ledger.check();
    await world.test.db.query('delete from chunk where stream = $1 and sequence = $2', [
      ref?.stream,
      ref?.sequence,
    ]);
    expect(await gapAfter()).toMatchObject({ gapRuns: 80, gaps: [{ accepted: 80, pending: 0 }] });
  });

  it('when a run appears that nobody accepted', async () => {
    await world.execute(await accepted(10));
    await world.test.db.query(
      `insert into recipient_run
       select overlay(id::text placing 'ffff' from 33)::uuid, environment_id, workflow_run_id, collection,
              recipient_id, status, error_count, steps, executed_at
       from recipient_run
       limit 1`,
    );
    const check = await gapAfter();
    expect(check.gaps.map(missingRuns)).toEqual([-1]);
  });
});

it('a server under load whose executors are killed balances at every moment', async () => {
  const test = await createTestDatabase();
  const whole = await startWholeServer({ databaseUrl: test.url, executors: 2 });
  onTestFinished(async () => {
    await whole.stop();
    await test.drop();
  });
  const watched = createLedger({ db: test.db, clock: { now: Date.now }, log: silentLog });
  await whole.push('load', [feedStep('Hi')]);
  const load = startLoad(whole.trigger, 'load');
  for (let kill = 0; kill < 3; kill++) {
    await load.more(150);
    const [pid] = whole.server.processIds().executors;
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
    expect((await watched.check()).gaps).toEqual([]);
  }
  await load.stop();
  await everythingOnce(test.db, load.acknowledged);
  const runs = [...load.acknowledged.values()].reduce((sum, to) => sum + to.length, 0);
  const check = await waitFor('nothing pending', async () => {
    const found = await watched.check();
    expect(found.gaps).toEqual([]);
    return total(found).pending === 0 ? found : undefined;
  });
  expect(total(check).done).toBeGreaterThanOrEqual(runs);
}, 60_000);
