import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensurePartitions } from '../../src/db/partitions.ts';
import { formatAddress } from '../../src/lib/address.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const NOW = Date.UTC(2031, 0, 1, 0, 30);
const DAY_MS = 86_400_000;

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

function partitionNames(): Promise<{ name: string; parent: string }[]> {
  return database.db.query(`
    select relid::regclass::text as name, parentrelid::regclass::text as parent
    from pg_partition_tree('message')
    where isleaf
    union all
    select relid::regclass::text, parentrelid::regclass::text
    from pg_partition_tree('message_event')
    where isleaf
    order by 1`);
}

test('partitions of the months and days around a time are made, across a new year too', async () => {
  const made = await ensurePartitions(database.db, NOW);
  expect(made).toEqual(
    expect.arrayContaining([
      'message_2030_12',
      'message_2031_01',
      'message_2031_03',
      'delivery_2031_01',
      'workflow_run_2031_01',
      'message_event_2030_12_30',
      'message_event_2031_01_01',
      'message_event_2031_01_04',
      'recipient_run_2031_01_01',
      'recipient_run_segment_2031_01_01',
    ]),
  );
  const names = (await partitionNames()).map((row) => row.name);
  expect(names).toEqual(expect.arrayContaining(['message_2031_01', 'message_event_2031_01_01']));
});

test('making them again makes nothing', async () => {
  await ensurePartitions(database.db, NOW);
  const before = await partitionNames();
  expect(await ensurePartitions(database.db, NOW)).toEqual([]);
  expect(await partitionNames()).toEqual(before);
});

test('two processes that make them at once do not disturb each other', async () => {
  const time = NOW + 400 * DAY_MS;
  const made = await Promise.all([
    ensurePartitions(database.db, time),
    ensurePartitions(database.db, time),
    ensurePartitions(database.db, time),
  ]);
  const names = made.flat();
  expect(names.length).toBe(6 * 4 + 4 * 6);
  expect(new Set(names).size).toBe(names.length);
});

test('a workflow run of last month is accepted, and lands in the partition of its id', async () => {
  await ensurePartitions(database.db, NOW);
  const id = formatAddress(NOW - 20 * DAY_MS, 1, 1, 0, 63);
  const [row] = await database.db.query<{ table: string }>(
    `insert into workflow_run (id, environment_id, workflow_key, version_id, data, accepted_at)
     values ($1, 1, 'comment', 1, '{}', now())
     returning tableoid::regclass::text as table`,
    [id],
  );
  expect(row?.table).toBe('workflow_run_2030_12');
});

test('a partition has the indexes of its parent, attached to them', async () => {
  await ensurePartitions(database.db, NOW);
  const rows = await database.db.query<{ definition: string; attached: boolean }>(`
    select
      pg_get_indexdef(indexrelid) as definition,
      exists (select from pg_inherits where inhrelid = indexrelid) as attached
    from pg_index
    where indrelid = 'message_2031_01'::regclass`);
  expect(rows.length).toBe(6);
  expect(rows.every((row) => row.attached)).toBe(true);
});

test('partitions are made while transactions write to the parent', async () => {
  const time = NOW + 800 * DAY_MS;
  await ensurePartitions(database.db, NOW);
  await database.db.transaction(async (tx) => {
    await tx.query(
      `insert into workflow_run (id, environment_id, workflow_key, version_id, data, accepted_at)
       values ($1, 1, 'comment', 1, '{}', now())`,
      [formatAddress(NOW, 2, 1, 0, 63)],
    );
    // From another connection, while this transaction is open.
    expect(await ensurePartitions(database.db, time)).not.toEqual([]);
  });
});
