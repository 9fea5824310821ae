import { channelTypes } from '../../channels/channel-type.ts';
import type { Database } from '../../db/database.ts';
import { deliveryStatuses } from '../../feed/delivery-status.ts';
import { messageEventNames } from '../../feed/message-event-type.ts';
import { runStatuses } from '../../runs/run-status.ts';
import type { LogBatch, LogSource } from '../log-store.ts';

/** Rows of one batch at the most: about 8 MB of lines, of API logs, whose bodies may be 32 KB, twice that. */
export const MOST_ROWS: Readonly<Record<LogSource, number>> = {
  message_event: 20_000,
  recipient_run: 10_000,
  recipient_run_segment: 10_000,
  delivery: 10_000,
  api_log: 500,
};

export type LoadedRows = LogBatch & {
  /** Of the keys that were asked for. */
  readonly hash: string;
  /** Ids of some of the rows. */
  readonly sample: readonly string[];
};

const namesSql = (names: readonly string[]): string =>
  `(array[${names.map((name) => `'${name}'`).join(', ')}])`;

const timeSql = (column: string): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')`;

const RUN_LINE = `w.environment_id, r.id, %segment%, r.collection, r.recipient_id, w.tenant, w.workflow_key, w.id`;

/** The query for each source's lines over `wanted k`, whose columns are `id` and `number`. What was deleted meanwhile is left out. */
const SOURCES: Readonly<Record<LogSource, string>> = {
  message_event: `
    select e.id, json_build_array(
      e.environment_id, e.id, ${timeSql('e.inserted_at')}, (${messageEventNames})[e.type], coalesce(e.data::text, ''),
      m.id, m.channel_id, ${namesSql(channelTypes)}[m.channel_type], m.collection, m.recipient_id, m.tenant, m.workflow_key,
      m.workflow_run_id, m.recipient_run_id, m.step_ref
    )::text as line
    from wanted k
    join message_event e on e.id = k.id
    join message m on m.id = e.message_id`,
  recipient_run: `
    select r.id, json_build_array(
      ${RUN_LINE.replace('%segment%', '0')},
      ${timeSql('r.executed_at')}, ${namesSql(runStatuses)}[r.status + 1], r.error_count, r.steps::text
    )::text as line
    from wanted k
    join recipient_run r on r.id = k.id
    join workflow_run w on w.id = r.workflow_run_id
    where r.recipient_id <> ''`,
  recipient_run_segment: `
    select r.id, json_build_array(
      ${RUN_LINE.replace('%segment%', 's.segment')},
      ${timeSql('s.executed_at')}, ${namesSql(runStatuses)}[s.status + 1], s.error_count, s.steps::text
    )::text as line
    from wanted k
    join recipient_run_segment s on s.recipient_run_id = k.id
      and s.segment = k.number
    join recipient_run r on r.id = s.recipient_run_id
    join workflow_run w on w.id = r.workflow_run_id
    where r.recipient_id <> ''`,
  delivery: `
    select m.id, json_build_array(
      m.environment_id, m.id, d.attempt, m.collection, m.recipient_id, m.tenant, m.workflow_key, m.workflow_run_id,
      m.recipient_run_id, ${timeSql('d.attempted_at')}, ${namesSql(deliveryStatuses)}[d.status + 1], d.provider,
      d.detail::text
    )::text as line
    from wanted k
    join delivery d on d.message_id = k.id
      and d.attempt = k.number
    join message m on m.id = d.message_id`,
  api_log: `
    select a.id, json_build_array(
      a.environment_id, a.id, a.api_key_id, a.method, a.route, a.path, a.status, a.duration_us, a.request, a.response
    )::text as line
    from wanted k
    join api_log a on a.id = k.id`,
};

const SAMPLE = 8;

/**
 * The rows of a source whose keys are those of `wanted`, a query for `id` and `number` in an order of its own, as lines. One
 * statement: the text is made where the rows are, so that this process only passes it on.
 */
export async function loadRows(
  db: Database,
  source: LogSource,
  wanted: string,
  values: readonly unknown[],
): Promise<LoadedRows> {
  return db.transaction(async (tx) => {
    // Ids are few beside the tables, whatever the planner believes of a list.
    await tx.query(
      `select set_config('enable_hashjoin', 'off', true),
        set_config('enable_mergejoin', 'off', true),
        set_config('enable_seqscan', 'off', true),
        set_config('jit', 'off', true),
        set_config('work_mem', '32MB', true)`,
    );
    const [row] = await tx.query<Omit<LoadedRows, 'source' | 'lines'> & { lines: string | null }>(
      `with wanted as materialized (
        ${wanted}
      ), row as (
        ${SOURCES[source]}
      )
      select string_agg(line, E'\\n') as lines, count(*)::int as rows,
        (array_agg(id::text))[1:${SAMPLE}] as sample,
        coalesce(
          (select md5(string_agg(uuid_send(id) || coalesce(int2send(number), ''), '')) from wanted),
          ''
        ) as hash
      from row`,
      values,
    );
    return {
      source,
      lines: row?.lines ?? '',
      rows: row?.rows ?? 0,
      sample: row?.sample ?? [],
      hash: row?.hash ?? '',
    };
  });
}
