import type { Queryable } from '../db/database.ts';

/** How old answers from a store are, for one environment. */
export type Freshness = {
  /** Everything that was committed before is in the store. */
  readonly dataAsOf: Date;
  /** The store is being filled for the first time: nothing can be said of what it has. */
  readonly isFilling: boolean;
  /** The id of the store that all this is about; one of another id has other things. */
  readonly store: string | null;
};

/** Undefined: nothing was ever shipped. */
export async function readFreshness(
  db: Queryable,
  environmentId: number,
): Promise<Freshness | undefined> {
  const [row] = await db.query<Freshness>(
    {
      name: 'log_store_freshness',
      text: `select least(
        s.shipped_at,
        (select min(at) from log_aside where environment_id = $1),
        (select min(from_at) from log_gap)
      ) as "dataAsOf",
      s.store is null or exists (select from log_gap where from_at is null) as "isFilling", s.store
      from log_shipper s`,
    },
    [environmentId],
  );
  return row;
}
