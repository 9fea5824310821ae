import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import { againAfterDeadlock, isRefusedStatement, type Queryable } from '../db/database.ts';
import type { BelfryError } from '../lib/errors.ts';
import { gathering } from '../lib/gather.ts';
import { deepMerge, isJsonObject, type JsonObject } from '../lib/json.ts';
import { movedZonesSql } from '../signals/moved-zones-sql.ts';
import { signalsSql } from '../signals/signals-sql.ts';
import { type ChannelDataWrite, writeChannelData } from './channel-data.ts';
import { type InlineRecipient, propertiesText, tooManyProperties } from './inline.ts';
import { mergePreferences, type PreferenceWrite } from './preferences.ts';
import type { RecipientRow } from './recipient.ts';
import { keyText, type RecipientKey } from './reference.ts';

const PROPERTIES_BYTES = 256 * 1024;

// Whether the merged properties stay within the limit; the merge itself is done only when the
// sizes of both sides do not prove it already.
export const fits = (base: string, patch: string): string => `(
        octet_length(${base}::text) + octet_length(${patch}::text) <= ${PROPERTIES_BYTES}
        or octet_length(jsonb_deep_merge(${base}, ${patch})::text) <= ${PROPERTIES_BYTES}
      )`;

export const FITS = fits('r.properties', 'excluded.properties');

/** What runs can wait for, of what a statement has written. */
export const UPDATED = `
        select environment_id, collection, id as recipient_id, 'recipient' as kind, '' as source, 'updated' as event,
               jsonb_build_object('id', id, 'collection', collection) as detail
        from written`;

/** Whose time zone may have changed, of what a statement has written. */
export const MOVED = `
        select environment_id, collection, id, properties ->> 'timezone' as timezone
        from written`;

// Sorted, so that two batches cannot deadlock.
const identifyStatement = {
  name: 'identify',
  text: `
    with written as (
      insert into recipient as r (environment_id, collection, id, properties)
      select $1, collection, id, properties
      from unnest($2::text[], $3::text[], $4::jsonb[]) as given (collection, id, properties)
      order by collection, id
      on conflict (environment_id, collection, id) do update
      set properties = jsonb_deep_merge(r.properties, excluded.properties),
        updated_at = now()
      where ${FITS}
      returning environment_id, collection, id, properties, created_at, updated_at
    ),
    signals as (
      ${signalsSql(UPDATED)}
    ),
    schedules as (
      ${movedZonesSql(MOVED)}
    )
    select collection, id, properties, created_at, updated_at
    from written`,
};

// Those whose properties would not change are left alone: most inline recipients repeat what is
// known, and a row that is not written costs nothing. Sorted, so that two requests cannot deadlock.
const identifyManyStatement = {
  name: 'identify_many',
  text: `
    with changed as (
      select given.collection, given.id, given.properties
      from unnest($2::text[], $3::text[], $4::jsonb[]) as given (collection, id, properties)
      left join recipient known
        on known.environment_id = $1
        and known.collection = given.collection
        and known.id = given.id
      where known.id is null
        or jsonb_deep_merge(known.properties, given.properties) <> known.properties
    ),
    written as (
      insert into recipient as r (environment_id, collection, id, properties)
      select $1, collection, id, properties
      from changed
      order by collection, id
      on conflict (environment_id, collection, id) do update
      set properties = jsonb_deep_merge(r.properties, excluded.properties),
        updated_at = now()
      where ${FITS}
      returning environment_id, collection, id, properties
    ),
    signals as (
      ${signalsSql(UPDATED)}
    ),
    schedules as (
      ${movedZonesSql(MOVED)}
    )
    select collection, id
    from changed
    except
    select collection, id
    from written`,
};

// Before what replaces them is merged; a set that stays what it is is left alone. All that are written afterwards are
// locked in the same order, so that two requests cannot deadlock.
const dropPreferenceSets = {
  name: 'drop_preference_sets',
  text: `
    with held as (
      select r.collection, r.id,
        given.replaces
          and r.properties #> '{settings,preference_set}'
            is distinct from given.properties #> '{settings,preference_set}' as is_stale
      from unnest($2::text[], $3::text[], $4::jsonb[], $5::boolean[])
        as given (collection, id, properties, replaces)
      join recipient r
        on r.environment_id = $1
        and r.collection = given.collection
        and r.id = given.id
      order by r.collection, r.id
      for update of r
    )
    update recipient r
    set properties = r.properties #- '{settings,preference_set}'
    from held
    where r.environment_id = $1
      and r.collection = held.collection
      and r.id = held.id
      and held.is_stale`,
};

async function dropReplaced(
  ctx: EnvironmentContext,
  tx: Queryable,
  recipients: readonly InlineRecipient[],
): Promise<void> {
  if (!recipients.some(({ replacesPreferences }) => replacesPreferences)) return;
  await tx.query(dropPreferenceSets, [
    ctx.environment.id,
    textArray(recipients.map(({ collection }) => collection)),
    textArray(recipients.map(({ id }) => id)),
    textArray(recipients.map(propertiesText)),
    textArray(recipients.map(({ replacesPreferences }) => String(replacesPreferences === true))),
  ]);
}

/**
 * Creates the recipient, or merges the given properties and preference sets into it and replaces
 * the given channel data. Throws 422 when its properties would be larger than 256 kB.
 */
export async function identify(
  ctx: EnvironmentContext,
  recipient: InlineRecipient,
): Promise<RecipientRow> {
  const given = { ctx, key: recipient, text: propertiesText(recipient) };
  if (!recipient.preferences && !recipient.channelData && !recipient.replacesPreferences) {
    return identifyTogether(ctx.db, String(ctx.environment.id), given);
  }
  const write = async (tx: Queryable): Promise<RecipientRow> => {
    await dropReplaced(ctx, tx, [recipient]);
    const [row] = await writeProperties(tx, ctx.environment.id, [given]);
    if (row instanceof Error || row === undefined) throw row ?? tooManyProperties(recipient);
    await writeParts(ctx, tx, [recipient]);
    return row;
  };
  return againAfterDeadlock(() => ctx.db.transaction(write));
}

type Given = {
  readonly ctx: EnvironmentContext;
  readonly key: RecipientKey;
  /** Properties, as JSON. */
  readonly text: string;
};

/** Of up to 256 kB each. */
const MAX_WRITTEN = 50;
const WRITES = 2;

/** Recipients of an environment that are identified at the same time share a statement, and a commit. */
const identifyTogether = gathering<Given, RecipientRow>({
  run: async (given) => {
    const [first] = given;
    return first ? writeProperties(first.ctx.db, first.ctx.environment.id, given) : [];
  },
  maxItems: MAX_WRITTEN,
  maxUnderWay: WRITES,
  nameOf: ({ key }) => keyText(key),
  isRefusal: isRefusedStatement,
});

/** For each the row as it is now, or why there is none; each recipient is there once. */
async function writeProperties(
  tx: Queryable,
  environmentId: number,
  given: readonly Given[],
): Promise<(RecipientRow | BelfryError)[]> {
  const rows = await tx.query<RecipientRow>(identifyStatement, [
    environmentId,
    textArray(given.map(({ key }) => key.collection)),
    textArray(given.map(({ key }) => key.id)),
    textArray(given.map(({ text }) => text)),
  ]);
  const byName = new Map(rows.map((row) => [keyText(row), row]));
  return given.map(({ key }) => byName.get(keyText(key)) ?? tooManyProperties(key));
}

/**
 * Identifies the recipients that a request brought along, in one transaction: all or none. A
 * recipient that is there twice is merged in order.
 */
export async function identifyMany(
  ctx: EnvironmentContext,
  recipients: readonly InlineRecipient[],
): Promise<void> {
  if (recipients.length === 0) return;
  const merged = mergeDuplicates(recipients);
  const values = [
    ctx.environment.id,
    textArray(merged.map(({ collection }) => collection)),
    textArray(merged.map(({ id }) => id)),
    textArray(merged.map(propertiesText)),
  ];
  const write = async (tx: Queryable): Promise<void> => {
    const [refused] = await tx.query<RecipientKey>(identifyManyStatement, values);
    if (refused) throw tooManyProperties(refused);
  };
  // One statement is all or none by itself, as long as it cannot refuse a row: a trigger that names
  // its tenant by id is the common case.
  if (merged.every(isStub)) {
    await write(ctx.db);
    return;
  }
  const writeAll = async (tx: Queryable): Promise<void> => {
    await dropReplaced(ctx, tx, merged);
    await write(tx);
    await writeParts(ctx, tx, merged);
  };
  await againAfterDeadlock(() => ctx.db.transaction(writeAll));
}

function isStub({ properties, preferences, channelData }: InlineRecipient): boolean {
  return !preferences && !channelData && Object.keys(properties).length === 0;
}

async function writeParts(
  ctx: EnvironmentContext,
  tx: Queryable,
  recipients: readonly InlineRecipient[],
): Promise<void> {
  const preferences: PreferenceWrite[] = [];
  const channelData: ChannelDataWrite[] = [];
  for (const { collection, id, ...parts } of recipients) {
    for (const [setId, set] of Object.entries(parts.preferences ?? {})) {
      preferences.push({ collection, id, setId, preferences: set as JsonObject });
    }
    for (const [channel, data] of Object.entries(parts.channelData ?? {})) {
      channelData.push({ collection, id, channel, data: data as JsonObject });
    }
  }
  await mergePreferences(tx, ctx.environment.id, preferences);
  await writeChannelData(tx, ctx.environment, channelData);
}

/** One entry a recipient, sorted by key. */
function mergeDuplicates(recipients: readonly InlineRecipient[]): InlineRecipient[] {
  const byKey = new Map<string, InlineRecipient>();
  for (const recipient of recipients) {
    const key = keyText(recipient);
    const earlier = byKey.get(key);
    byKey.set(key, earlier ? merge(earlier, recipient) : recipient);
  }
  return [...byKey.entries()]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, recipient]) => recipient);
}

function merge(earlier: InlineRecipient, later: InlineRecipient): InlineRecipient {
  const preferences = deepMerge(earlier.preferences ?? {}, later.preferences ?? {});
  const channelData = { ...earlier.channelData, ...later.channelData };
  const { replacesPreferences } = later;
  const before = replacesPreferences ? withoutSet(earlier.properties) : earlier.properties;
  return {
    collection: later.collection,
    id: later.id,
    properties: deepMerge(before, later.properties),
    preferences,
    channelData,
    ...(replacesPreferences || earlier.replacesPreferences ? { replacesPreferences: true } : {}),
  };
}

function withoutSet({ settings, ...properties }: JsonObject): JsonObject {
  if (!isJsonObject(settings)) return properties;
  const { preference_set: _, ...others } = settings;
  return { ...properties, settings: others };
}
