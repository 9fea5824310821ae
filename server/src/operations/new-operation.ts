import type { EnvironmentContext } from '../context.ts';
import { plainArray, textArray } from '../db/array-literal.ts';
import { invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { timeOrderedUuid } from '../lib/uuid.ts';
import { parseId } from '../recipients/reference.ts';
import { OPERATION_COLUMNS, type Operation } from './operation.ts';

/** Items of a request, at the most. */
const ITEM_LIMIT = 1_000;
/** Items of a row, which is what a turn takes at the most. */
export const PAGE_ITEMS = 100;
/** Operations of an environment that are not over, at the most. */
export const OPEN_OPERATIONS = 100;

/** What a request asks for, before it is stored. */
export type NewOperation = {
  readonly operation: Operation;
  readonly items: readonly Json[];
};

/** An operation of a kind (kinds.ts) on these items, which are parsed when their turn comes. */
export function newOperation(
  ctx: EnvironmentContext,
  {
    name,
    input = {},
    items = [],
  }: { readonly name: string; readonly input?: JsonObject; readonly items?: readonly Json[] },
): NewOperation {
  const nowMs = ctx.clock.now();
  const now = new Date(nowMs);
  return {
    items,
    operation: {
      id: timeOrderedUuid(nowMs),
      environment_id: ctx.environment.id,
      name,
      input,
      total: items.length,
      processed: 0,
      error_count: 0,
      after_id: null,
      after_position: 0,
      inserted_at: now,
      updated_at: now,
      started_at: null,
      completed_at: null,
      failed_at: null,
    },
  };
}

/**
 * The items of a request: up to 1,000 ids, or objects with an id; `bare` and `objects` say which of them may be there. Throws
 * 422. What they say beyond the id is not looked at.
 */
export function parseItems(
  value: unknown,
  field: string,
  allowed: { readonly bare: boolean; readonly objects: boolean },
): Json[] {
  if (!Array.isArray(value)) throw invalidField(field, 'must be a list');
  if (value.length > ITEM_LIMIT) {
    throw invalidField(field, `must have at most ${ITEM_LIMIT} entries, not ${value.length}`);
  }
  return value.map((item: unknown, index): Json => {
    const at = `${field}[${index}]`;
    if (!allowed.objects || (allowed.bare && !isJsonObject(item))) return parseId(item, at);
    if (!isJsonObject(item)) throw invalidField(at, 'must be an object');
    parseId(item.id, `${at}.id`);
    return item;
  });
}

/** The id of an item that `parseItems` let through. */
export function itemId(item: Json): string {
  return isJsonObject(item) ? String(item.id) : String(item);
}

/**
 * Stores an operation with its items, as CTEs whose parameters are numbered from `first`. `claim` has a row, unless too
 * many operations of the environment are open.
 */
export function storeSql(first: number): string {
  const p = (offset: number): string => `$${first + offset}`;
  return `claim as (
  insert into bulk_operation (id, environment_id, name, input, total, inserted_at, updated_at)
  select ${p(0)}::uuid, ${p(1)}::int, ${p(2)}, ${p(3)}::jsonb, ${p(4)}::int, ${p(5)}::timestamptz, ${p(5)}::timestamptz
  where (
    select count(*)
    from bulk_operation
    where environment_id = ${p(1)}
      and completed_at is null
      and failed_at is null
  ) < ${OPEN_OPERATIONS}
  returning id
), pages as (
  insert into bulk_operation_page (operation_id, page, items)
  select claim.id, p.page, p.items
  from claim, unnest(${p(6)}::int[], ${p(7)}::text[]) as p(page, items)
)`;
}

/** The values for `storeSql`, in order. */
export function storeValues({ operation, items }: NewOperation): unknown[] {
  const pages: string[] = [];
  for (let from = 0; from < items.length; from += PAGE_ITEMS) {
    pages.push(JSON.stringify(items.slice(from, from + PAGE_ITEMS)));
  }
  return [
    operation.id,
    operation.environment_id,
    operation.name,
    JSON.stringify(operation.input),
    operation.total,
    operation.inserted_at.toISOString(),
    plainArray(pages.keys().toArray()),
    textArray(pages),
  ];
}

/** Records an operation on `count` things that were done, all of them, before the answer. */
export async function recordDone(
  ctx: EnvironmentContext,
  input: { readonly name: string; readonly count: number; readonly startedMs: number },
): Promise<Operation> {
  const startedAt = new Date(input.startedMs);
  const now = new Date(ctx.clock.now());
  const [operation] = await ctx.db.query<Operation>(
    `insert into bulk_operation as o
       (id, environment_id, name, input, total, processed, inserted_at, started_at, updated_at, completed_at)
     values ($1, $2, $3, '{}', $4, $4, $5, $5, $6, $6)
     returning ${OPERATION_COLUMNS}`,
    [timeOrderedUuid(input.startedMs), ctx.environment.id, input.name, input.count, startedAt, now],
  );
  if (!operation) throw new Error('an operation was not recorded');
  return operation;
}
