import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EnvironmentContext } from '../../src/context.ts';
import type { Database } from '../../src/db/database.ts';
import { listMessages, readMessageQuery } from '../../src/feed/list-messages.ts';
import { lowestUuidAt } from '../../src/lib/address.ts';
import { listRuns, type RunFilter } from '../../src/runs/list-runs.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createMessageWorld, type MessageWorld } from '../support/messages.ts';

const ROWS = 40_000;
const PAGE = 50;
/** Rows that a page may read, of those with a filter that most rows have. */
const FEW_ROWS = 1_000;

let database: TestDatabase;
let world: MessageWorld;
let runId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  world = await createMessageWorld(database.db);
  await world.insert([{ workflow: 'bench' }], world.development.environment);
  await writeRows();
  const [row] = await database.db.query<{ id: string }>(
    `select workflow_run_id as id from message where tenant = 'rare' limit 1`,
  );
  runId = row?.id ?? '';
});
afterAll(() => database.drop());

/** Messages and runs of the last hour: every hundredth of the second environment, a few in the tenant `rare`. */
async function writeRows(): Promise<void> {
  const { db } = database;
  const { development, production, channels } = world;
  const id = (tail: string) =>
    `(lpad(to_hex(ms), 12, '0') || '80018' || lpad(to_hex(n), 11, '0') || '${tail}')::uuid`;
  await db.query(
    `with row as (
      select n, $4::bigint + n * (3600000 / ${ROWS}) as ms,
        case when n % 100 = 0 then $2::int else $1::int end as environment_id,
        'user-' || n % 500 as recipient_id, case when n % 9973 = 5 then 'rare' else 'tenant-' || n % 3 end as tenant
      from generate_series(1, ${ROWS}) as n
    ), runs as (
      insert into recipient_run
        (id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, executed_at)
      select ${id('0000')}, environment_id, ${id('003f')}, '$users', recipient_id, 3, (n % 5003 = 1)::int, '[]', now()
      from row
    ), segments as (
      insert into recipient_run_segment (recipient_run_id, segment, status, error_count, steps, executed_at)
      select ${id('0000')}, part, 3, 1, '[]', now()
      from row, generate_series(1, 2) as part
      where n % 7001 = 2
    ), triggers as (
      insert into workflow_run (id, environment_id, workflow_key, version_id, tenant, data, accepted_at)
      select ${id('003f')}, environment_id, 'bench', 1, tenant, '{}', now()
      from row
    )
    insert into message
      (id, environment_id, channel_id, channel_type, collection, recipient_id, tenant, workflow_run_id, recipient_run_id,
       workflow_key, version_id, step_ref, status, content, inserted_at, read_at)
    select ${id('0001')}, environment_id, $3::uuid, 2, '$users', recipient_id, tenant, ${id('003f')}, ${id('0000')},
      'bench', 1, 'in_app_feed_1', 2, '{}', to_timestamp(ms / 1000.0), case when n % 2 = 0 then now() end
    from row`,
    [
      development.environment.id,
      production.environment.id,
      channels['in-app'],
      Date.now() - 3_600_000,
    ],
  );
  await db.query('analyze');
}

/** Rows that a list reads of large tables. */
async function rowsRead(
  as: EnvironmentContext,
  list: (ctx: EnvironmentContext) => Promise<unknown>,
): Promise<number> {
  const lines: string[] = [];
  const explained =
    (db: Pick<Database, 'query'>): Database['query'] =>
    async (statement, values = []) => {
      const text = typeof statement === 'string' ? statement : statement.text;
      if (!/^\s*(?:select|with)/.test(text)) return db.query(statement, values);
      const plan = await db.query<{ 'QUERY PLAN': string }>(
        `explain (analyze, timing off, costs off) ${text}`,
        values,
      );
      lines.push(...plan.map((row) => row['QUERY PLAN']));
      return db.query(statement, values);
    };
  const { db } = as;
  await list({
    ...as,
    db: {
      ...db,
      query: explained(db),
      transaction: (work) => db.transaction((tx) => work({ query: explained(tx) })),
    },
  });
  return readBy(lines);
}

/** Rows that scans of the large tables gave or threw away, of the lines of a plan. */
function readBy(lines: readonly string[]): number {
  let read = 0;
  let loops = 0;
  let scans = 0;
  for (const line of lines) {
    const scan =
      /Scan.* on (message|recipient_run|workflow_run)_\d.*actual rows=([\d.]+) loops=(\d+)/.exec(
        line,
      );
    const removed = /Rows Removed by (?:Filter|Index Recheck): ([\d.]+)/.exec(line);
    if (scan) {
      scans += 1;
      loops = Number(scan[3]);
      read += Number(scan[2]) * loops;
    } else if (removed) {
      read += Number(removed[1]) * loops;
    } else if (line.includes('->')) loops = 0;
  }
  expect(scans).toBeGreaterThan(0);
  return read;
}

const messages = (query: { readonly [name: string]: unknown }) => (ctx: EnvironmentContext) =>
  listMessages(ctx, { query: readMessageQuery({ page_size: PAGE, ...query }) });
const runs = (filter: RunFilter) => (ctx: EnvironmentContext) =>
  listRuns(ctx, { filter, page: { size: PAGE } });

test.each([
  ['none', {}],
  ['a common tenant', { tenant: 'tenant-1' }],
  ['a rare tenant', { tenant: 'rare' }],
  ['a workflow', { source: 'bench' }],
  ['an engagement status', { engagement_status: ['read'] }],
  ['a delivery status', { status: ['delivered'] }],
  ['a time', { inserted_at: { gte: new Date(Date.now() - 60_000).toISOString() } }],
])('a page of messages reads few rows with filter: %s', async (_name, query) => {
  expect(await rowsRead(world.development, messages(query))).toBeLessThan(FEW_ROWS);
  expect(await rowsRead(world.production, messages(query))).toBeLessThan(FEW_ROWS);
});

test('a page of messages of one trigger or one run reads few rows', async () => {
  const ofRun = { workflow_recipient_run_id: lowestUuidAt(0) };
  expect(await rowsRead(world.development, messages({ workflow_run_id: runId }))).toBeLessThan(
    FEW_ROWS,
  );
  expect(await rowsRead(world.development, messages(ofRun))).toBeLessThan(FEW_ROWS);
});

test.each([
  ['none', {}],
  ['a common tenant', { tenant: 'tenant-1' }],
  ['a rare tenant', { tenant: 'rare' }],
  ['a workflow', { workflow: 'bench' }],
  ['a recipient', { recipient: { collection: '$users', id: 'user-7' } }],
  ['errors', { hasErrors: true }],
  ['no errors', { hasErrors: false }],
] as const)('a page of runs reads few rows with filter: %s', async (_name, filter) => {
  expect(await rowsRead(world.development, runs(filter))).toBeLessThan(FEW_ROWS);
  expect(await rowsRead(world.production, runs(filter))).toBeLessThan(FEW_ROWS);
});

test('a page of the runs of one trigger reads few rows', async () => {
  expect(await rowsRead(world.development, runs({ workflowRunId: runId }))).toBeLessThan(FEW_ROWS);
});

test('runs that failed are those of any execution, each once', async () => {
  const failed = await listRuns(world.development, {
    filter: { hasErrors: true },
    page: { size: PAGE },
  });
  const [row] = await database.db.query<{ n: number }>(
    `select count(*)::int as n
     from recipient_run r
     where environment_id = $1
       and (error_count > 0 or exists (
         select from recipient_run_segment s where s.recipient_run_id = r.id and s.error_count > 0
       ))`,
    [world.development.environment.id],
  );
  expect(row?.n).toBeGreaterThan(10);
  expect(new Set(failed.items.map(({ id }) => id)).size).toBe(row?.n);
});
