import { plainArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import type { WaitingPack } from './waiting-packs.ts';

const PAGE = 2_048;
const FIRST = '00000000-0000-0000-0000-000000000000';

/** A step in the index for each pack, whatever the planner knows: of body_object there are very many. */
const MOVED = `left join lateral (
    select true as is_moved
    from body_object o
    where o.pack_id = p.id
    limit 1
  ) o on true`;

export type FoundPack = WaitingPack & { readonly environmentId: number };

/** Environments that have packs in a slot: one step in its index for each. */
export async function environmentsInSlot(db: Queryable, slot: number): Promise<readonly number[]> {
  const rows = await db.query<{ id: number }>({
    name: `environments_with_bodies_${slot}`,
    text: `with recursive found as (
    (
      select environment_id as id
      from body_pack_${slot}
      order by environment_id
      limit 1
    )
    union all
    select (
      select p.environment_id
      from body_pack_${slot} p
      where p.environment_id > found.id
      order by p.environment_id
      limit 1
    )
    from found
    where found.id is not null
  )
  select id
  from found
  where id is not null`,
  });
  return rows.map(({ id }) => id);
}

/** Of one environment: after which pack to look for more. */
export type Position = { readonly environmentId: number; readonly after: string | undefined };

export type Page = {
  readonly packs: readonly FoundPack[];
  /** Of the last pack that was looked at. */
  readonly last: string | undefined;
  readonly isFull: boolean;
};

/**
 * The next packs of each environment in these slots that the store does not have, in the order of their ids: 2,048 of each at the
 * most, and whether there may be more.
 */
export async function packsAfter(
  db: Queryable,
  slots: readonly number[],
  positions: readonly Position[],
): Promise<readonly Page[]> {
  if (positions.length === 0) return [];
  const rows = await db.query<FoundPack & { n: number; is_moved: boolean }>(
    {
      name: 'waiting_bodies',
      text: `select e.n::int, p.environment_id as "environmentId", p.slot, p.id, p.size,
         o.is_moved is not null as is_moved
  from unnest($1::int[], $2::uuid[]) with ordinality as e(environment_id, after, n)
  cross join lateral (
    select p.environment_id, p.slot, p.id, p.size
    from body_pack p
    where p.slot = any($3::smallint[])
      and p.environment_id = e.environment_id
      and p.id > e.after
    order by p.id
    limit ${PAGE}
  ) p
  ${MOVED}`,
    },
    [
      plainArray(positions.map(({ environmentId }) => environmentId)),
      plainArray(positions.map(({ after }) => after ?? FIRST)),
      plainArray(slots),
    ],
  );
  const found = positions.map(() => ({
    rows: 0,
    packs: [] as FoundPack[],
    last: undefined as string | undefined,
  }));
  for (const { n, is_moved: isMoved, ...pack } of rows) {
    const of = found[n - 1];
    if (!of) continue;
    of.rows += 1;
    of.last = pack.id;
    if (!isMoved) of.packs.push(pack);
  }
  return found.map(({ rows: count, packs, last }) => ({ packs, last, isFull: count === PAGE }));
}

/** Packs of a slot that the store does not have. */
export async function unmovedInSlot(db: Queryable, slot: number): Promise<readonly FoundPack[]> {
  return db.query<FoundPack>(
    `select p.environment_id as "environmentId", p.slot, p.id, p.size
     from body_pack_${slot} p
     ${MOVED}
     where o.is_moved is null
     order by p.id
     limit ${PAGE}`,
  );
}

export type Backlog = {
  readonly packs: number;
  readonly bytes: number;
  readonly oldest: string | null;
};

/** What the store does not have of all slots. */
export async function readBacklog(db: Queryable): Promise<Backlog> {
  const [row] = await db.query<Backlog>({
    name: 'body_backlog',
    text: `select count(*) as packs, coalesce(sum(p.size), 0)::bigint as bytes, min(p.id::text) as oldest
  from body_pack p
  ${MOVED}
  where o.is_moved is null`,
  });
  return row ?? { packs: 0, bytes: 0, oldest: null };
}
