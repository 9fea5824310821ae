import type { ForgottenRecipient, LogSink } from '../log-store.ts';
import { type ClickHouse, connectClickHouse } from './connect.ts';
import {
  clickHouseAges,
  clickHouseMigrations,
  clickHouseTables,
  type LogRetention,
  recipientTables,
} from './schema.ts';

/** An insert that takes longer is ended by the store, so that it cannot land later than one knows of. */
const INSERT_SECONDS = 60;
/** UNKNOWN_TABLE, UNKNOWN_DATABASE. */
const MISSING_CODES = new Set(['60', '81']);
/** CANNOT_PARSE_TEXT, _QUOTED_STRING, _INPUT_ASSERTION_FAILED, _DATE, _DATETIME, _NUMBER, _UUID, TYPE_MISMATCH, INCORRECT_DATA ... */
const UNREADABLE_CODES = new Set([
  '6',
  '26',
  '27',
  '38',
  '41',
  '53',
  '69',
  '72',
  '117',
  '321',
  '376',
  '407',
]);
const FOR_EVER = 0;
const MUTATION_MS = 300_000;

/** Undefined: its tables are made, and it has no name yet. */
export async function readStoreId(clickHouse: ClickHouse): Promise<string | undefined> {
  const [row] = await clickHouse.rows<{ id: string }>(
    'select toString(id) as id from belfry_store order by made_at, id limit 1',
  );
  return row?.id;
}

/** The tables of a ClickHouse as what is shipped to. `randomId` names a store that has no name yet. */
export async function createClickHouseSink(options: {
  readonly url: string;
  readonly retention: LogRetention;
  readonly randomId: () => string;
  readonly requestMs?: number;
}): Promise<LogSink> {
  const { retention, randomId } = options;
  const clickHouse = await connectClickHouse(options.url, {
    requestMs: options.requestMs ?? 30_000,
  });
  const slow = await connectClickHouse(options.url, { requestMs: MUTATION_MS });
  return {
    migrate: async () => {
      await migrate(clickHouse);
      await keepFor(clickHouse, retention);
      return storeId(clickHouse, randomId);
    },
    insert: async ({ source, lines }, token) => {
      const { table, columns } = clickHouseTables[source];
      await clickHouse.insert(
        `insert into ${table} (${columns.join(', ')}) format TabSeparated`,
        lines,
        {
          insert_deduplicate: 1,
          insert_deduplication_token: token,
          async_insert: 0,
          wait_end_of_query: 1,
          max_execution_time: INSERT_SECONDS,
          // A batch is one block of each day: the token is for the whole of it.
          max_insert_block_size: '1000000',
          max_partitions_per_insert_block: '0',
        },
      );
    },
    eventsAmong: async (ids) => {
      const rows = await clickHouse.rows<{ id: string }>(
        `select distinct toString(event.id) as id
        from event
        where event.at in (${[...new Set(ids.map(timeOf))].map((ms) => `fromUnixTimestamp64Milli(toInt64(${ms}), 'UTC')`).join(', ')})
          and event.id in ({ids: Array(UUID)})`,
        { ids },
      );
      return rows.map(({ id }) => id);
    },
    isWithoutTables: (error) => MISSING_CODES.has(codeOf(error)),
    refusalCode: (error) => {
      const code = codeOf(error);
      return UNREADABLE_CODES.has(code) ? code : undefined;
    },
    forget: async (recipients) => {
      for (const table of recipientTables) await forget(slow, table, recipients);
    },
    close: async () => {
      await clickHouse.close();
      await slow.close();
    },
  };
}

async function migrate(clickHouse: ClickHouse): Promise<void> {
  await clickHouse.command(
    `create table if not exists belfry_migration (number UInt32, applied_at DateTime default now())
    engine = MergeTree
    order by number`,
  );
  const applied = await clickHouse.rows<{ number: number }>(
    'select number from belfry_migration order by number',
  );
  const known = new Set(applied.map(({ number }) => Number(number)));
  for (const [index, statements] of clickHouseMigrations.entries()) {
    if (known.has(index + 1)) continue;
    for (const statement of statements) await clickHouse.command(statement);
    await note(clickHouse, 'belfry_migration', { number: index + 1 });
  }
}

/** Changes the TTL of tables whose last one was another. */
async function keepFor(clickHouse: ClickHouse, retention: LogRetention): Promise<void> {
  await clickHouse.command(
    `create table if not exists belfry_retention (name String, days Int32, at DateTime64(6) default now64(6))
    engine = MergeTree
    order by at`,
  );
  const rows = await clickHouse.rows<{ name: string; days: number }>(
    'select name, days from belfry_retention order by at',
  );
  const kept = new Map(rows.map(({ name, days }) => [name, Number(days)]));
  for (const [table, age] of Object.entries(clickHouseAges)) {
    const days = retention[age.class] ?? FOR_EVER;
    if ((kept.get(table) ?? FOR_EVER) === days) continue;
    if (days === FOR_EVER) await removeTtl(clickHouse, table);
    else
      await clickHouse.command(
        `alter table ${table} modify ttl toDateTime(${age.column}) + interval ${days} day`,
      );
    await note(clickHouse, 'belfry_retention', { name: table, days });
  }
}

/** Where there is none it would be an error, and it may have been removed before that was noted. */
async function removeTtl(clickHouse: ClickHouse, table: string): Promise<void> {
  const [found] = await clickHouse.rows<{ engine: string }>(
    `select engine_full as engine
    from system.tables
    where database = currentDatabase()
      and name = {table: String}`,
    { table },
  );
  if (found?.engine.includes(' TTL ')) await clickHouse.command(`alter table ${table} remove ttl`);
}

/** A store has an id of its own from its first migration on. */
async function storeId(clickHouse: ClickHouse, randomId: () => string): Promise<string> {
  await clickHouse.command(
    `create table if not exists belfry_store (id UUID, made_at DateTime64(6) default now64(6))
    engine = MergeTree
    order by made_at`,
  );
  const known = await readStoreId(clickHouse);
  if (known !== undefined) return known;
  await note(clickHouse, 'belfry_store', { id: randomId() });
  return (await readStoreId(clickHouse)) ?? '';
}

function note(
  clickHouse: ClickHouse,
  table: string,
  row: Readonly<Record<string, string | number>>,
): Promise<void> {
  const columns = Object.keys(row).join(', ');
  return clickHouse.insert(
    `insert into ${table} (${columns}) format JSONEachRow`,
    JSON.stringify(row),
    {},
  );
}

async function forget(
  clickHouse: ClickHouse,
  table: string,
  recipients: readonly ForgottenRecipient[],
): Promise<void> {
  const conditions = recipients.map(
    ({ environmentId, collection, recipientId, before }) =>
      `(environment_id = ${environmentId} and collection = ${literal(collection)} and recipient_id = ${literal(recipientId)} and UUIDToNum(workflow_run_id) < UUIDToNum(toUUID(${literal(before)})))`,
  );
  await clickHouse.command(`alter table ${table} delete where ${conditions.join(' or ')}`, {
    mutations_sync: '1',
    max_query_size: '10000000',
    max_ast_elements: '1000000',
    max_expanded_ast_elements: '1000000',
  });
}

function literal(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** Milliseconds in the first 48 bits of an id. */
function timeOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
