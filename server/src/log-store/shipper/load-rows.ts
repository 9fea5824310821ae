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

const RUN_COLUMNS = `w.environment_id, r.id, %segment%, r.collection, r.recipient_id, w.tenant, w.workflow_key, w.id`;

/**
 * The query for each source's rows over `wanted k`, whose columns are `id` and `number`; the second column is the id. What was deleted
 * meanwhile is left out.
 */
const SOURCES: Readonly<Record<LogSource, string>> = {
  message_event: `
    select e.environment_id, e.id, ${timeSql('e.inserted_at')}, (${messageEventNames})[e.type], coalesce(e.data::text, ''),
      m.id, m.channel_id, ${namesSql(channelTypes)}[m.channel_type], m.collection, m.recipient_id, m.tenant, m.workflow_key,
      m.workflow_run_id, m.recipient_run_id, m.step_ref
    from wanted k
    join message_event e on e.id = k.id
    join message m on m.id = e.message_id`,
  recipient_run: `
    select ${RUN_COLUMNS.replace('%segment%', '0')},
      ${timeSql('r.executed_at')}, ${namesSql(runStatuses)}[r.status + 1], r.error_count, r.steps
    from wanted k
    join recipient_run r on r.id = k.id
    join workflow_run w on w.id = r.workflow_run_id
    where r.recipient_id <> ''`,
  recipient_run_segment: `
    select ${RUN_COLUMNS.replace('%segment%', 's.segment')},
      ${timeSql('s.executed_at')}, ${namesSql(runStatuses)}[s.status + 1], s.error_count, s.steps
    from wanted k
    join recipient_run_segment s on s.recipient_run_id = k.id
      and s.segment = k.number
    join recipient_run r on r.id = s.recipient_run_id
    join workflow_run w on w.id = r.workflow_run_id
    where r.recipient_id <> ''`,
  delivery: `
    select m.environment_id, m.id, d.attempt, m.collection, m.recipient_id, m.tenant, m.workflow_key, m.workflow_run_id,
      m.recipient_run_id, ${timeSql('d.attempted_at')}, ${namesSql(deliveryStatuses)}[d.status + 1], d.provider, d.detail
    from wanted k
    join delivery d on d.message_id = k.id
      and d.attempt = k.number
    join message m on m.id = d.message_id`,
  api_log: `
    select a.environment_id, a.id, a.api_key_id, a.method, a.route, a.path, a.status, a.duration_us, a.request, a.response
    from wanted k
    join api_log a on a.id = k.id`,
};

/** Ids are few beside the tables, whatever the planner believes of a list. */
const SETTINGS = {
  ...{ enable_hashjoin: 'off', enable_mergejoin: 'off', enable_seqscan: 'off' },
  ...{ jit: 'off', work_mem: '32MB', timezone: 'UTC', datestyle: 'ISO' },
} as const;
const SAMPLE = 8;

/**
 * The rows of a source whose keys are those of `wanted`, a query for `id` and `number` in an order of its own, as lines. One
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
    )
    ${SOURCES[source]}`,
    SETTINGS,
  );
  const hash = createHash('sha256').update(lines).digest('hex').slice(0, 32);
  const sample = splitLines(lines, SAMPLE).map((line) => String(line).split('\t', 2)[1] ?? '');
  return { source, lines, rows, hash, sample };
}
