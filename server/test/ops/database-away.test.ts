import { afterAll, beforeAll, expect, test } from 'vitest';
import { insertOperatorToken } from '../../src/accounts/insert-key.ts';
import { createAuthentication } from '../../src/api/authentication.ts';
import { openDatabase } from '../../src/db/database.ts';
import { createReadTop } from '../../src/ops/top.ts';
import { createTraffic } from '../../src/ops/traffic.ts';
import { movableClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const clock = movableClock();

/** A database that can go away. */
function connect() {
  const db = openDatabase({ url: database.url, max: 1, applicationName: 'test', log: silentLog });
  return { db, clock, log: silentLog };
}

test('with the database away, who it is can be read by ids', async () => {
  const ctx = connect();
  const traffic = createTraffic(ctx);
  traffic.count({
    caller: { accountId: 7, environmentId: 70, keyId: 700, keyHint: 'ab12' },
    workflowKey: 'a/b',
    sourceAddress: '192.0.2.7',
    bytes: 1,
    outcome: { runs: 3 },
  });
  clock.move(1_000);
  await ctx.db.close();
  const top = await createReadTop(ctx, traffic)({ window: '10s', limit: 5 });
  expect(top.callers[0]).toMatchObject({
    account: { id: 7, name: null },
    environment: { id: 70, slug: null },
    key: { id: 'key_700', hint: 'ab12' },
    workflow: 'a/b',
    runs_per_s: 3,
  });
});

test('with the database away, a token that was valid before stays so for an hour, others do not', async () => {
  const ctx = connect();
  await insertOperatorToken(ctx.db, 'test', 'bf_op_known');
  const authentication = createAuthentication(ctx);
  await authentication.authenticateOperator('bf_op_known');
  await ctx.db.close();
  clock.move(600_000);
  expect(await authentication.authenticateOperator('bf_op_known')).toMatchObject({ name: 'test' });
  await expect(authentication.authenticateOperator('bf_op_other')).rejects.toThrow();
  clock.move(3_600_000);
  await expect(authentication.authenticateOperator('bf_op_known')).rejects.toThrow();
});

test('a token that was revoked does not come back when the database goes away', async () => {
  const ctx = connect();
  await insertOperatorToken(ctx.db, 'test', 'bf_op_revoked');
  const authentication = createAuthentication(ctx);
  await authentication.authenticateOperator('bf_op_revoked');
  await ctx.db.query(`update operator_token set revoked_at = now() where hint = 'oked'`);
  clock.move(6_000);
  await expect(authentication.authenticateOperator('bf_op_revoked')).rejects.toThrow('revoked');
  await ctx.db.close();
  clock.move(6_000);
  await expect(authentication.authenticateOperator('bf_op_revoked')).rejects.toThrow();
});
