import { textArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import type { RecipientKey } from '../recipients/reference.ts';

/** The time zones that recipients named for themselves, in their order; null: none. */
export async function timeZonesOf(
  db: Queryable,
  environmentId: number,
  recipients: readonly RecipientKey[],
): Promise<(string | null)[]> {
  const rows = await db.query<{ timezone: string | null }>(
    `
    select r.properties ->> 'timezone' as timezone
    from unnest($2::text[], $3::text[]) with ordinality as wanted(collection, id, n)
    left join recipient r
      on r.environment_id = $1
     and r.collection = wanted.collection
     and r.id = wanted.id
    order by wanted.n`,
    [
      environmentId,
      textArray(recipients.map(({ collection }) => collection)),
      textArray(recipients.map(({ id }) => id)),
    ],
  );
  return rows.map(({ timezone }) => timezone);
}
