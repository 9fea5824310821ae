import type { LogSource } from '../log-store.ts';

/** For how many days each table's rows are kept; undefined: for ever. */
export type LogRetention = {
  readonly logs: number | undefined;
  readonly apiLogs: number | undefined;
};

/** The time in an id: its first 48 bits, milliseconds. */
const timeOf = (id: string): string =>
  `fromUnixTimestamp64Milli(toInt64(reinterpretAsUInt64(reverse(substring(UUIDToNum(${id}), 1, 6)))), 'UTC')`;

const VERSION = 'version UInt64 default toUnixTimestamp64Milli(now64(3))';

/** UUIDs of ClickHouse do not compare by their bytes, in which our ids have their order; what UUIDToNum makes of them does. */
const EVENT_KEY = 'environment_id, at, UUIDToNum(id)';

/** Days are parts of their own, so that what is too old is dropped without being read. */
const engine = (key: string, time: string): string => `engine = ReplacingMergeTree(version)
partition by toYYYYMMDD(${time})
order by (${key})
settings non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1`;

const bloom = (column: string, falsePositives = 0.01): string =>
  `index by_${column} ${column} type bloom_filter(${falsePositives}) granularity 1`;

/** Forward only, applied in order, each once; never edited. */
export const clickHouseMigrations: readonly (readonly string[])[] = [
  [
    `create table if not exists event (
  environment_id UInt32,
  id UUID,
  at DateTime64(3, 'UTC') default ${timeOf('id')} codec(DoubleDelta, ZSTD(1)),
  inserted_at DateTime64(3, 'UTC') codec(DoubleDelta, ZSTD(1)),
  type LowCardinality(String),
  data String codec(ZSTD(1)),
  message_id UUID,
  channel_id UUID codec(ZSTD(1)),
  channel_type LowCardinality(String),
  collection LowCardinality(String),
  recipient_id String codec(ZSTD(1)),
  tenant Nullable(String) codec(ZSTD(1)),
  workflow LowCardinality(String),
  workflow_run_id UUID codec(ZSTD(1)),
  run_id UUID codec(ZSTD(1)),
  step_ref LowCardinality(String),
  ${VERSION} codec(DoubleDelta, ZSTD(1)),
  ${['recipient_id', 'message_id', 'run_id', 'tenant', 'workflow'].map((column) => bloom(column)).join(',\n  ')}
) ${engine(EVENT_KEY, 'at')}`,
    `create table if not exists run (
  environment_id UInt32,
  id UUID,
  segment UInt16,
  at DateTime64(3, 'UTC') default ${timeOf('id')},
  collection LowCardinality(String),
  recipient_id String,
  tenant Nullable(String),
  workflow LowCardinality(String),
  workflow_run_id UUID,
  executed_at DateTime64(3, 'UTC'),
  status LowCardinality(String),
  error_count UInt16,
  steps String codec(ZSTD(1)),
  ${VERSION},
  ${bloom('recipient_id')},
  ${bloom('workflow_run_id')}
) ${engine('environment_id, at, id, segment', 'executed_at')}`,
    `create table if not exists delivery (
  environment_id UInt32,
  message_id UUID,
  attempt UInt16,
  at DateTime64(3, 'UTC') default ${timeOf('message_id')},
  collection LowCardinality(String),
  recipient_id String,
  tenant Nullable(String),
  workflow LowCardinality(String),
  workflow_run_id UUID,
  run_id UUID,
  attempted_at DateTime64(3, 'UTC'),
  status LowCardinality(String),
  provider LowCardinality(String),
  detail String codec(ZSTD(1)),
  ${VERSION},
  ${bloom('recipient_id')},
  ${bloom('run_id')}
) ${engine('environment_id, at, message_id, attempt', 'attempted_at')}`,
    `create table if not exists api_log (
  environment_id UInt32,
  id UUID,
  at DateTime64(3, 'UTC') default ${timeOf('id')},
  api_key_id UInt32,
  method LowCardinality(String),
  route LowCardinality(String),
  path String codec(ZSTD(1)),
  status UInt16,
  duration_us UInt32,
  request Nullable(String) codec(ZSTD(1)),
  response Nullable(String) codec(ZSTD(1)),
  ${VERSION}
) ${engine('environment_id, at, id', 'at')}`,
  ],
  // What it says it has survives a loss of power: it is not sent again.
  ['event', 'run', 'delivery', 'api_log'].map(
    (table) =>
      `alter table ${table} modify setting fsync_after_insert = 1, fsync_part_directory = 1`,
  ),
];

/** Where each source's lines go, and the columns in them, in order. */
export const clickHouseTables: {
  readonly [Source in LogSource]: { readonly table: string; readonly columns: readonly string[] };
} = {
  message_event: {
    table: 'event',
    columns: [
      ...['environment_id', 'id', 'inserted_at', 'type', 'data', 'message_id', 'channel_id'],
      ...['channel_type', 'collection', 'recipient_id', 'tenant', 'workflow', 'workflow_run_id'],
      ...['run_id', 'step_ref'],
    ],
  },
  recipient_run: { table: 'run', columns: runColumns() },
  recipient_run_segment: { table: 'run', columns: runColumns() },
  delivery: {
    table: 'delivery',
    columns: [
      ...['environment_id', 'message_id', 'attempt', 'collection', 'recipient_id', 'tenant'],
      ...['workflow', 'workflow_run_id', 'run_id', 'attempted_at', 'status', 'provider', 'detail'],
    ],
  },
  api_log: {
    table: 'api_log',
    columns: [
      ...['environment_id', 'id', 'api_key_id', 'method', 'route', 'path', 'status'],
      ...['duration_us', 'request', 'response'],
    ],
  },
};

function runColumns(): readonly string[] {
  return [
    ...['environment_id', 'id', 'segment', 'collection', 'recipient_id', 'tenant', 'workflow'],
    ...['workflow_run_id', 'executed_at', 'status', 'error_count', 'steps'],
  ];
}

/** Tables in which rows are about a recipient. */
export const recipientTables = ['event', 'run', 'delivery'] as const;

/** The column that a table's rows grow old by, and the class of their retention. */
export const clickHouseAges: {
  readonly [table: string]: { readonly column: string; readonly class: keyof LogRetention };
} = {
  event: { column: 'at', class: 'logs' },
  run: { column: 'executed_at', class: 'logs' },
  delivery: { column: 'attempted_at', class: 'logs' },
  api_log: { column: 'at', class: 'apiLogs' },
};
