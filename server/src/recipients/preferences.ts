import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import { type BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject, type JsonObject } from '../lib/json.ts';
import {
  effectivePreferences,
  resolvePreferences,
  type StoredPreferences,
} from './preference-layers.ts';
import { type PreferenceSet, preferenceSetAnswer } from './preference-set.ts';
import { getRecipient } from './recipient.ts';
import { type RecipientKey, TENANTS } from './reference.ts';

const DEFAULT_SET = 'default';

const PREFERENCES_BYTES = 256 * 1024;

const MERGED = 'jsonb_deep_merge(p.preferences, excluded.preferences)';

// Whether the merged set stays within the limit; the merge itself is done only when the sizes of
// both sides do not prove it already.
const FITS = `(
        octet_length(p.preferences::text) + octet_length(excluded.preferences::text) <= ${PREFERENCES_BYTES}
        or octet_length(${MERGED}::text) <= ${PREFERENCES_BYTES}
      )`;

export type PreferenceWrite = RecipientKey & {
  readonly setId: string;
  readonly preferences: JsonObject;
};

/** Merges each into the set that exists; within the caller's transaction. */
export async function mergePreferences(
  tx: Queryable,
  environmentId: number,
  writes: readonly PreferenceWrite[],
): Promise<void> {
  if (writes.length === 0) return;
  const written = await tx.query(
    {
      name: 'merge_preferences',
      text: `
        insert into preference_set as p (environment_id, collection, recipient_id, id, preferences)
        select $1, given.collection, given.recipient_id, given.id, given.preferences
        from unnest($2::text[], $3::text[], $4::text[], $5::jsonb[])
          as given (collection, recipient_id, id, preferences)
        order by given.collection, given.recipient_id, given.id
        on conflict (environment_id, collection, recipient_id, id) do update
        set preferences = ${MERGED},
          updated_at = now()
        where ${FITS}
        returning 1`,
    },
    [
      environmentId,
      textArray(writes.map(({ collection }) => collection)),
      textArray(writes.map(({ id }) => id)),
      textArray(writes.map(({ setId }) => setId)),
      textArray(writes.map(({ preferences }) => preferencesText(preferences))),
    ],
  );
  if (written.length < writes.length) throw tooLarge();
}

/**
 * Merges into a set of a recipient, if there still is one: nobody comes back, and no row stays behind, when he is
 * deleted meanwhile. Throws 404.
 */
export async function mergeKnownPreferences(
  ctx: EnvironmentContext,
  { collection, id, setId, preferences }: PreferenceWrite,
): Promise<void> {
  const written = await ctx.db.query(
    {
      name: 'merge_known_preferences',
      text: `
        insert into preference_set as p (environment_id, collection, recipient_id, id, preferences)
        select environment_id, collection, id, $4, $5
        from recipient
        where environment_id = $1
          and collection = $2
          and id = $3
        on conflict (environment_id, collection, recipient_id, id) do update
        set preferences = ${MERGED},
          updated_at = now()
        where ${FITS}
        returning 1`,
    },
    [ctx.environment.id, collection, id, setId, preferencesText(preferences)],
  );
  if (written.length > 0) return;
  await getRecipient(ctx, { collection, id });
  throw tooLarge();
}

/**
 * What a statement that writes recipients and then their sets asks before it writes the first set: the database would write
 * the sets first. All lock recipients before sets, each in the order of their keys, so that nobody deadlocks.
 */
const RECIPIENTS_FIRST = '(select count(*) from known) >= 0';

/** Replaces the set, or merges into it, and returns it resolved. Makes a recipient that is new. */
export async function setPreferences(
  ctx: EnvironmentContext,
  input: PreferenceWrite & { readonly strategy: 'replace' | 'merge' },
): Promise<PreferenceSet> {
  const { collection, id, setId, preferences, strategy } = input;
  const values = [ctx.environment.id, collection, id, setId, preferencesText(preferences)];
  const written = await ctx.db.query(
    {
      name: `set_preferences_${strategy}`,
      text: `
        with known as (
          insert into recipient (environment_id, collection, id)
          values ($1, $2, $3)
          on conflict do nothing
          returning 1
        )
        insert into preference_set as p (environment_id, collection, recipient_id, id, preferences)
        select $1::int, $2, $3, $4, $5::jsonb
        where ${RECIPIENTS_FIRST}
        on conflict (environment_id, collection, recipient_id, id) do update
        set preferences = ${strategy === 'merge' ? MERGED : 'excluded.preferences'},
          updated_at = now()
        where ${strategy === 'merge' ? FITS : 'true'}
        returning 1`,
    },
    values,
  );
  if (written.length === 0) throw tooLarge();
  return getPreferences(ctx, { collection, id, setId });
}

/** Gives many recipients of a collection the same set, in place of the one each has; makes those that are new. */
export async function replacePreferences(
  ctx: EnvironmentContext,
  input: {
    readonly collection: string;
    readonly ids: readonly string[];
    readonly setId: string;
    readonly preferences: JsonObject;
  },
): Promise<void> {
  await ctx.db.query(
    {
      name: 'replace_preferences',
      text: `
        with given as (
          select distinct id
          from unnest($3::text[]) as given (id)
        ),
        known as (
          insert into recipient (environment_id, collection, id)
          select $1, $2, id
          from given
          order by id
          on conflict do nothing
          returning 1
        )
        insert into preference_set (environment_id, collection, recipient_id, id, preferences)
        select $1, $2, id, $4, $5::jsonb
        from given
        where ${RECIPIENTS_FIRST}
        order by id
        on conflict (environment_id, collection, recipient_id, id) do update
        set preferences = excluded.preferences,
          updated_at = now()`,
    },
    [
      ctx.environment.id,
      input.collection,
      textArray(input.ids),
      input.setId,
      preferencesText(input.preferences),
    ],
  );
}

/**
 * The set resolved over the defaults, as it decides on messages. A recipient or set that does not exist has the
 * defaults.
 */
export async function getPreferences(
  ctx: EnvironmentContext,
  input: RecipientKey & { readonly setId: string; readonly tenant?: string | undefined },
): Promise<PreferenceSet> {
  const { setId } = input;
  const tenant = input.tenant ?? (setId === DEFAULT_SET ? undefined : setId);
  const [stored, tenants] = await Promise.all([
    storedSets(ctx.db, ctx.environment.id, input, [DEFAULT_SET, setId]),
    tenantPreferences(ctx, tenant === undefined ? [] : [tenant]),
  ]);
  const sets = new Map(stored.map(({ id, preferences }) => [id, preferences]));
  return resolvedSet(ctx, setId, sets, tenant === undefined ? undefined : tenants.get(tenant));
}

/** Every set of a recipient, each resolved over the defaults; `default` is always one. */
export async function listPreferences(
  ctx: EnvironmentContext,
  input: RecipientKey,
): Promise<PreferenceSet[]> {
  const stored = await storedSets(ctx.db, ctx.environment.id, input, null);
  const sets = new Map(stored.map(({ id, preferences }) => [id, preferences]));
  const ids = sets.has(DEFAULT_SET) ? [...sets.keys()] : [DEFAULT_SET, ...sets.keys()];
  const tenants = await tenantPreferences(ctx, ids);
  return ids.map((id) => resolvedSet(ctx, id, sets, tenants.get(id)));
}

function resolvedSet(
  ctx: EnvironmentContext,
  setId: string,
  sets: ReadonlyMap<string, JsonObject>,
  tenant: JsonObject | undefined,
): PreferenceSet {
  const recipient = sets.get(DEFAULT_SET);
  const stored: StoredPreferences = {
    environment: ctx.environment.settings.preferences,
    tenant,
    recipient,
    recipientForTenant: setId === DEFAULT_SET && tenant === undefined ? undefined : sets.get(setId),
  };
  return preferenceSetAnswer(setId, resolvePreferences(effectivePreferences(stored)));
}

/** Removes a set: the defaults apply again. */
export async function unsetPreferences(
  ctx: EnvironmentContext,
  { collection, id, setId }: RecipientKey & { readonly setId: string },
): Promise<void> {
  await ctx.db.query(
    `
    delete from preference_set
    where environment_id = $1
      and collection = $2
      and recipient_id = $3
      and id = $4`,
    [ctx.environment.id, collection, id, setId],
  );
}

type StoredSet = { readonly id: string; readonly preferences: JsonObject };

function storedSets(
  db: Queryable,
  environmentId: number,
  { collection, id }: RecipientKey,
  setIds: readonly string[] | null,
): Promise<StoredSet[]> {
  return db.query<StoredSet>(
    {
      name: 'stored_preferences',
      text: `
        select id, preferences
        from preference_set
        where environment_id = $1
          and collection = $2
          and recipient_id = $3
          and ($4::text[] is null or id = any($4))
        order by id
        limit 1000`,
    },
    [environmentId, collection, id, setIds],
  );
}

/** The default sets of those tenants that have one. */
async function tenantPreferences(
  ctx: EnvironmentContext,
  tenants: readonly string[],
): Promise<ReadonlyMap<string, JsonObject>> {
  if (tenants.length === 0) return new Map();
  const rows = await ctx.db.query<{ readonly id: string; readonly preferences: unknown }>(
    `
    select id, properties #> '{settings,preference_set}' as preferences
    from recipient
    where environment_id = $1
      and collection = $2
      and id = any($3)`,
    [ctx.environment.id, TENANTS, tenants],
  );
  return new Map(
    rows.flatMap(({ id, preferences }) => (isJsonObject(preferences) ? [[id, preferences]] : [])),
  );
}

function preferencesText(preferences: JsonObject): string {
  const text = JSON.stringify(preferences);
  if (Buffer.byteLength(text) > PREFERENCES_BYTES) throw tooLarge();
  return text;
}

function tooLarge(): BelfryError {
  return invalidField('preferences', 'are larger than 256 kB');
}

/** The sets of many recipients of a collection, by recipient and set id, resolved. */
export async function preferencesOf(
  ctx: EnvironmentContext,
  collection: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, { readonly [setId: string]: PreferenceSet }>> {
  const rows = await ctx.db.query<StoredSet & { readonly recipient_id: string }>(
    `
    select recipient_id, id, preferences
    from preference_set
    where environment_id = $1
      and collection = $2
      and recipient_id = any($3)`,
    [ctx.environment.id, collection, ids],
  );
  const stored = new Map<string, Map<string, JsonObject>>();
  for (const { recipient_id, id, preferences } of rows) {
    const own = stored.get(recipient_id) ?? new Map<string, JsonObject>();
    stored.set(recipient_id, own.set(id, preferences));
  }
  const tenants = await tenantPreferences(ctx, [...new Set(rows.map(({ id }) => id))]);
  return new Map(
    [...stored].map(([recipientId, own]) => [
      recipientId,
      Object.fromEntries(
        [...own.keys()].map((id) => [id, resolvedSet(ctx, id, own, tenants.get(id))]),
      ),
    ]),
  );
}
