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
  /** By channel id; absent where nobody asked for it. */
  readonly channelData?: { readonly [channelId: string]: JsonObject };
  /** When one with this id was last deleted; absent: never. */
  readonly deletedMs?: number;
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
  /** Registers one whose channel data is needed too. */
  readonly wantChannelData: (number: number) => void;
  readonly load: (db: Queryable) => Promise<readonly LoadedRecipient[]>;
};

type ChannelDataOf = { readonly [channelId: string]: JsonObject };

const NO_CHANNEL_DATA: ReadonlyMap<number, ChannelDataOf> = new Map();

const DELETED_AT = `(
    select max(d.deleted_at)
    from deletion d
    where d.environment_id = wanted.environment_id
      and d.collection = wanted.collection
      and d.recipient_id = wanted.id
  ) as deleted_at`;

const LOAD: Statement = {
  name: 'load_recipients',
  text: `select r.properties, p.preferences, ${DELETED_AT}
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
  text: `select r.properties, p.preferences, t.preferences as tenant_preferences, ${DELETED_AT}
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

const LOAD_CHANNEL_DATA: Statement = {
  name: 'load_channel_data',
  text: `select wanted.number, jsonb_object_agg(d.channel_id, d.data) as data
  from unnest($1::int[], $2::text[], $3::text[], $4::int[]) as wanted(environment_id, collection, id, number)
  join channel_data d
    on d.environment_id = wanted.environment_id
   and d.collection = wanted.collection
   and d.recipient_id = wanted.id
  group by wanted.number`,
};

export function createRecipientLoader(): RecipientLoader {
  const environments: number[] = [];
  const collections: string[] = [];
  const ids: string[] = [];
  const tenants: string[] = [];
  let hasTenants = false;
  const numbers = new Map<string, number>();
  const withChannelData = new Set<number>();

  async function loadChannelData(db: Queryable): Promise<ReadonlyMap<number, ChannelDataOf>> {
    if (withChannelData.size === 0) return NO_CHANNEL_DATA;
    const wanted = [...withChannelData];
    const rows = await db.query<{ number: number; data: ChannelDataOf }>(LOAD_CHANNEL_DATA, [
      plainArray(wanted.map((number) => environments[number] ?? 0)),
      textArray(wanted.map((number) => collections[number] ?? '')),
      textArray(wanted.map((number) => ids[number] ?? '')),
      plainArray(wanted),
    ]);
    return new Map(rows.map(({ number, data }) => [number, data]));
  }

  return {
    wantChannelData: (number) => withChannelData.add(number),
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
        deleted_at: Date | null;
      }>(hasTenants ? LOAD_WITH_TENANTS : LOAD, [
        plainArray(environments),
        textArray(collections),
        textArray(ids),
        ...(hasTenants ? [textArray(tenants)] : []),
      ]);
      const channelData = await loadChannelData(db);
      return ids.map((id, n) => {
        const row = rows[n];
        const data = channelData.get(n);
        const collection = collections[n];
        // Someone who was never identified is a recipient with nothing but an id.
        const scope: JsonObject =
          collection === USERS
            ? { ...row?.properties, id }
            : { ...row?.properties, id, collection: collection ?? '' };
        const loaded = {
          scope,
          preferences: row?.preferences ?? undefined,
          tenantPreferences: row?.tenant_preferences ?? undefined,
          ...(row?.deleted_at ? { deletedMs: row.deleted_at.getTime() } : {}),
        };
        return data ? { ...loaded, channelData: data } : loaded;
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
