import { plainArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import { formatAddress } from '../lib/address.ts';
import type { BulkPlace } from './bulk-stream.ts';
import { RUNS, sliceCountOf } from './log/chunk.ts';
import { FIRST_ASIDE_SLOT, SLOT_COUNT } from './log/slots.ts';
import { RUN_STATUS } from './status.ts';

export type SizedPlace = BulkPlace & { readonly size: number };

export type ChunkOutcome = {
  /** Runs whose first execution is recorded and did not end them with an error. */
  readonly done: number;
  /** Runs whose first execution ended them with an error. */
  readonly failed: number;
};

/** Ids of the first and the last run of a chunk. */
export function runIdRange(place: SizedPlace): readonly [first: string, last: string] {
  const { acceptedMs, stream, sequence, size } = place;
  return [
    formatAddress(acceptedMs, stream, sequence, 0, 0),
    formatAddress(acceptedMs, stream, sequence, size - 1, 0),
  ];
}

/** Positions of the chunks in which no slice waits for its receipt: each has one, or all are truncated. */
export async function receiptedChunks(
  db: Queryable,
  places: readonly SizedPlace[],
): Promise<number[]> {
  const slots = [...new Set(places.map(({ slot }) => slot))];
  const parts = slots.map(
    (slot) => `select w.n
     from wanted w
     where w.slot = ${slot}
       and (
         (select count(*)
          from receipt_${slot} r
          where r.stream = w.stream and r.sequence = w.sequence) = w.slices
         or not exists (
           select
           from chunk_${slot} c
           where c.stream = w.stream and c.sequence = w.sequence)
       )`,
  );
  if (parts.length === 0) return [];
  const rows = await db.query<{ n: number }>(
    `with wanted as (
       select *
       from unnest($1::smallint[], $2::smallint[], $3::bigint[], $4::smallint[]) with ordinality
         as w(slot, stream, sequence, slices, n)
     )
     ${parts.join(' union all ')}`,
    [
      plainArray(places.map(({ slot }) => slot)),
      plainArray(places.map(({ stream }) => stream)),
      plainArray(places.map(({ sequence }) => sequence)),
      plainArray(places.map(({ size }) => sliceCountOf(RUNS, size))),
    ],
  );
  return rows.map(({ n }) => n - 1);
}

/** How the first executions of the chunks' runs ended, in the order of the places. */
export async function chunkOutcomes(
  db: Queryable,
  places: readonly SizedPlace[],
): Promise<ChunkOutcome[]> {
  const ranges = places.map(runIdRange);
  return await db.query<ChunkOutcome>(
    {
      name: 'chunk_outcomes',
      text: `select coalesce(o.done, 0)::int as done, coalesce(o.failed, 0)::int as failed
     from unnest($1::uuid[], $2::uuid[]) with ordinality as w(first, last, n)
     left join lateral (
       select count(*) filter (where r.status <> ${RUN_STATUS.completed} or r.error_count = 0) as done,
              count(*) filter (where r.status = ${RUN_STATUS.completed} and r.error_count > 0) as failed
       from recipient_run r
       where r.id between w.first and w.last
     ) o on true
     order by w.n`,
    },
    [plainArray(ranges.map(([first]) => first)), plainArray(ranges.map(([, last]) => last))],
  );
}

/** Positions of the chunks of which orders keep runs that will be executed: all but what was discarded. */
export async function setAsideChunks(
  db: Queryable,
  places: readonly BulkPlace[],
): Promise<number[]> {
  const rows = await db.query<{ n: number }>(
    {
      name: 'set_aside_chunks',
      text: `select w.n
     from unnest($1::smallint[], $2::bigint[]) with ordinality as w(stream, sequence, n)
     where exists (
       select
       from chunk c
       join work_order o on o.id = c.order_id
       where c.slot between ${FIRST_ASIDE_SLOT} and ${SLOT_COUNT - 1}
         and c.source_stream = w.stream
         and c.source_sequence = w.sequence
         and c.kind = ${RUNS}
         and (o.verb <> 'discard' or o.ended_at is not null)
     )`,
    },
    [
      plainArray(places.map(({ stream }) => stream)),
      plainArray(places.map(({ sequence }) => sequence)),
    ],
  );
  return rows.map(({ n }) => n - 1);
}
