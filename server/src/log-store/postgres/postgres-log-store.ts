import { channelTypeFromNumber } from '../../channels/channel-type.ts';
import type { Database, Queryable } from '../../db/database.ts';
import { sqlState } from '../../db/database.ts';
import { createValues } from '../../feed/conditions.ts';
import { messageEventTypes } from '../../feed/message-event-type.ts';
import { cutPage, type PageRequest, readsBackward } from '../../feed/page.ts';
import { lowestUuidAt } from '../../lib/address.ts';
import { BelfryError } from '../../lib/errors.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { EventFilter, HourCount, LogEvent, LogEventPage, LogStore } from '../log-store.ts';
import { candidatesSql, conditionsSql, MOST_CANDIDATES } from './candidates.ts';

const TIMEOUT_MS = 5_000;
const QUERY_CANCELED = '57014';

const typeNumbers: ReadonlyMap<string, number> = new Map(Object.entries(messageEventTypes));
const typeNames: ReadonlyMap<number, string> = new Map(
  Object.entries(messageEventTypes).map(([name, type]) => [type, name]),
);

type EventRow = {
  readonly id: string;
  readonly type: number;
  readonly data: JsonObject | null;
  readonly inserted_at: Date;
  readonly message_id: string;
  readonly channel_id: string;
  readonly channel_type: number;
  readonly collection: string;
  readonly recipient_id: string;
  readonly tenant: string | null;
  readonly workflow_key: string;
  readonly workflow_run_id: string;
  readonly recipient_run_id: string;
  readonly step_ref: string;
};

const COLUMNS = `e.id, e.type, e.data, e.inserted_at, e.message_id, m.channel_id, m.channel_type, m.collection, m.recipient_id,
    m.tenant, m.workflow_key, m.workflow_run_id, m.recipient_run_id, m.step_ref`;

/** The live tables: always of now. A search takes `timeoutMs` at the most. */
export function createPostgresLogStore(db: Database, timeoutMs = TIMEOUT_MS): LogStore {
  return {
    searchEvents: (filter, page) => inTime(db, timeoutMs, (tx) => search(tx, filter, page)),
    countsPerHour: (filter) => inTime(db, timeoutMs, (tx) => count(tx, filter)),
    close: async () => undefined,
  };
}

async function search(
  tx: Queryable,
  filter: EventFilter,
  page: PageRequest,
): Promise<LogEventPage> {
  const values = createValues(page.size + 1);
  const source = await sourceSql(tx, filter, values.add);
  const conditions = [...source.conditions];
  if (page.after !== undefined) conditions.push(`e.id < ${values.add(page.after)}`);
  else if (page.before !== undefined) conditions.push(`e.id > ${values.add(page.before)}`);
  // A few are sorted; of many a walk down the ids ends where the page is full.
  if (!source.isSmall) await tx.query('set local enable_sort = off');
  const rows = await tx.query<EventRow>(
    `${source.with}
    select ${COLUMNS}
    from ${source.from}
    where ${conditions.join('\n      and ')}
    order by e.id ${readsBackward(page) ? 'asc' : 'desc'}
    limit $1`,
    values.list,
  );
  const { rows: kept, info } = cutPage(page, rows);
  return { events: kept.map(eventOf), pageInfo: info };
}

async function count(tx: Queryable, filter: EventFilter): Promise<readonly HourCount[]> {
  const values = createValues();
  const source = await sourceSql(tx, filter, values.add);
  // All of them are read: in the order in which they lie.
  if (!source.isSmall) {
    await tx.query('set local enable_hashjoin = on');
    await tx.query('set local enable_seqscan = on');
  }
  const rows = await tx.query<{ hour: number; type: number; count: number }>(
    `${source.with}
    select floor(extract(epoch from e.inserted_at) / 3600)::float8 as hour, e.type, count(*)::float8 as count
    from ${source.from}
    where ${source.conditions.join('\n      and ')}
    group by 1, 2`,
    values.list,
  );
  return rows
    .map((row) => ({
      hour: new Date(row.hour * 3_600_000).toISOString(),
      type: typeNames.get(row.type) ?? '',
      count: row.count,
    }))
    .sort((a, b) => (a.hour + a.type < b.hour + b.type ? -1 : 1));
}

type Source = {
  readonly isSmall: boolean;
  readonly with: string;
  readonly from: string;
  readonly conditions: readonly string[];
};

/** The events of a filter: those of its messages, when these are few; otherwise all events, with their messages. */
async function sourceSql(
  tx: Queryable,
  filter: EventFilter,
  add: (value: unknown) => string,
): Promise<Source> {
  const probe = createValues();
  const probed = candidatesSql(filter, probe.add);
  const [found] = await tx.query<{ count: number }>(
    `select count(*)::int as count
    from (
      ${probed}
      limit ${MOST_CANDIDATES + 1}
    ) candidate`,
    probe.list,
  );
  const isSmall = (found?.count ?? 0) <= MOST_CANDIDATES;
  const types = (filter.types ?? []).flatMap((name) => typeNumbers.get(name) ?? []);
  const conditions = [
    `e.environment_id = ${add(filter.environmentId)}`,
    `e.id >= ${add(lowestUuidAt(filter.fromMs))}`,
    `e.id < ${add(lowestUuidAt(filter.untilMs))}`,
    ...conditionsSql(filter, types, add),
  ];
  if (!isSmall) {
    return {
      isSmall,
      with: '',
      from: 'message_event e\n    join message m on m.id = e.message_id',
      conditions,
    };
  }
  return {
    isSmall,
    with: `with candidate as materialized (
      ${candidatesSql(filter, add)}
    )`,
    from: 'candidate c\n    join message_event e on e.message_id = c.id\n    join message m on m.id = c.id',
    conditions,
  };
}

function eventOf(row: EventRow): LogEvent {
  return {
    id: row.id,
    type: typeNames.get(row.type) ?? '',
    insertedAt: row.inserted_at.toISOString(),
    data: row.data,
    messageId: row.message_id,
    channelId: row.channel_id,
    channelType: channelTypeFromNumber(row.channel_type) ?? 'unknown',
    collection: row.collection,
    recipientId: row.recipient_id,
    tenant: row.tenant,
    workflow: row.workflow_key,
    workflowRunId: row.workflow_run_id,
    recipientRunId: row.recipient_run_id,
    stepRef: row.step_ref,
  };
}

/** One transaction whose statements go by indexes, within five seconds. */
async function inTime<Result>(
  db: Database,
  timeoutMs: number,
  work: (tx: Queryable) => Promise<Result>,
): Promise<Result> {
  try {
    return await db.transaction(async (tx) => {
      // The planner knows neither how far apart matches lie nor that a page ends the walk.
      await tx.query(
        `select set_config('statement_timeout', '${timeoutMs}', true),
          set_config('enable_hashjoin', 'off', true),
          set_config('enable_mergejoin', 'off', true),
          set_config('enable_seqscan', 'off', true),
          set_config('jit', 'off', true)`,
      );
      return await work(tx);
    });
  } catch (error) {
    if (sqlState(error) !== QUERY_CANCELED) throw error;
    throw new BelfryError(
      'overloaded',
      'Too many events lie between those that match; narrow the time with from and until, or name a recipient, message or run',
    );
  }
}
