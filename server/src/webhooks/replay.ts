import type { EnvironmentContext } from '../context.ts';
import { type Queryable, sqlState } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { DELIVERY_STATE } from './delivery.ts';
import { requireEndpoint } from './endpoint.ts';

export const REPLAY_PAGE = 500;
const UNIQUE_VIOLATION = '23505';

export type Replay = {
  readonly id: string;
  readonly from: string;
  readonly until: string;
  readonly only_failed: boolean;
};

/** Sends one event again, also one that was delivered. Throws `resource_missing`, and `conflict` for one that waits. */
export async function replayOne(
  ctx: EnvironmentContext,
  input: { readonly id: string; readonly deliveryId: string },
): Promise<void> {
  const endpoint = await requireEndpoint(ctx, input);
  const id = /^\d{1,18}$/.test(input.deliveryId) ? input.deliveryId : '0';
  const [row] = await ctx.db.query<{ readonly replayed: boolean }>(
    `
    with replayed as (
      update webhook_delivery
      set state = ${DELIVERY_STATE.waiting}, attempts = 0, due_at = $3
      where id = $2
        and endpoint_id = $1
        and state <> ${DELIVERY_STATE.waiting}
      returning id
    )
    select exists (select from replayed) as replayed
    from webhook_delivery
    where id = $2
      and endpoint_id = $1`,
    [endpoint.id, id, new Date(ctx.clock.now())],
  );
  if (!row) {
    throw new BelfryError(
      'resource_missing',
      `The webhook has no delivery ${JSON.stringify(input.deliveryId.slice(0, 100))}`,
    );
  }
  if (!row.replayed) {
    throw new BelfryError('conflict', `The delivery ${id} waits for its next attempt already`);
  }
}

/**
 * Sends what happened in a time again, failed or all, in pages, while the endpoint has nothing else that is due. Throws
 * `resource_missing`, `invalid_params`, and `conflict` while another replay of the endpoint is under way.
 */
export async function replayRange(
  ctx: EnvironmentContext,
  input: {
    readonly id: string;
    readonly from: Date;
    /** Now, when absent. */
    readonly until?: Date | undefined;
    readonly onlyFailed: boolean;
  },
): Promise<Replay> {
  const endpoint = await requireEndpoint(ctx, input);
  const nowMs = ctx.clock.now();
  const until = new Date(Math.min(input.until?.getTime() ?? nowMs, nowMs));
  if (input.from >= until) throw invalidField('from', 'must be before `until`, and in the past');
  const rows = await ctx.db
    .query<{ readonly id: number }>(
      `
      insert into webhook_replay (endpoint_id, only_failed, until, at, created_at)
      values ($1, $2, $3, $4, $5)
      returning id`,
      [endpoint.id, input.onlyFailed, until, input.from, new Date(nowMs)],
    )
    .catch((error) => {
      if (sqlState(error) !== UNIQUE_VIOLATION) throw error;
      throw new BelfryError(
        'conflict',
        'Another replay of this webhook is under way; wait until it is over',
      );
    });
  return {
    id: String(rows[0]?.id),
    from: input.from.toISOString(),
    until: until.toISOString(),
    only_failed: input.onlyFailed,
  };
}

/** Replays that are not over, of endpoints that are enabled. */
export function readReplays(
  db: Queryable,
): Promise<{ readonly id: number; readonly endpoint_id: number }[]> {
  return db.query(
    `select r.id, r.endpoint_id
     from webhook_replay r
     join webhook_endpoint w on w.id = r.endpoint_id
     where r.ended_at is null
       and w.state = 'enabled'`,
  );
}

/** Makes the next page of a replay wait, and moves it on, in one statement: each row once. */
export async function moveReplay(db: Queryable, id: number, nowMs: number): Promise<void> {
  await db.query({ name: 'move_webhook_replay', text: MOVE }, [id, new Date(nowMs)]);
}

export const MOVE = `with replay as (
  select *
  from webhook_replay
  where id = $1
    and ended_at is null
  for update
), page as (
  select d.id, d.created_at, d.state
  from replay r
  cross join lateral (
    select id, created_at, state
    from webhook_delivery
    where endpoint_id = r.endpoint_id
      and (created_at, id) > (r.at, r.after_id)
      and created_at < r.until
    order by created_at, id
    limit ${REPLAY_PAGE}
  ) d
), replayed as (
  update webhook_delivery d
  set state = ${DELIVERY_STATE.waiting}, attempts = 0, due_at = $2
  from page p, replay r
  where d.id = p.id
    and (d.state = ${DELIVERY_STATE.failed} or d.state = ${DELIVERY_STATE.delivered} and not r.only_failed)
  returning d.id
), last as (
  select id, created_at
  from page
  order by created_at desc, id desc
  limit 1
)
update webhook_replay r
set at = coalesce((select created_at from last), r.at),
  after_id = coalesce((select id from last), r.after_id),
  replayed = r.replayed + (select count(*) from replayed),
  ended_at = case when (select count(*) from page) < ${REPLAY_PAGE} then $2::timestamptz end
from replay
where r.id = replay.id`;
