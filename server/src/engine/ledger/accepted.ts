import type { Queryable } from '../../db/database.ts';
import { RUNS, SLICE_RUNS } from '../log/chunk.ts';
import { FIRST_ASIDE_SLOT, FIRST_TIMER_SLOT, SLOT_COUNT } from '../log/slots.ts';
import { listSql, MINUTE_MS } from './lists.ts';

/** Runs of one environment that were accepted in one minute. */
export type AcceptedRuns = {
  readonly minute: number;
  readonly environmentId: number;
  readonly accepted: number;
  /** Of those whose chunks are gone: what a discard set aside and was dropped. */
  readonly dropped: number;
};

/** Those whose chunks are still in the log, in slices without receipts. */
export type LiveRuns = AcceptedRuns & {
  /** Queued, also after an order let them go. */
  readonly pending: number;
  /** Set aside by an order that is in force: a hold or slow, or a discard. */
  readonly held: number;
  readonly kept: number;
};

/** Work that a trigger brought is due at once; what comes back later was counted when it came. */
const ACCEPTED = `kind = ${RUNS} and due_at is null`;
const MINUTE = `floor(extract(epoch from accepted_at) * 1000 / ${MINUTE_MS})::int`;
const ENVIRONMENT = 'lane_id / 4';

const RING = Array.from({ length: FIRST_TIMER_SLOT }, (_, slot) => slot);
const ASIDE = Array.from({ length: SLOT_COUNT - FIRST_ASIDE_SLOT }, (_, i) => FIRST_ASIDE_SLOT + i);

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
 * Remembers how many accepted runs lie in chunks that a discard set aside and that are dropped now. To be
 * called in the transaction that drops them; `keys` are their streams and sequences.
 */
export async function foldDiscarded(
  tx: Queryable,
  slot: number,
  keys: readonly (readonly number[])[],
): Promise<void> {
  await tx.query(
    `insert into ledger_minute (day, minute, environment_id, slot, accepted, discarded)
     select ${listSql('minute')}, minute, environment_id, ${slot}, 0, sum(runs)
     from (
       select ${MINUTE} as minute, ${ENVIRONMENT} as environment_id, run_count - coalesce(receipts.runs, 0) as runs
       from chunk_${slot} c
       join unnest($1::smallint[], $2::bigint[]) as gone(stream, sequence) using (stream, sequence)
       ${receiptedRuns(slot)}
       where ${ACCEPTED}
     ) as dropped
     group by minute, environment_id`,
    keys,
  );
}

/** Runs of chunk `c` in slices with receipts, as a join. */
function receiptedRuns(slot: number): string {
  return `left join lateral (
    select sum(least(${SLICE_RUNS}, c.run_count - r.slice * ${SLICE_RUNS})) as runs
    from receipt_${slot} r
    where r.stream = c.stream
      and r.sequence = c.sequence
  ) receipts on true`;
}

/**
 * Keeps slots from being truncated until the transaction ends. First of all in a transaction whose
 * snapshot is to see each chunk either in the log or in the ledger.
 */
export async function keepSlots(tx: Queryable): Promise<void> {
  const tables = [...RING, ...ASIDE].flatMap((slot) => [`chunk_${slot}`, `receipt_${slot}`]);
  await tx.query(`set local lock_timeout = '2s'`);
  await tx.query(`lock table ${tables.join(', ')} in access share mode`);
}

/** What was set aside was accepted with the chunk that it came with. */
const SET_ASIDE = ASIDE.map(
  (slot) => `select minute, environment_id, 0,
                    case when ended_at is null then 0 else open end,
                    case when ended_at is null and verb <> 'discard' then open else 0 end,
                    case when ended_at is null and verb = 'discard' then open else 0 end
  from (
    select ${MINUTE} as minute, ${ENVIRONMENT} as environment_id,
           run_count - coalesce(receipts.runs, 0) as open, o.verb, o.ended_at
    from chunk_${slot} c
    join work_order o on o.id = c.order_id
    ${receiptedRuns(slot)}
    where ${ACCEPTED}
  ) as aside`,
);

const LIVE = [
  ...RING.map(
    (slot) => `select ${MINUTE} as minute, ${ENVIRONMENT} as environment_id, run_count as accepted,
                    run_count - coalesce(receipts.runs, 0) as pending, 0 as held, 0 as kept
  from chunk_${slot} c
  ${receiptedRuns(slot)}
  where ${ACCEPTED}`,
  ),
  ...SET_ASIDE,
].join('\nunion all\n');

/** What the log holds, from minute `from` on. */
export function liveRuns(tx: Queryable, from: number): Promise<LiveRuns[]> {
  return tx.query<LiveRuns>(
    {
      name: 'ledger_live',
      text: `select minute, environment_id as "environmentId", sum(accepted)::bigint as accepted,
                    sum(pending)::bigint as pending, sum(held)::bigint as held,
                    sum(kept)::bigint as kept, 0 as dropped
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
    `select minute, environment_id as "environmentId", sum(accepted)::bigint as accepted,
            sum(discarded)::bigint as dropped
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
