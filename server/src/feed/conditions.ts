import type { FeedFilter, TimeRange } from './feed-filter.ts';
import { COMPARED_CHARACTERS, type TriggerData } from './trigger-data.ts';

/** The values of a statement while it is put together. */
export type Values = {
  readonly list: readonly unknown[];
  /** Adds a value and returns its placeholder. */
  readonly add: (value: unknown) => string;
};

export function createValues(...initial: readonly unknown[]): Values {
  const list = [...initial];
  return { list, add: (value) => `$${list.push(value)}` };
}

/*
 * The conditions below are over `message m`, `workflow_run r` and `workflow_version v`.
 * A recipient's own trigger data, where it has some, is in the message; else the run's counts.
 */
export const JOINED_TABLES = `message m
join workflow_version v on v.id = m.version_id
left join workflow_run r on r.id = m.workflow_run_id`;

/** The tables that the conditions of these filters are over. */
export function feedTables(filters: readonly FeedFilter[]): string {
  return needsVersion(filters)
    ? JOINED_TABLES
    : 'message m\nleft join workflow_run r on r.id = m.workflow_run_id';
}

/** Whether a condition of these filters is over `workflow_version v`. */
export function needsVersion(filters: readonly FeedFilter[]): boolean {
  return filters.some(({ workflowCategories }) => workflowCategories);
}

/** Of a message that waited for its send window: it has left. */
export const HAS_LEFT = 'exists (select from delivery arrival where arrival.message_id = m.id)';

/** What waits for its send window is in no feed, and nobody can have seen it. */
export const HAS_ARRIVED = `(m.scheduled_at is null
  or ${HAS_LEFT})`;

/** Those that an item in the view meets. */
export function feedConditions(filter: FeedFilter, values: Values): string[] {
  return [HAS_ARRIVED, ...lastingConditions(filter, values), ...changingConditions(filter)];
}

/** Those that are true or false for the whole life of an item that has arrived. */
export function lastingConditions(filter: FeedFilter, values: Values): string[] {
  const conditions = timeConditions(filter.insertedAt, values);
  if (filter.source !== undefined) conditions.push(`m.workflow_key = ${values.add(filter.source)}`);
  if (filter.tenant !== undefined) {
    const tenant = `m.tenant = ${values.add(filter.tenant)}`;
    conditions.push(filter.hasTenant === undefined ? `(${tenant} or m.tenant is null)` : tenant);
  }
  if (filter.hasTenant === true) conditions.push('m.tenant is not null');
  if (filter.hasTenant === false) conditions.push('m.tenant is null');
  if (filter.workflowCategories) {
    conditions.push(categoryCondition(filter.workflowCategories, values));
  }
  if (filter.triggerData) conditions.push(...triggerDataConditions(filter.triggerData, values));
  return conditions;
}

/** Those that change with what the user does. */
export function changingConditions(filter: FeedFilter): string[] {
  const status = {
    all: [],
    unread: ['m.read_at is null'],
    read: ['m.read_at is not null'],
    unseen: ['m.seen_at is null'],
    seen: ['m.seen_at is not null'],
  }[filter.status];
  const archived = {
    exclude: ['m.archived_at is null'],
    include: [],
    only: ['m.archived_at is not null'],
  }[filter.archived];
  return [...status, ...archived];
}

/** Whether an item that nobody has touched yet would show. */
export function showsNewItems(filter: FeedFilter): boolean {
  return filter.status !== 'read' && filter.status !== 'seen' && filter.archived !== 'only';
}

export function timeConditions(range: TimeRange, values: Values): string[] {
  const operators = [
    ['>', range.gt],
    ['>=', range.gte],
    ['<', range.lt],
    ['<=', range.lte],
  ] as const;
  // The wire has milliseconds, the column microseconds: `lte` of a shown time must include it.
  return operators.flatMap(([operator, date]) =>
    date ? [`date_trunc('milliseconds', m.inserted_at) ${operator} ${values.add(date)}`] : [],
  );
}

export function categoryCondition(categories: readonly string[], values: Values): string {
  return `coalesce(v.content -> 'categories', '[]') ?| ${values.add(categories)}::text[]`;
}

/** `holder` is a column with the whole data; absent: the message's own over its run's. */
export function triggerDataConditions(
  data: TriggerData,
  values: Values,
  holder?: string,
): string[] {
  return data.map(([key, value]) => {
    const name = `${values.add(key)}::text`;
    const item = holder
      ? `(${holder} -> ${name})`
      : `coalesce(m.trigger_data -> ${name}, r.data -> ${name})`;
    if (typeof value !== 'string') return `${item} = ${values.add(JSON.stringify(value))}::jsonb`;
    const text = values.add(value.slice(0, COMPARED_CHARACTERS));
    return `(jsonb_typeof(${item}) = 'string' and left((${item}) #>> '{}', ${COMPARED_CHARACTERS}) = ${text})`;
  });
}

export function allOf(conditions: readonly string[]): string {
  return conditions.length === 0 ? 'true' : conditions.join('\n  and ');
}

/** Trigger data with more characters than this is in no list: fifty rows of it would be a flood. */
const SHOWN_DATA = 65_536;

/** The trigger's data, or null where it is too large to show. */
export const RUN_DATA = `case when coalesce(r.data_size, 0) <= ${SHOWN_DATA} then r.data end`;
