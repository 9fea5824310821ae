import type { Queryable } from '../../db/database.ts';
import { RUNS, SLICE_RUNS } from '../log/chunk.ts';
import { FIRST_TIMER_SLOT } from '../log/slots.ts';
import { listSql, MINUTE_MS } from './lists.ts';

/** Runs of one environment that were accepted in one minute. */
export type AcceptedRuns = {
  readonly minute: number;
  readonly environmentId: number;
  readonly accepted: number;
};

/** Those whose chunks are still in the log; pending are those whose slices lack receipts. */
export type LiveRuns = AcceptedRuns & { readonly pending: number };

/** Work that a trigger brought is due at once; what comes back later was counted when it came. */
const ACCEPTED = `kind = ${RUNS} and due_at is null`;
const MINUTE = `floor(extract(epoch from accepted_at) * 1000 / ${MINUTE_MS})::int`;
const ENVIRONMENT = 'lane_id / 4';

const RING = Array.from({ length: FIRST_TIMER_SLOT }, (_, slot) => slot);

/**
 * Remembers how many runs the chunks of a slot brought, by environment and minute. To be called in the
 * transaction that truncates the slot.
 */
export async function foldSlot(tx: Queryable, slot: number): Promise<void> {
  if (slot >= FIRST_TIMER_SLOT) return;
  await tx.query(
    `insert into ledger_minute (day, minute, environment_id, slot, accepted)
     select ${listSql('minute')}, minute, environment_id, ${slot}, sum(run_count)
     from (
       select ${MINUTE} as minute, ${ENVIRONMENT} as environment_id, run_count
       from chunk_${slot}
       where ${ACCEPTED}
     ) as accepted
     group by minute, environment_id`,
  );
}

/**
 * Keeps slots from being truncated until the transaction ends. First of all in a transaction whose
 * snapshot is to see each chunk either in the log or in the ledger.
 */
export async function keepSlots(tx: Queryable): Promise<void> {
  const tables = RING.flatMap((slot) => [`chunk_${slot}`, `receipt_${slot}`]);
  await tx.query(`set local lock_timeout = '2s'`);
  await tx.query(`lock table ${tables.join(', ')} in access share mode`);
}

const LIVE = RING.map(
  (slot) => `select ${MINUTE} as minute, ${ENVIRONMENT} as environment_id, run_count as accepted,
                    run_count - coalesce(receipts.runs, 0) as pending
  from chunk_${slot} c
  left join lateral (
    select sum(least(${SLICE_RUNS}, c.run_count - r.slice * ${SLICE_RUNS})) as runs
    from receipt_${slot} r
    where r.stream = c.stream
      and r.sequence = c.sequence
  ) receipts on true
  where ${ACCEPTED}`,
).join('\nunion all\n');

/** What the log holds, from minute `from` on. */
export function liveRuns(tx: Queryable, from: number): Promise<LiveRuns[]> {
  return tx.query<LiveRuns>(
    {
      name: 'ledger_live',
      text: `select minute, environment_id as "environmentId", sum(accepted)::bigint as accepted,
                    sum(pending)::bigint as pending
             from (${LIVE}) as live
             where minute >= $1
             group by minute, environment_id`,
    },
    [from],
  );
}

/** What truncated slots held, of some minutes and of all from `recent` on. */
export function foldedRuns(
  tx: Queryable,
  minutes: readonly number[],
  recent: number,
): Promise<AcceptedRuns[]> {
  return tx.query<AcceptedRuns>(
    `select minute, environment_id as "environmentId", sum(accepted)::bigint as accepted
     from ledger_minute
     where minute = any($1::int[])
        or minute >= $2
     group by minute, environment_id`,
    [minutes, recent],
  );
}

/** Minutes that nobody has settled, from `from` on: what a server finds when it starts. */
export async function unsettledMinutes(tx: Queryable, from: number): Promise<number[]> {
  const rows = await tx.query<{ minute: number }>(
    `select distinct m.minute
     from ledger_minute m
     left join ledger_settled s
       on s.day = m.day
       and s.minute = m.minute
       and s.environment_id = m.environment_id
     where m.minute >= $1
       and s.minute is null`,
    [from],
  );
  return rows.map((row) => row.minute);
}
