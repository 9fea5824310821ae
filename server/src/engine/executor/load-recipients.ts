import { plainArray, textArray } from '../../db/array-literal.ts';
import type { Queryable, Statement } from '../../db/database.ts';
import type { JsonObject } from '../../lib/json.ts';
import { USERS, type WireReference } from '../log/chunk.ts';

export type LoadedRecipient = {
  /** What templates see: id, (collection of an object,) properties. */
  readonly scope: JsonObject;
  /** The recipient's own default preference set. */
  readonly preferences: JsonObject | undefined;
};

/** Recipients, actors and tenants of a slice, each asked for once. */
export type RecipientLoader = {
  /** Registers a recipient; returns the number under which it will be found. */
  readonly want: (environmentId: number, collection: string, id: string) => number;
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

export function createRecipientLoader(): RecipientLoader {
  const environments: number[] = [];
  const collections: string[] = [];
  const ids: string[] = [];
  const numbers = new Map<string, number>();
  return {
    want: (environmentId, collection, id) => {
      const key = `${environmentId} ${collection} ${id}`;
      const known = numbers.get(key);
      if (known !== undefined) return known;
      environments.push(environmentId);
      collections.push(collection);
      const number = ids.push(id) - 1;
      numbers.set(key, number);
      return number;
    },
    load: async (db) => {
      const rows = await db.query<{
        properties: JsonObject | null;
        preferences: JsonObject | null;
      }>(LOAD, [plainArray(environments), textArray(collections), textArray(ids)]);
      return ids.map((id, n) => {
        const row = rows[n];
        const collection = collections[n];
        // Someone who was never identified is a recipient with nothing but an id.
        const scope: JsonObject =
          collection === USERS
            ? { ...row?.properties, id }
            : { ...row?.properties, id, collection: collection ?? '' };
        return { scope, preferences: row?.preferences ?? undefined };
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
