import { createHash } from 'node:crypto';
import { channelTypes } from '../../channels/channel-type.ts';
import { inlined } from '../../db/copy-out.ts';
import type { DatabasePool } from '../../db/database.ts';
import { deliveryStatuses } from '../../feed/delivery-status.ts';
import { messageEventNames } from '../../feed/message-event-type.ts';
import { runStatuses } from '../../runs/run-status.ts';
import type { LogBatch, LogSource } from '../log-store.ts';
import { splitLines } from './split-lines.ts';

/** Rows of one batch at the most: about 8 MB of lines, of API logs, whose bodies may be 32 KB, twice that. */
export const MOST_ROWS: Readonly<Record<LogSource, number>> = {
  message_event: 20_000,
  recipient_run: 10_000,
  recipient_run_segment: 10_000,
  delivery: 10_000,
  api_log: 500,
};

export type LoadedRows = LogBatch & {
  /** Of all that is in the lines. */
  readonly hash: string;
  /** Ids of some of the rows. */
  readonly sample: readonly string[];
};

const namesSql = (names: readonly string[]): string =>
  `(array[${names.map((name) => `'${name}'`).join(', ')}])`;

/** As PostgreSQL writes a time of the session's zone, which is UTC here: a quarter of what `to_char` takes. Cut, not rounded. */
const timeSql = (column: string): string => `date_trunc('milliseconds', ${column})::timestamp`;

/**
 * Rows of a table whose `key` is among the ids that `ids` has, as a query `name`. The list is in order, so that the index is walked once and no partition sorts it,
 * and its ends leave out the partitions in which none of them can be (docs/decisions/0042).
 */
const found = (
  name: string,
  columns: string,
  { table, key, ids }: { readonly table: string; readonly key: string; readonly ids: string },
): string => {
  const all = `${name}_ids`;
  return `${all} as materialized (
      select array_agg(distinct id order by id) as ids
      from (${ids}) as one(id)
    ), ${name} as materialized (
      select ${columns}
      from ${table}
      where ${key} = any((select ids from ${all})::uuid[])
        and ${key} between (select ids[1] from ${all}) and (select ids[cardinality(ids)] from ${all})
    )`;
};

const WANTED_IDS = 'select id from wanted';

const MESSAGES_OF = (ids: string): string =>
  found(
    'm',
    `id, environment_id, channel_id, channel_type, collection, recipient_id, tenant, workflow_key, workflow_run_id,
        recipient_run_id, step_ref`,
    { table: 'message', key: 'id', ids },
  );

/** The runs that are wanted, and what triggered them. */
const RUNS = `${found(
  'r',
  'id, workflow_run_id, collection, recipient_id, executed_at, status, error_count, steps',
  { table: 'recipient_run', key: 'id', ids: WANTED_IDS },
)}, ${found('w', 'id, environment_id, tenant, workflow_key', {
  table: 'workflow_run',
  key: 'id',
  ids: 'select workflow_run_id from r',
})}`;

const RUN_COLUMNS = `w.environment_id, r.id, %segment%, r.collection, r.recipient_id, w.tenant, w.workflow_key, w.id`;

/**
 * What follows `with wanted as (...)`, whose columns are `id` and `number`, in each source's query; the second column is the id. What
 * was deleted meanwhile is left out. In order of the key: the same rows are the same bytes, whatever the plan.
 */
const SOURCES: Readonly<Record<LogSource, string>> = {
  message_event: `
    ${found('e', 'id, environment_id, message_id, type, data, inserted_at', {
      table: 'message_event',
      key: 'id',
      ids: WANTED_IDS,
    })}, ${MESSAGES_OF('select message_id from e')}
    select e.environment_id, e.id, ${timeSql('e.inserted_at')}, (${messageEventNames})[e.type], coalesce(e.data::text, ''),
      m.id, m.channel_id, ${namesSql(channelTypes)}[m.channel_type], m.collection, m.recipient_id, m.tenant, m.workflow_key,
      m.workflow_run_id, m.recipient_run_id, m.step_ref
    from e
    join m on m.id = e.message_id
    order by e.id`,
  recipient_run: `
    ${RUNS}
    select ${RUN_COLUMNS.replace('%segment%', '0')},
      ${timeSql('r.executed_at')}, ${namesSql(runStatuses)}[r.status + 1], r.error_count, r.steps
    from r
    join w on w.id = r.workflow_run_id
    where r.recipient_id <> ''
    order by r.id`,
  recipient_run_segment: `
    ${RUNS}, ${found('s', 'recipient_run_id, segment, executed_at, status, error_count, steps', {
      table: 'recipient_run_segment',
      key: 'recipient_run_id',
      ids: WANTED_IDS,
    })}
    select ${RUN_COLUMNS.replace('%segment%', 's.segment')},
      ${timeSql('s.executed_at')}, ${namesSql(runStatuses)}[s.status + 1], s.error_count, s.steps
    from wanted k
    join s on s.recipient_run_id = k.id
      and s.segment = k.number
    join r on r.id = s.recipient_run_id
    join w on w.id = r.workflow_run_id
    where r.recipient_id <> ''
    order by s.recipient_run_id, s.segment`,
  delivery: `
    ${found('d', 'message_id, attempt, attempted_at, status, provider, detail', {
      table: 'delivery',
      key: 'message_id',
      ids: WANTED_IDS,
    })}, ${MESSAGES_OF('select message_id from d')}
    select m.environment_id, m.id, d.attempt, m.collection, m.recipient_id, m.tenant, m.workflow_key, m.workflow_run_id,
      m.recipient_run_id, ${timeSql('d.attempted_at')}, ${namesSql(deliveryStatuses)}[d.status + 1], d.provider, d.detail
    from wanted k
    join d on d.message_id = k.id
      and d.attempt = k.number
    join m on m.id = d.message_id
    order by d.message_id, d.attempt`,
  api_log: `
    ${found(
      'a',
      'environment_id, id, api_key_id, method, route, path, status, duration_us, request, response',
      { table: 'api_log', key: 'id', ids: WANTED_IDS },
    )}
    select a.environment_id, a.id, a.api_key_id, a.method, a.route, a.path, a.status, a.duration_us, a.request, a.response
    from a
    order by a.id`,
};

/** Ids are few beside the tables, and never compared each with each, whatever the planner believes of a list. */
const SETTINGS = {
  ...{
    enable_nestloop: 'off',
    enable_mergejoin: 'off',
    enable_seqscan: 'off',
    enable_bitmapscan: 'off',
  },
  ...{ jit: 'off', work_mem: '32MB', timezone: 'UTC', datestyle: 'ISO' },
} as const;
const SAMPLE = 8;

/**
 * The rows of a source whose keys are those of `wanted`, a query for `id` and `number`, as lines in order of the key. One
 * statement: the text is made where the rows are, so that this process only passes it on.
 */
export async function loadRows(
  db: DatabasePool,
  source: LogSource,
  wanted: string,
  values: readonly unknown[],
): Promise<LoadedRows> {
  const { lines, rows } = await db.copyOut(
    `with wanted as materialized (
      ${inlined(wanted, values)}
    ), ${SOURCES[source]}`,
    SETTINGS,
  );
  const hash = createHash('sha256').update(lines).digest('hex').slice(0, 32);
  const sample = splitLines(lines, SAMPLE).map((line) => String(line).split('\t', 2)[1] ?? '');
  return { source, lines, rows, hash, sample };
}
