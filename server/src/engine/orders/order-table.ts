import { writeAudit } from '../../accounts/audit.ts';
import type { Database, Queryable } from '../../db/database.ts';
import { BelfryError } from '../../lib/errors.ts';
import type { GiveOrder, Order, OrderCounts, OrderScope } from '../engine.ts';
import { CALLS, DELIVERIES, RUNS, SLICE_RUNS } from '../log/chunk.ts';
import { asideSlot } from '../log/slots.ts';
import { changeOrders, LOCK_ATTEMPTS } from './change-orders.ts';
import { SCOPE_COLUMNS, type ScopeRow, scopeOfRow } from './rules.ts';

/** Every run's trigger is compared with each of them. */
const MAX_ACTIVE = 100;

type OrderRow = ScopeRow & {
  readonly id: number;
  readonly verb: Order['verb'];
  readonly author: string;
  readonly reason: string;
  readonly runs_per_second: number | null;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly ended_at: Date | null;
  readonly ended_by: string | null;
  readonly end_reason: string | null;
  readonly dropped_at: Date | null;
};

const COLUMNS = `id, verb, author, reason, runs_per_second, created_at, expires_at, ended_at, ended_by, end_reason,
  dropped_at, ${SCOPE_COLUMNS}`;

/**
 * Writes an order down; from its commit on nothing that was evaluated without it is written. What it concerns is
 * null where that is not known.
 */
export async function insertOrder(
  db: Database,
  nowMs: number,
  input: GiveOrder,
  concerned: OrderCounts | null,
): Promise<Order> {
  const { scope } = input;
  return changeOrders(db, async (tx) => {
    const [active] = await tx.query<{ count: number }>(
      'select count(*) from work_order where ended_at is null and dropped_at is null',
    );
    if ((active?.count ?? 0) >= MAX_ACTIVE) {
      throw new BelfryError(
        'conflict',
        `${MAX_ACTIVE} orders are in force, which is the limit; end one of them first`,
      );
    }
    const [row] = await tx.query<OrderRow>(
      `insert into work_order
         (verb, account_id, environment_id, api_key_id, workflow_key, tenant, accepted_from, accepted_before,
          author, reason, runs_per_second, created_at, expires_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
       returning ${COLUMNS}`,
      [
        input.verb,
        scope.accountId,
        scope.environmentId,
        scope.apiKeyId,
        scope.workflow,
        scope.tenant,
        scope.acceptedFrom,
        scope.acceptedBefore,
        input.author,
        input.reason,
        input.runsPerSecond,
        new Date(nowMs),
        input.expiresAt,
      ],
    );
    if (!row) throw new Error('an order was inserted and not returned');
    const order = orderOf(row);
    const { runs = null, deliveries = null, estimated = null } = concerned ?? {};
    const { author, reason } = order;
    await writeAudit(
      tx,
      {
        ...{ author, reason, scope, orderId: order.id },
        action: order.verb,
        concerned: { runs, deliveries, estimated },
      },
      nowMs,
    );
    return order;
  });
}

/**
 * Ends an order: what it set aside is done from now on. Throws when there is nothing left to end. Everybody who
 * writes results waits while it tries to have the lock: who comes again anyway tries once.
 */
export async function endOrder(
  db: Database,
  nowMs: number,
  id: number,
  by: { readonly author: string; readonly reason: string },
  attempts = LOCK_ATTEMPTS,
): Promise<Order> {
  return changeOrders(
    db,
    async (tx) => {
      const [row] = await tx.query<OrderRow>(
        `update work_order
       set ended_at = $2,
           ended_by = $3,
           end_reason = $4
       where id = $1
         and ended_at is null
         and dropped_at is null
       returning ${COLUMNS}`,
        [id, new Date(nowMs), by.author, by.reason],
      );
      if (!row) throw whyNotEnded(await readOrder(tx, id));
      const order = orderOf(row);
      const action = order.verb === 'discard' ? 'replay' : 'release';
      await writeAudit(
        tx,
        { ...by, action, orderId: id, scope: order.scope, concerned: {} },
        nowMs,
      );
      return order;
    },
    attempts,
  );
}

/** From now on the order's data is dropped and cannot be replayed. */
export async function dropOrder(db: Database, nowMs: number, id: number): Promise<void> {
  await db.transaction(async (tx) => {
    const [row] = await tx.query<OrderRow>(
      `update work_order
       set dropped_at = $2
       where id = $1
         and ended_at is null
         and dropped_at is null
       returning ${COLUMNS}`,
      [id, new Date(nowMs)],
    );
    if (!row) return;
    const counts = await countAside(tx, id);
    await writeAudit(
      tx,
      { ...EXPIRY, action: 'drop', orderId: id, scope: scopeOfRow(row), concerned: counts },
      nowMs,
    );
  });
}

/** Who ends orders that nobody ended. */
export const EXPIRY = { author: 'belfry', reason: 'the order expired' } as const;

export async function readOrder(db: Queryable, id: number): Promise<Order> {
  const rows = await db.query<OrderRow>(`select ${COLUMNS} from work_order where id = $1`, [id]);
  const [row] = rows;
  if (!row)
    throw new BelfryError('resource_missing', `There is no order ${id}; belfry orders lists them`);
  return orderOf(row);
}

/** The newest first. Active: neither ended nor dropped. */
export async function listOrders(
  db: Queryable,
  input: { readonly active?: boolean; readonly limit: number },
): Promise<Order[]> {
  const rows = await db.query<OrderRow>(
    `select ${COLUMNS}
     from work_order
     where $1::bool is null
        or (ended_at is null and dropped_at is null) = $1
     order by id desc
     limit $2`,
    [input.active, input.limit],
  );
  return rows.map(orderOf);
}

/** What an order set aside and nobody has done yet. */
export async function countAside(
  db: Queryable,
  id: number,
): Promise<{ readonly runs: number; readonly deliveries: number }> {
  const slot = asideSlot(id);
  const [row] = await db.query<{ runs: number; deliveries: number }>(
    `select coalesce(sum(open.runs) filter (where c.kind in (${RUNS}, ${CALLS})), 0)::bigint as runs,
            coalesce(sum(open.runs) filter (where c.kind = ${DELIVERIES}), 0)::bigint as deliveries
     from chunk_${slot} c
     cross join lateral (
       select c.run_count - coalesce(sum(
         case when c.kind = ${RUNS} then least(${SLICE_RUNS}, c.run_count - r.slice * ${SLICE_RUNS}) else 1 end
       ), 0) as runs
       from receipt_${slot} r
       where r.stream = c.stream
         and r.sequence = c.sequence
     ) open
     where c.order_id = $1`,
    [id],
  );
  return { runs: row?.runs ?? 0, deliveries: row?.deliveries ?? 0 };
}

function whyNotEnded(order: Order): BelfryError {
  const at = (time: Date | null): string => time?.toISOString() ?? '';
  return new BelfryError(
    'conflict',
    order.endedAt
      ? `The ${order.verb} ${order.id} was ended at ${at(order.endedAt)} by ${order.endedBy}.`
      : `What the discard ${order.id} set aside was dropped at ${at(order.droppedAt)} and cannot be replayed.`,
  );
}

function orderOf(row: OrderRow): Order {
  return {
    id: row.id,
    verb: row.verb,
    scope: scopeOfRow(row),
    author: row.author,
    reason: row.reason,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    runsPerSecond: row.runs_per_second,
    endedAt: row.ended_at,
    endedBy: row.ended_by,
    endReason: row.end_reason,
    droppedAt: row.dropped_at,
  };
}

/** Throws when a scope would be everything. */
export function checkScope(scope: OrderScope): void {
  const { accountId, environmentId, apiKeyId } = scope;
  if (accountId !== undefined || environmentId !== undefined || apiKeyId !== undefined) return;
  throw new BelfryError(
    'invalid_params',
    'scope is everything; name an account, an environment or a key',
    { fields: [{ field: 'scope', message: 'needs an account, an environment or a key' }] },
  );
}
