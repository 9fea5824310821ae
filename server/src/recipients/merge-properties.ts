import { plainArray, textArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import type { JsonObject } from '../lib/json.ts';
import { signalsSql } from '../signals/signals-sql.ts';
import { FITS, UPDATED } from './identify.ts';
import type { RecipientKey } from './reference.ts';

export type PropertyMerge = RecipientKey & {
  readonly environmentId: number;
  readonly properties: JsonObject;
};

const STATEMENT = {
  name: 'merge_properties',
  text: `
    with changed as (
      select given.environment_id, given.collection, given.id, given.properties
      from unnest($1::int[], $2::text[], $3::text[], $4::jsonb[]) as given (environment_id, collection, id, properties)
      left join recipient known
        on known.environment_id = given.environment_id
        and known.collection = given.collection
        and known.id = given.id
      where known.id is null
        or jsonb_deep_merge(known.properties, given.properties) <> known.properties
    ),
    written as (
      insert into recipient as r (environment_id, collection, id, properties)
      select environment_id, collection, id, properties
      from changed
      order by environment_id, collection, id
      on conflict (environment_id, collection, id) do update
      set properties = jsonb_deep_merge(r.properties, excluded.properties),
        updated_at = now()
      where ${FITS}
      returning environment_id, collection, id
    )
    ${signalsSql(UPDATED)}`,
};

/**
 * Merges properties into recipients of any environments, who come to be where they are not; each may be named once.
 * One that would become larger than 256 kB stays as it is, so that others' changes are not refused with it.
 */
export async function mergeProperties(
  tx: Queryable,
  merges: readonly PropertyMerge[],
): Promise<void> {
  await tx.query(STATEMENT, [
    plainArray(merges.map(({ environmentId }) => environmentId)),
    textArray(merges.map(({ collection }) => collection)),
    textArray(merges.map(({ id }) => id)),
    textArray(merges.map(({ properties }) => JSON.stringify(properties))),
  ]);
}
