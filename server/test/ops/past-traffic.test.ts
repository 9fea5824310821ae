import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAccount } from '../../src/accounts/create-account.ts';
import { readPastTraffic } from '../../src/ops/past-traffic.ts';
import { createTraffic } from '../../src/ops/traffic.ts';
import { movableClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';

const NOW = Date.UTC(2026, 4, 1, 4);
const MINUTE = NOW / 60_000;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

test('after a restart an account is measured against what it sent before, without the floods in it', async () => {
  const ctx = { db: database.db, clock: movableClock(NOW), log: silentLog };
  expect(await readPastTraffic(ctx)).toBeUndefined();
  for (const name of ['steady', 'flooded']) await createAccount(ctx, { name });
  const rows = await database.db.query<{ account_id: number; id: number }>(
    `select account_id, min(id) as id
     from environment
     group by account_id
     order by account_id`,
  );
  const [steady, flooded] = rows;
  await database.db.query(
    `insert into ledger_settled (day, minute, environment_id, accepted, done, failed)
     select minute / 1440 % 8, minute, environment_id, runs, runs, 0
     from generate_series($1::int, $1 + 39) as minute,
          lateral (values ($2::int, 60000), ($3, case when minute < $1 + 35 then 600 else 600000 end))
            as sent(environment_id, runs)`,
    [MINUTE - 40, steady?.id, flooded?.id],
  );
  const past = await readPastTraffic(ctx);
  expect(past?.sinceMs).toBe(NOW - 40 * 60_000);
  expect(past?.perSecond.get(String(steady?.account_id))).toBeCloseTo(1_000);
  expect(past?.perSecond.get(String(flooded?.account_id))).toBeCloseTo((35 * 10 + 5 * 30) / 40);

  const traffic = createTraffic({ clock: ctx.clock, past });
  const caller = {
    accountId: steady?.account_id ?? 0,
    environmentId: steady?.id ?? 0,
    keyId: 1,
    keyHint: 'ab12',
  };
  traffic.count({
    caller,
    workflowKey: 'digest',
    sourceAddress: '192.0.2.1',
    bytes: 1,
    outcome: { runs: 1_000 },
  });
  ctx.clock.move(1_000);
  const [second] = traffic.lastSecond();
  expect(second).toMatchObject({ load: 1_000, sinceMs: undefined });
  expect(second?.normal).toBeCloseTo(1_000);
  expect(traffic.top('10s').accounts[0]?.load).toBe(1_000);
  expect(traffic.top('10s').accounts[0]?.factor).toBeCloseTo(1);
});
