import { cutPage, type PageRequest, readsBackward } from '../../feed/page.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { EventFilter, HourCount, LogEvent, LogEventPage, LogStore } from '../log-store.ts';
import { readStoreId } from './clickhouse-sink.ts';
import { type ClickHouse, connectClickHouse } from './connect.ts';

const QUERY_MS = 10_000;

type Params = Record<string, unknown>;

type EventRow = Omit<LogEvent, 'data'> & { readonly data: string };

const COLUMNS = `toString(id) as id, type, toString(toUnixTimestamp64Milli(inserted_at)) as insertedAt, data, toString(message_id) as messageId,
    toString(channel_id) as channelId, channel_type as channelType, collection, recipient_id as recipientId, tenant, workflow,
    toString(workflow_run_id) as workflowRunId, toString(run_id) as recipientRunId, step_ref as stepRef`;

export type NamedLogStore = LogStore & {
  /** The id that the shipper gave it; undefined: none yet. */
  readonly id: () => Promise<string | undefined>;
};

/** Searches in a ClickHouse that the shipper fills. */
export async function createClickHouseLogStore(url: string): Promise<NamedLogStore> {
  const clickHouse = await connectClickHouse(url, { requestMs: QUERY_MS, connections: 8 });
  return {
    searchEvents: (filter, page) => search(clickHouse, filter, page),
    countsPerHour: (filter) => count(clickHouse, filter),
    id: () => readStoreId(clickHouse),
    close: clickHouse.close,
  };
}

async function search(
  clickHouse: ClickHouse,
  filter: EventFilter,
  page: PageRequest,
): Promise<LogEventPage> {
  const params: Params = { size: page.size + 1 };
  const conditions = conditionsOf(filter, params);
  const cursor = page.after ?? page.before;
  const isBackward = readsBackward(page);
  if (cursor !== undefined) {
    const [than, order] = isBackward ? ['>', '>='] : ['<', '<='];
    params.cursor = cursor;
    params.cursorMs = timeOf(cursor);
    const time = "fromUnixTimestamp64Milli({cursorMs: Int64}, 'UTC')";
    // The table is in the order of times; of the same millisecond ids compare by their bytes.
    conditions.push(
      `event.at ${order} ${time}`,
      `(event.at ${than} ${time} or UUIDToNum(event.id) ${than} UUIDToNum({cursor: UUID}))`,
    );
  }
  const direction = isBackward ? 'asc' : 'desc';
  // The whole key of the table, so that it is read in its order and no further than the page.
  const order = ['event.environment_id', 'event.at', 'UUIDToNum(event.id)']
    .map((column) => `${column} ${direction}`)
    .join(', ');
  const read = (once: string): Promise<readonly EventRow[]> =>
    clickHouse.rows<EventRow>(
      `select ${COLUMNS}
      from event
      where ${conditions.join('\n        and ')}
      order by ${order}
      ${once}
      limit {size: UInt32}`,
      params,
    );
  const rows = await read('');
  // What came twice is rare, and leaving it out while reading costs every search ten times as much.
  const isTwice = new Set(rows.map(({ id }) => id)).size < rows.length;
  const once = isTwice ? await read('limit 1 by event.id') : rows;
  const { rows: kept, info } = cutPage(page, once.map(eventOf));
  return { events: kept, pageInfo: info };
}

async function count(clickHouse: ClickHouse, filter: EventFilter): Promise<readonly HourCount[]> {
  const params: Params = {};
  const conditions = conditionsOf(filter, params);
  const rows = await clickHouse.rows<{ hour: number; type: string; count: number }>(
    `select toUInt32(toStartOfHour(inserted_at)) as hour, type, toFloat64(count()) as count
    from event final
    where ${conditions.join('\n      and ')}
    group by hour, type
    settings do_not_merge_across_partitions_select_final = 1`,
    params,
  );
  return rows
    .map((row) => ({
      hour: new Date(row.hour * 1_000).toISOString(),
      type: row.type,
      count: row.count,
    }))
    .sort((a, b) => (a.hour + a.type < b.hour + b.type ? -1 : 1));
}

function conditionsOf(filter: EventFilter, params: Params): string[] {
  const add = (name: string, type: string, value: unknown): string => {
    params[name] = value;
    return `{${name}: ${type}}`;
  };
  const time = (name: string, ms: number): string =>
    `fromUnixTimestamp64Milli(${add(name, 'Int64', ms)}, 'UTC')`;
  const conditions = [
    `event.environment_id = ${add('environment', 'UInt32', filter.environmentId)}`,
    `event.at >= ${time('from', filter.fromMs)}`,
    `event.at < ${time('until', filter.untilMs)}`,
  ];
  const { recipient, tenant, workflow, channelId, types, messageId, runId } = filter;
  if (types) conditions.push(`event.type in (${add('types', 'Array(String)', types)})`);
  if (messageId !== undefined) {
    conditions.push(`event.message_id = ${add('message', 'UUID', messageId)}`);
  }
  if (runId !== undefined) conditions.push(`event.run_id = ${add('run', 'UUID', runId)}`);
  if (recipient) {
    conditions.push(`event.recipient_id = ${add('recipient', 'String', recipient.id)}`);
    conditions.push(`event.collection = ${add('collection', 'String', recipient.collection)}`);
  }
  if (tenant !== undefined) conditions.push(`event.tenant = ${add('tenant', 'String', tenant)}`);
  if (workflow !== undefined) {
    conditions.push(`event.workflow = ${add('workflow', 'String', workflow)}`);
  }
  if (channelId !== undefined) {
    conditions.push(`event.channel_id = ${add('channel', 'UUID', channelId)}`);
  }
  return conditions;
}

function eventOf({ data, insertedAt, ...row }: EventRow): LogEvent {
  return {
    ...row,
    insertedAt: new Date(Number(insertedAt)).toISOString(),
    data: data === '' ? null : (JSON.parse(data) as JsonObject),
  };
}

/** Milliseconds in the first 48 bits of an id. */
function timeOf(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
