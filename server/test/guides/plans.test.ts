import { afterAll, expect, test } from 'vitest';
import type { Queryable } from '../../src/db/database.ts';
import { loadViewers } from '../../src/guides/load-viewers.ts';
import { createTestDatabase } from '../support/database.ts';
import { createMessageWorld } from '../support/messages.ts';

const database = await createTestDatabase();
afterAll(() => database.drop());

test('viewers are loaded by indexes, however much others have done', async () => {
  const { db } = database;
  const { id: environmentId } = (await createMessageWorld(db)).development.environment;
  await db.query(
    `insert into guide_engagement (environment_id, user_id, tenant, guide_key, step_ref, message_id, inserted_at, updated_at)
     select $1, 'user-' || n % 4000, 'tenant-' || n % 3, 'guide-' || n % 7, 'step', gen_random_uuid(), now(), now()
     from generate_series(1, 20000) as n
     on conflict do nothing`,
    [environmentId],
  );
  await db.query(
    `insert into guide_display (environment_id, user_id, group_key, displayed_at)
     select $1, 'user-' || n, 'default', now()
     from generate_series(1, 20000) as n`,
    [environmentId],
  );
  await db.query(
    `insert into recipient (environment_id, collection, id)
     select $1, '$users', 'user-' || n
     from generate_series(1, 20000) as n`,
    [environmentId],
  );
  await db.query('analyze');
  const plans: string[] = [];
  const explained: Queryable = {
    query: async (statement, values) => {
      const text = typeof statement === 'string' ? statement : statement.text;
      const rows = await db.query<{ 'QUERY PLAN': string }>(`explain ${text}`, values);
      plans.push(...rows.map((row) => row['QUERY PLAN']));
      return db.query(statement, values);
    },
  };
  const viewers = Array.from({ length: 50 }, (_, n) => ({
    userId: `user-${n}`,
    tenant: n % 2 === 0 ? null : 'tenant-1',
    data: {},
  }));
  const loaded = await loadViewers(explained, {
    environmentId,
    viewers,
    audiences: [],
    nowMs: Date.now(),
  });
  expect(loaded.some(({ engagements }) => engagements.size > 0)).toBe(true);
  const scans = plans.filter((line) =>
    /on (guide_engagement|guide_display|recipient)\b/.test(line),
  );
  expect(scans.length).toBeGreaterThanOrEqual(4);
  expect(scans.filter((line) => line.includes('Seq Scan'))).toEqual([]);
});
