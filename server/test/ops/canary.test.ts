import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CANARY_ACCOUNT, prepareCanaryAccount } from '../../src/accounts/canary-account.ts';
import { createKey } from '../../src/accounts/keys.ts';
import { SINK } from '../../src/channels/sink.ts';
import { openDatabase } from '../../src/db/database.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { canaryStages } from '../../src/ops/canary.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';
import { removeDataDirs, startWholeServer, type WholeServer } from '../support/whole-server.ts';

let test: TestDatabase;
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  test = await createTestDatabase();
  cleanups.push(test.drop);
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(removeDataDirs);

async function start(canaryMs: number | undefined): Promise<WholeServer> {
  const whole = await startWholeServer({ databaseUrl: test.url, executors: 1, canaryMs });
  cleanups.push(whole.stop);
  return whole;
}

async function get(whole: WholeServer, path: string): Promise<JsonObject> {
  const token = whole.server.credentials?.operator_token ?? '';
  const response = await fetch(`${whole.server.url}${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return (await response.json()) as JsonObject;
}

async function post(whole: WholeServer, path: string, body: JsonObject): Promise<void> {
  const token = whole.server.credentials?.operator_token ?? '';
  const response = await fetch(`${whole.server.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
}

const inState = (whole: WholeServer, state: string): Promise<JsonObject> =>
  waitFor(
    `a canary that is ${state}`,
    async () => {
      const answer = await get(whole, '/ops/v1/canary');
      return answer.state === state ? answer : undefined;
    },
    30_000,
  );

describe('the canary', () => {
  it('goes through every stage, measures each, and is nobody’s traffic', async () => {
    const whole = await start(1_000);
    const answer = await inState(whole, 'alive');
    expect(answer).toMatchObject({ interval_seconds: 1, missed_in_a_row: 0 });
    expect(answer.last).toMatchObject({ missing: [], error: null });
    const { stages_ms: stages } = answer.last as JsonObject;
    expect(Object.keys(stages as JsonObject).sort()).toEqual([...canaryStages].sort());
    expect(await whole.metric('belfry_canary_silent')).toBe(0);
    for (const stage of canaryStages) {
      expect(await whole.metric(`belfry_canary_seconds{stage="${stage}"}`)).toBeGreaterThanOrEqual(
        0,
      );
    }
    expect(await get(whole, '/readyz')).toMatchObject({ parts: { canary: { state: 'up' } } });
    expect((await get(whole, '/ops/v1/top?window=1m')).accounts).toEqual([]);
  });

  it('counts for no budget, so that an account alone need not share with it', async () => {
    const whole = await start(1_000);
    await inState(whole, 'alive');
    await post(whole, `/ops/v1/accounts/${CANARY_ACCOUNT}/limits`, { requests_per_s: 0.001 });
    const completed = new Set<unknown>();
    await waitFor('three more beats', async () => {
      completed.add((await get(whole, '/ops/v1/canary')).last_complete_at);
      return completed.size > 3 || undefined;
    });
  });

  it('is silent when its triggers are not executed, says where they end, and is heard again', async () => {
    const whole = await start(1_000);
    await inState(whole, 'alive');
    const other = openDatabase({
      url: test.url,
      max: 1,
      applicationName: 'test lock',
      log: silentLog,
    });
    cleanups.push(other.close);
    const release = Promise.withResolvers<void>();
    const locked = other.transaction(async (tx) => {
      await tx.query('lock table message in share row exclusive mode');
      await release.promise;
    });
    cleanups.push(async () => release.resolve());
    const { last } = await inState(whole, 'silent');
    expect(last).toMatchObject({ missing: ['executed', 'notified', 'delivered'] });
    expect(await whole.metric('belfry_canary_silent')).toBe(1);
    expect(await get(whole, '/readyz')).toMatchObject({
      ready: true,
      parts: { canary: { state: 'silent', reason: expect.stringContaining('not executed') } },
    });
    release.resolve();
    await locked;
    await inState(whole, 'alive');
  }, 60_000);

  it('that is off makes no account and says so', async () => {
    const whole = await start(undefined);
    expect(await get(whole, '/ops/v1/canary')).toMatchObject({ state: 'off', last: null });
    expect(await test.db.query('select from account where name = $1', [CANARY_ACCOUNT])).toEqual(
      [],
    );
  });

  it('has one account with one key of each kind, however often it starts and whoever made it another', async () => {
    const ctx = { db: test.db, clock: systemClock, log: silentLog };
    const first = await prepareCanaryAccount(ctx, SINK);
    await createKey(ctx, {
      kind: 'secret',
      account: CANARY_ACCOUNT,
      environment: 'production',
    });
    const second = await prepareCanaryAccount(ctx, SINK);
    expect(second).toEqual({
      ...first,
      secretKey: expect.any(String),
      publicKey: expect.any(String),
    });
    expect(second.secretKey).not.toBe(first.secretKey);
    const keys = await test.db.query('select kind from api_key order by kind');
    expect(keys).toEqual([{ kind: 'public' }, { kind: 'secret' }, { kind: 'secret' }]);
  });
});
