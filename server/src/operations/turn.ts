import { type EnvironmentRow, environmentFromRow } from '../accounts/environments.ts';
import type { Context, EnvironmentContext } from '../context.ts';
import { plainArray, textArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import { type BulkCursor, changeNextMessages } from '../feed/bulk-message-status.ts';
import { BelfryError } from '../lib/errors.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Json } from '../lib/json.ts';
import { errorCollection, kindOf, type OperationKind } from './kinds.ts';
import { isOnMessages, messageChange, messageCursor } from './message-operation.ts';
import { itemId, PAGE_ITEMS } from './new-operation.ts';
import { isOver, OPERATION_COLUMNS, type Operation } from './operation.ts';

/** Items of a turn that are done each in a transaction of its own, at the most. */
const ALONE_ITEMS = 20;

/** `ctx.db` is one session whose transactions nest (nested-transactions.ts). */
export type TurnContext = Context & {
  /** Whether an error is the item's fault rather than the database's. */
  readonly isRefusal: (error: unknown) => boolean;
};

/** Where an operation is left. */
type Moved = { readonly processed: number; readonly isOver: boolean };

type Loaded = {
  readonly operation: Operation;
  readonly ctx: EnvironmentContext;
  /** Of the page that the cursor is in; empty of an operation on messages. */
  readonly items: readonly Json[];
};

/**
 * Does the next items of an operation; true when something is left. What is committed is done once, however often the turn
 * is repeated. Throws when the database is away.
 */
export async function turnOperation(ctx: TurnContext, id: string): Promise<boolean> {
  const loaded = await load(ctx, id);
  if (!loaded || isOver(loaded.operation)) return false;
  const { operation } = loaded;
  if (isOnMessages(operation)) return !(await turnMessages(loaded)).isOver;
  const kind = kindOf(operation.name);
  if (kind) return !(await turnItems(ctx, loaded, kind)).isOver;
  ctx.log.error({ operation: id, name: operation.name }, 'a bulk operation is of no known kind');
  await failOperation(ctx, id);
  return false;
}

/** Ends an operation that cannot go on: what is done stays, and is counted. */
export async function failOperation(ctx: Context, id: string): Promise<void> {
  await ctx.db.transaction(async (tx) => {
    const failed = await tx.query(
      `update bulk_operation
       set failed_at = $2,
         updated_at = $2
       where id = $1
         and completed_at is null
         and failed_at is null
       returning 1`,
      [id, new Date(ctx.clock.now())],
    );
    if (failed.length > 0) await dropPages(tx, id);
  });
}

async function load(ctx: Context, id: string): Promise<Loaded | undefined> {
  const [row] = await ctx.db.query<
    Operation & { readonly environment: EnvironmentRow; readonly items: string | null }
  >(
    {
      name: 'load_bulk_operation',
      text: `select ${OPERATION_COLUMNS}, to_json(e) as environment, p.items
             from bulk_operation o
             join environment e on e.id = o.environment_id
             left join bulk_operation_page p
               on p.operation_id = o.id
               and p.page = o.processed / ${PAGE_ITEMS}
             where o.id = $1`,
    },
    [id],
  );
  if (!row) return undefined;
  const { environment, items, ...operation } = row;
  const page: Json[] = items === null ? [] : JSON.parse(items);
  return {
    operation,
    ctx: { ...ctx, environment: environmentFromRow(environment) },
    items: page.slice(operation.processed % PAGE_ITEMS),
  };
}

async function turnItems(
  { isRefusal }: TurnContext,
  { operation, ctx, items }: Loaded,
  kind: OperationKind,
): Promise<Moved> {
  const { input } = operation;
  if (items.length > 1 && kind.isTogether(items)) {
    try {
      return await move(ctx, operation, operation, async () => {
        await kind.apply(ctx, input, items);
        return { count: items.length, refused: [] };
      });
    } catch (error) {
      if (error instanceof Overtaken || !isRefusal(error)) throw error;
    }
  }
  let moved: Moved = { processed: operation.processed, isOver: false };
  for (const item of items.slice(0, ALONE_ITEMS)) {
    moved = await move(ctx, operation, moved, async () => {
      try {
        await ctx.db.transaction(() => kind.apply(ctx, input, [item]));
        return { count: 1, refused: [] };
      } catch (error) {
        if (!isRefusal(error)) throw error;
        if (!(error instanceof BelfryError)) {
          ctx.log.warn({ err: error, operation: operation.id }, 'an item was refused');
        }
        return { count: 1, refused: [itemId(item)] };
      }
    });
  }
  // Of an empty list there is nothing to do but to end.
  return items.length > 0
    ? moved
    : move(ctx, operation, operation, async () => ({ count: 0, refused: [] }));
}

function turnMessages({ operation, ctx }: Loaded): Promise<Moved> {
  return move(ctx, operation, operation, async () => {
    const from = messageCursor(operation);
    const { changed, cursor, isLast } = await changeNextMessages(
      ctx,
      messageChange(operation),
      from,
    );
    return { count: changed, refused: [], cursor, isLast };
  });
}

type Step = {
  readonly count: number;
  /** Ids of the items that were refused. Either all were done, or it is about one. */
  readonly refused: readonly string[];
  /** Of messages: how far they were looked at, and whether no more are left. */
  readonly cursor?: BulkCursor;
  readonly isLast?: boolean;
};

/** Somebody else turns the operation: it is not where it was. */
class Overtaken extends Error {}

/** Whether a turn was in vain because somebody else made it. */
export function isOvertaken(error: unknown): boolean {
  return error instanceof Overtaken;
}

/** The one place where the cursor moves: with what `work` does, in a transaction that begins where `from` is. */
async function move(
  ctx: EnvironmentContext,
  operation: Operation,
  from: { readonly processed: number },
  work: () => Promise<Step>,
): Promise<Moved> {
  const { id, input } = operation;
  const moved = await ctx.db.transaction(async (tx): Promise<Moved> => {
    const [locked] = await tx.query<{ total: number }>(
      `select total
       from bulk_operation
       where id = $1
         and processed = $2
         and after_id is not distinct from $3
         and after_position = $4
         and completed_at is null
         and failed_at is null
       for update`,
      [id, from.processed, operation.after_id, operation.after_position],
    );
    if (!locked) throw new Overtaken();
    const { count, refused, cursor, isLast } = await work();
    const processed = from.processed + count;
    const isDone = isLast ?? processed >= locked.total;
    await tx.query(
      `with refused as (
         insert into bulk_operation_error (operation_id, position, collection, item_id)
         select $1, r.position, $7, r.item_id
         from unnest($5::int[], $6::text[]) as r(position, item_id)
       )
       update bulk_operation
       set processed = $2,
         total = greatest(total, $2),
         error_count = error_count + $4,
         after_id = coalesce($8, after_id),
         after_position = coalesce($10, after_position),
         started_at = coalesce(started_at, $3),
         updated_at = $3,
         completed_at = case when $9 then $3 end
       where id = $1`,
      [
        id,
        processed,
        new Date(ctx.clock.now()),
        refused.length,
        plainArray(refused.map((_, i) => from.processed + i)),
        textArray(refused),
        errorCollection(input),
        cursor?.afterId ?? null,
        isDone,
        cursor?.position ?? null,
      ],
    );
    if (isDone) await dropPages(tx, id);
    faultPoint('operation.before-commit');
    return { processed, isOver: isDone };
  });
  faultPoint('operation.after-commit');
  return moved;
}

async function dropPages(tx: Queryable, id: string): Promise<void> {
  await tx.query('delete from bulk_operation_page where operation_id = $1', [id]);
}
