import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccount } from '../../src/accounts/create-account.ts';
import { changeShare } from '../../src/accounts/shares.ts';
import { DELIVERIES, laneOf, NORMAL } from '../../src/engine/log/chunk.ts';
import { schedule } from '../../src/engine/scheduler/scheduler.ts';
import type { Assignment, SchedulerState } from '../../src/engine/scheduler/state.ts';
import { createShares } from '../../src/engine/shares.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { startTestApi, type TestApi } from '../api/api-server.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { ref, stateWith } from '../support/schedules.ts';

let test: TestDatabase;
let api: TestApi;
beforeAll(async () => {
  test = await createTestDatabase();
  api = await startTestApi();
});
afterAll(async () => {
  await api.close();
  await test.drop();
});

describe('the share of an account', () => {
  it('acts on what is queued already, as soon as it is changed', async () => {
    const ctx = { db: test.db, clock: systemClock, log: silentLog };
    await createAccount(ctx, { name: 'flood' });
    const environments = await test.db.query<{ id: number; account_id: number }>(
      'select id, account_id from environment order by id',
    );
    const state = stateWith(6);
    const started: Assignment[] = [];
    const shares = createShares({
      states: [state],
      send: (to: SchedulerState, event) => started.push(...schedule(to, event, 0)),
    });
    await shares.load(test.db);
    const lanes = environments.map(({ id }) => laneOf(id, NORMAL));
    for (const laneId of lanes) shares.introduce(state, laneId);
    await changeShare(ctx, { reference: 'flood', slots: 2 });
    await shares.load(test.db);
    const refs = lanes.flatMap((laneId) => Array.from({ length: 5 }, () => ref(laneId, 500)));
    started.push(...schedule(state, { type: 'appended', refs }, 0));
    expect(started).toHaveLength(2);

    await changeShare(ctx, { reference: 'flood', slots: 3 });
    await shares.load(test.db);
    started.push(...schedule(state, { type: 'tick' }, 0));
    expect(started).toHaveLength(3);

    await changeShare(ctx, { reference: 'flood', slots: null });
    await shares.load(test.db);
    started.push(...schedule(state, { type: 'tick' }, 0));
    expect(started).toHaveLength(6);
    expect(started.every((assignment) => assignment.slices[0]?.ref.kind !== DELIVERIES)).toBe(true);
  });

  it('is changed by the operator, and only to something that makes sense', async () => {
    const account = await api.account();
    const change = (path: string, body: unknown, key = api.operatorToken) =>
      api.call('PATCH', `/ops/v1/shares/${path}`, { key, body });
    expect((await change(account.account, { weight: 2 })).body).toEqual({ weight: 2, slots: null });
    expect((await change(`${account.account}/development`, { slots: 1 })).body).toEqual({
      weight: 1,
      slots: 1,
    });
    expect((await change(account.account, {})).body).toEqual({ weight: 2, slots: null });
    const audit = await api.ctx.db.query<{ concerned: object }>(
      `select concerned from audit_log where action = 'share change' order by id`,
    );
    expect(audit.map(({ concerned }) => concerned)).toEqual([
      { weight: 2, slots: null },
      { weight: 1, slots: 1 },
    ]);
    expect(await change(account.account, { weight: 0 })).toMatchObject({ status: 422 });
    expect(await change('nobody', { weight: 2 })).toMatchObject({ status: 404 });
    expect(await change(account.account, { weight: 2 }, account.secretKey)).toMatchObject({
      status: 403,
    });
  });
});
