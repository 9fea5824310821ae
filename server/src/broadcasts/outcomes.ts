import { plainArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import { runIdRange, type SizedPlace } from '../engine/chunk-outcomes.ts';
import { lowestUuidAt, parseAddress } from '../lib/address.ts';
import { USERS } from '../recipients/reference.ts';
import { runStatusName, runStatusNumber } from '../runs/run-status.ts';

/** What became of one recipient of a part. */
export type Outcome = {
  /** Position in the part. */
  readonly index: number;
  readonly runId: string;
  readonly status: string;
  /** It ended with an error, or a message of it could not be delivered. */
  readonly failed: boolean;
  /** A message of it is on its way to a provider. */
  readonly delivering: boolean;
};

/** Outcomes of the parts' recipients whose runs are recorded, in order. At most some 20 parts at once. */
export async function outcomesOf(
  db: Queryable,
  parts: readonly SizedPlace[],
): Promise<readonly Outcome[][]> {
  const ranges = parts.map(runIdRange);
  const rows = await db.query<{
    n: number;
    id: string;
    status: number;
    failed: boolean;
    delivering: boolean;
  }>(
    `select w.n, r.id, coalesce(last.status, r.status) as status,
            (coalesce(last.status, r.status) = ${runStatusNumber('completed')}
              and coalesce(last.error_count, r.error_count) > 0)
              or coalesce(m.undelivered, false) as failed,
            coalesce(m.delivering, false) as delivering
     from unnest($1::uuid[], $2::uuid[], $3::uuid[]) with ordinality as w(first, last, earliest, n)
     join recipient_run r on r.id between w.first and w.last
     left join lateral (
       select s.status, s.error_count
       from recipient_run_segment s
       where s.recipient_run_id = r.id
       order by s.segment desc
       limit 1
     ) last on true
     left join lateral (
       select bool_or(coalesce(d.status, m.status) in (${UNDELIVERED})) as undelivered,
              bool_or(coalesce(d.status, m.status) in (${DELIVERING})) as delivering
       from message m
       left join lateral (
         select a.status
         from delivery a
         where a.message_id = m.id
         order by a.attempt desc
         limit 1
       ) d on true
       where m.environment_id = r.environment_id
         and m.recipient_id = r.recipient_id
         and m.collection = '${USERS}'
         and m.recipient_run_id = r.id
         and m.id >= w.earliest
     ) m on true
     order by w.n, r.id`,
    [
      plainArray(ranges.map(([first]) => first)),
      plainArray(ranges.map(([, last]) => last)),
      plainArray(parts.map(({ acceptedMs }) => lowestUuidAt(acceptedMs))),
    ],
  );
  const outcomes: Outcome[][] = parts.map(() => []);
  for (const { n, id, status, failed, delivering } of rows) {
    const index = parseAddress(id)?.index ?? 0;
    outcomes[n - 1]?.push({ index, runId: id, status: runStatusName(status), failed, delivering });
  }
  return outcomes;
}

// Numbers of `deliveryStatuses`: undelivered and bounced; queued and delivery_attempted.
const UNDELIVERED = '4, 5';
const DELIVERING = '0, 3';
