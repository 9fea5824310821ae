import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Leg, ObjectReference } from '../log/chunk.ts';
import { CHUNK_PARAMETERS, insertChunksSql } from '../log/insert-chunks.ts';
import { receiptsSql } from './receipts.ts';

export type LegOfEnvironment = { readonly environmentId: number; readonly leg: Leg };

export type Subscriber = {
  readonly collection: string;
  readonly id: string;
  readonly properties: JsonObject | null;
};

/** Whether each of these objects has a subscriber. */
export async function haveSubscribers(
  db: Queryable,
  objects: readonly { readonly environmentId: number; readonly object: ObjectReference }[],
): Promise<boolean[]> {
  const rows = await db.query<{ has: boolean }>(
    {
      name: 'have_subscribers',
      text: `select exists (
         select
         from subscription s
         where s.environment_id = o.environment_id
           and s.object_collection = o.collection
           and s.object_id = o.id
       ) as has
       from unnest($1::int[], $2::text[], $3::text[]) with ordinality as o(environment_id, collection, id, n)
       order by o.n`,
    },
    [
      plainArray(objects.map(({ environmentId }) => environmentId)),
      textArray(objects.map(({ object }) => object[0])),
      textArray(objects.map(({ object }) => object[1])),
    ],
  );
  return rows.map(({ has }) => has);
}

/** Whether an object is among each leg's subscribers. */
export async function haveObjects(
  db: Queryable,
  legs: readonly LegOfEnvironment[],
): Promise<boolean[]> {
  const rows = await db.query<{ has: boolean }>(
    {
      name: 'have_objects',
      text: `select exists (
         select
         from subscription s
         where s.environment_id = o.environment_id
           and s.object_collection = o.collection
           and s.object_id = o.id
           and s.recipient_collection < '$users'
       ) or exists (
         select
         from subscription s
         where s.environment_id = o.environment_id
           and s.object_collection = o.collection
           and s.object_id = o.id
           and s.recipient_collection > '$users'
       ) as has
       from unnest($1::int[], $2::text[], $3::text[]) with ordinality as o(environment_id, collection, id, n)
       order by o.n`,
    },
    legValues(legs).slice(0, 3),
  );
  return rows.map(({ has }) => has);
}

/** The next subscribers of each leg, at most `limit` of each, in the order of their keys. */
export async function readSubscribers(
  db: Queryable,
  legs: readonly LegOfEnvironment[],
  limit: number,
): Promise<Subscriber[][]> {
  const rows = await db.query<Subscriber & { readonly n: number }>(
    {
      name: 'read_subscribers',
      text: `select l.n::int as n, s.recipient_collection as collection, s.recipient_id as id, s.properties
       from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[]) with ordinality
         as l(environment_id, collection, id, after_collection, after_id, n)
       cross join lateral (
         select s.recipient_collection, s.recipient_id, s.properties
         from subscription s
         where s.environment_id = l.environment_id
           and s.object_collection = l.collection
           and s.object_id = l.id
           and (s.recipient_collection, s.recipient_id) > (l.after_collection, l.after_id)
         order by s.recipient_collection, s.recipient_id
         limit $6
       ) s
       order by l.n, s.recipient_collection, s.recipient_id`,
    },
    [...legValues(legs), limit],
  );
  const byLeg = legs.map((): Subscriber[] => []);
  for (const { n, collection, id, properties } of rows) {
    byLeg[n - 1]?.push({ collection, id, properties });
  }
  return byLeg;
}

/** The next objects that were reached at depth 1, for each fan-out, at most `limit` of each. */
export async function readChildren(
  db: Queryable,
  fanOuts: readonly { readonly workflowRunId: string; readonly after: ObjectReference }[],
  limit: number,
): Promise<ObjectReference[][]> {
  const rows = await db.query<{ n: number; collection: string; id: string }>(
    {
      name: 'read_fan_out_children',
      text: `select f.n::int as n, s.collection, s.recipient_id as id
       from unnest($1::uuid[], $2::text[], $3::text[]) with ordinality as f(id, after_collection, after_id, n)
       cross join lateral (
         select s.collection, s.recipient_id
         from fan_out_seen s
         where s.workflow_run_id = f.id
           and s.follow
           and (s.collection, s.recipient_id) > (f.after_collection, f.after_id)
         order by s.collection, s.recipient_id
         limit $4
       ) s
       order by f.n, s.collection, s.recipient_id`,
    },
    [
      plainArray(fanOuts.map(({ workflowRunId }) => workflowRunId)),
      textArray(fanOuts.map(({ after }) => after[0])),
      textArray(fanOuts.map(({ after }) => after[1])),
      limit,
    ],
  );
  const found = fanOuts.map((): ObjectReference[] => []);
  for (const { n, collection, id } of rows) found[n - 1]?.push([collection, id]);
  return found;
}

export type Seen = {
  readonly workflowRunId: string;
  readonly collection: string;
  readonly id: string;
  readonly follow: boolean;
};

/** Remembers these; true for each that was not remembered before. In a transaction: another one's are waited for. */
export async function remember(tx: Queryable, seen: readonly Seen[]): Promise<boolean[]> {
  const rows = await tx.query<{ n: number }>(
    {
      name: 'remember_fan_out',
      text: `with given as (
         select *
         from unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[]) with ordinality
           as g(workflow_run_id, collection, recipient_id, follow, n)
       ), added as (
         insert into fan_out_seen (workflow_run_id, collection, recipient_id, follow)
         select workflow_run_id, collection, recipient_id, follow
         from given
         -- So that two of them cannot wait for each other.
         order by workflow_run_id, collection collate "C", recipient_id collate "C"
         on conflict do nothing
         returning workflow_run_id, collection, recipient_id
       )
       select given.n::int as n
       from added
       join given using (workflow_run_id, collection, recipient_id)`,
    },
    [
      plainArray(seen.map(({ workflowRunId }) => workflowRunId)),
      textArray(seen.map(({ collection }) => collection)),
      textArray(seen.map(({ id }) => id)),
      plainArray(seen.map(({ follow }) => String(follow))),
    ],
  );
  const isNew = seen.map(() => false);
  for (const { n } of rows) isNew[n - 1] = true;
  return isNew;
}

const FIRST = CHUNK_PARAMETERS + 1;
const p = (offset: number): string => `$${FIRST + offset}`;
/** Of `insertChunksSql`: when all of it happened. */
const NOW = '$2::timestamptz';

const TEXT = `with ${receiptsSql(FIRST, FIRST + 11)}, progress as (
  insert into fan_out (workflow_run_id, environment_id, recipients, seen, updated_at, ended_at)
  select id, environment_id, recipients, seen, ${NOW}, case when ended then ${NOW} end
  from unnest(${p(6)}::uuid[], ${p(7)}::int[], ${p(8)}::int[], ${p(9)}::boolean[], ${p(10)}::boolean[])
    as f(id, environment_id, recipients, seen, ended)
  order by id
  on conflict (workflow_run_id) do update
  set recipients = fan_out.recipients + excluded.recipients,
    seen = excluded.seen,
    updated_at = excluded.updated_at,
    ended_at = excluded.ended_at
), chunks as (
  ${insertChunksSql(1)}
)
select 1`;

/**
 * The statement that writes a page: values of its chunks, of its receipts, then of fan-outs that last (id,
 * environment, recipients, whether rows are remembered, whether it is over), then the number of the orders.
 */
export function writePage(slot: number): Statement {
  return { name: `write_fan_out_${slot}`, text: TEXT.replaceAll('SLOT', String(slot)) };
}

function legValues(legs: readonly LegOfEnvironment[]): string[] {
  return [
    plainArray(legs.map(({ environmentId }) => environmentId)),
    textArray(legs.map(({ leg }) => leg[0])),
    textArray(legs.map(({ leg }) => leg[1])),
    textArray(legs.map(({ leg }) => leg[2] ?? '')),
    textArray(legs.map(({ leg }) => leg[3] ?? '')),
  ];
}
