import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import { USERS, type WireReference } from '../log/chunk.ts';

export type LoadedRecipient = {
  /** What templates see: id, (collection of an object,) properties. */
  readonly scope: JsonObject;
  /** The recipient's own default preference set. */
  readonly preferences: JsonObject | undefined;
  /** The recipient's set for the tenant with which it was wanted. */
  readonly tenantPreferences: JsonObject | undefined;
};

/** Recipients, actors and tenants of a slice, each asked for once. */
export type RecipientLoader = {
  /** Registers a recipient, in a run for a tenant; returns the number under which it will be found. */
  readonly want: (
    environmentId: number,
    collection: string,
    id: string,
    tenant: string | null,
  ) => number;
  readonly load: (db: Queryable) => Promise<readonly LoadedRecipient[]>;
};

const LOAD: Statement = {
  name: 'load_recipients',
  text: `select r.properties, p.preferences
  from unnest($1::int[], $2::text[], $3::text[]) with ordinality as wanted(environment_id, collection, id, n)
  left join recipient r
    on r.environment_id = wanted.environment_id
   and r.collection = wanted.collection
   and r.id = wanted.id
  left join preference_set p
    on p.environment_id = wanted.environment_id
   and p.collection = wanted.collection
   and p.recipient_id = wanted.id
   and p.id = 'default'
  order by wanted.n`,
};

/** The same where runs have tenants, whose sets are read too. */
const LOAD_WITH_TENANTS: Statement = {
  name: 'load_recipients_of_tenants',
  text: `select r.properties, p.preferences, t.preferences as tenant_preferences
  from unnest($1::int[], $2::text[], $3::text[], $4::text[])
    with ordinality as wanted(environment_id, collection, id, tenant, n)
  left join recipient r
    on r.environment_id = wanted.environment_id
   and r.collection = wanted.collection
   and r.id = wanted.id
  left join preference_set p
    on p.environment_id = wanted.environment_id
   and p.collection = wanted.collection
   and p.recipient_id = wanted.id
   and p.id = 'default'
  left join preference_set t
    on t.environment_id = wanted.environment_id
   and t.collection = wanted.collection
   and t.recipient_id = wanted.id
   and t.id = wanted.tenant
  order by wanted.n`,
};

export function createRecipientLoader(): RecipientLoader {
  const environments: number[] = [];
  const collections: string[] = [];
  const ids: string[] = [];
  const tenants: string[] = [];
  let hasTenants = false;
  const numbers = new Map<string, number>();
  return {
    want: (environmentId, collection, id, tenant) => {
      const key =
        tenant === null
          ? `${environmentId} ${collection} ${id}`
          : `${environmentId} ${collection} ${id}\n${tenant}`;
      const known = numbers.get(key);
      if (known !== undefined) return known;
      environments.push(environmentId);
      collections.push(collection);
      // No set has an empty id.
      tenants.push(tenant ?? '');
      hasTenants ||= tenant !== null;
      const number = ids.push(id) - 1;
      numbers.set(key, number);
      return number;
    },
    load: async (db) => {
      const rows = await db.query<{
        properties: JsonObject | null;
        preferences: JsonObject | null;
        tenant_preferences?: JsonObject | null;
      }>(hasTenants ? LOAD_WITH_TENANTS : LOAD, [
        plainArray(environments),
        textArray(collections),
        textArray(ids),
        ...(hasTenants ? [textArray(tenants)] : []),
      ]);
      return ids.map((id, n) => {
        const row = rows[n];
        const collection = collections[n];
        // Someone who was never identified is a recipient with nothing but an id.
        const scope: JsonObject =
          collection === USERS
            ? { ...row?.properties, id }
            : { ...row?.properties, id, collection: collection ?? '' };
        return {
          scope,
          preferences: row?.preferences ?? undefined,
          tenantPreferences: row?.tenant_preferences ?? undefined,
        };
      });
    },
  };
}

export function collectionOf(reference: WireReference): string {
  return typeof reference === 'string' ? USERS : reference[0];
}

export function idOf(reference: WireReference): string {
  return typeof reference === 'string' ? reference : reference[1];
}
