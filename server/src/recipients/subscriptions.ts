import type { EnvironmentContext } from '../context.ts';
import { textArray } from '../db/array-literal.ts';
import { invalidField } from '../lib/errors.ts';
import type { JsonObject } from '../lib/json.ts';
import { identifyMany } from './identify.ts';
import { type InlineRecipient, parseRecipient } from './inline.ts';
import { type Page, type PageRequest, pageOf } from './page.ts';
import type { RecipientRow } from './recipient.ts';
import { keyText, type RecipientKey, USERS } from './reference.ts';

const RECIPIENT_LIMIT = 100;
/** They are in each run that comes of the subscription, 2,000 of which are in memory at once. */
const PROPERTIES_CHARACTERS = 8_192;

/** That a recipient gets what is sent to an object. */
export type Subscription = {
  readonly object: RecipientRow;
  readonly recipient: RecipientRow;
  readonly properties: JsonObject | null;
  readonly insertedAt: Date;
  readonly updatedAt: Date;
};

type Row = {
  readonly object_collection: string;
  readonly object_id: string;
  readonly recipient_collection: string;
  readonly recipient_id: string;
  readonly properties: JsonObject | null;
  readonly inserted_at: Date;
  readonly updated_at: Date;
  readonly object_properties: JsonObject | null;
  readonly object_created_at: Date | null;
  readonly object_updated_at: Date | null;
  readonly recipient_properties: JsonObject | null;
  readonly recipient_created_at: Date | null;
  readonly recipient_updated_at: Date | null;
};

const COLUMNS = `s.object_collection, s.object_id, s.recipient_collection, s.recipient_id, s.properties,
  s.inserted_at, s.updated_at,
  o.properties as object_properties, o.created_at as object_created_at, o.updated_at as object_updated_at,
  r.properties as recipient_properties, r.created_at as recipient_created_at, r.updated_at as recipient_updated_at`;

/** The recipients that subscription `s` is between; one that was never identified has no row. */
const RECIPIENTS = `left join recipient o
  on o.environment_id = s.environment_id
  and o.collection = s.object_collection
  and o.id = s.object_id
left join recipient r
  on r.environment_id = s.environment_id
  and r.collection = s.recipient_collection
  and r.id = s.recipient_id`;

/**
 * Subscribes up to 100 recipients to an object, which is made when it is new; those that come with properties are
 * identified. Of a subscription that exists, `properties` replaces those it has; absent, they stay.
 */
export async function subscribe(
  ctx: EnvironmentContext,
  input: {
    readonly object: RecipientKey;
    readonly recipients: unknown;
    readonly properties?: JsonObject | null | undefined;
  },
): Promise<Subscription[]> {
  const { object, properties } = input;
  const text = propertiesText(properties);
  const { keys, identify } = parseRecipients(input.recipients);
  const stubs = keys
    .filter(({ collection }) => collection !== USERS)
    .map((key) => ({ ...key, properties: {} }));
  await identifyMany(ctx, [{ ...object, properties: {} }, ...stubs, ...identify]);
  const rows = await ctx.db.query<Row>(
    `
    with s as (
      insert into subscription as s
        (environment_id, object_collection, object_id, recipient_collection, recipient_id, properties)
      select $1, $2, $3, given.collection, given.id, $6::jsonb
      from unnest($4::text[], $5::text[]) as given (collection, id)
      order by given.collection collate "C", given.id collate "C"
      on conflict (environment_id, object_collection, object_id, recipient_collection, recipient_id) do update
      set properties = case when $7 then excluded.properties else s.properties end,
        updated_at = now()
      returning *
    )
    select ${COLUMNS}
    from s
    ${RECIPIENTS}`,
    [
      ctx.environment.id,
      object.collection,
      object.id,
      ...keyValues(keys),
      text,
      text !== undefined,
    ],
  );
  return inOrder(rows, keys);
}

/** Ends subscriptions and returns those there were. */
export async function unsubscribe(
  ctx: EnvironmentContext,
  input: { readonly object: RecipientKey; readonly recipients: unknown },
): Promise<Subscription[]> {
  const { object } = input;
  const { keys } = parseRecipients(input.recipients);
  const rows = await ctx.db.query<Row>(
    `
    with s as (
      delete from subscription
      where environment_id = $1
        and object_collection = $2
        and object_id = $3
        and (recipient_collection, recipient_id) in (select * from unnest($4::text[], $5::text[]))
      returning *
    )
    select ${COLUMNS}
    from s
    ${RECIPIENTS}`,
    [ctx.environment.id, object.collection, object.id, ...keyValues(keys)],
  );
  return inOrder(rows, keys);
}

/** Who subscribes to an object, by collection and id, a page at a time; of `recipients` only, where they are given. */
export async function listSubscribers(
  ctx: EnvironmentContext,
  input: {
    readonly object: RecipientKey;
    readonly recipients?: readonly RecipientKey[] | undefined;
    readonly page: PageRequest;
  },
): Promise<Page<Subscription>> {
  const { object, recipients, page } = input;
  const isBackward = page.before !== undefined;
  const [collection, id] = cursorKey(page, 2);
  const direction = isBackward ? 'desc' : 'asc';
  const rows = await ctx.db.query<Row>(
    `
    select ${COLUMNS}
    from subscription s
    ${RECIPIENTS}
    where s.environment_id = $1
      and s.object_collection = $2
      and s.object_id = $3
      and ($4::text is null or (s.recipient_collection, s.recipient_id) ${isBackward ? '<' : '>'} ($4, $5::text))
      ${recipients ? 'and (s.recipient_collection, s.recipient_id) in (select * from unnest($7::text[], $8::text[]))' : ''}
    order by s.recipient_collection ${direction}, s.recipient_id ${direction}
    limit $6`,
    [
      ctx.environment.id,
      object.collection,
      object.id,
      collection ?? null,
      id ?? null,
      page.size + 1,
      ...(recipients ? keyValues(recipients) : []),
    ],
  );
  return pageOf(page, rows.map(subscriptionOf), ({ recipient }) =>
    JSON.stringify([recipient.collection, recipient.id]),
  );
}

/** What a recipient subscribes to, the newest first, a page at a time; of `objects` only, where they are given. */
export async function listSubscriptions(
  ctx: EnvironmentContext,
  input: {
    readonly recipient: RecipientKey;
    readonly objects?: readonly RecipientKey[] | undefined;
    readonly page: PageRequest;
  },
): Promise<Page<Subscription>> {
  const { recipient, objects, page } = input;
  const isBackward = page.before !== undefined;
  const [at, collection, id] = cursorKey(page, 3);
  const direction = isBackward ? 'asc' : 'desc';
  const key = `(floor(extract(epoch from s.inserted_at) * 1000)::bigint, s.object_collection, s.object_id)`;
  const rows = await ctx.db.query<Row>(
    `
    select ${COLUMNS}
    from subscription s
    ${RECIPIENTS}
    where s.environment_id = $1
      and s.recipient_collection = $2
      and s.recipient_id = $3
      and ($4::bigint is null or ${key} ${isBackward ? '>' : '<'} ($4, $5::text, $6::text))
      ${objects ? 'and (s.object_collection, s.object_id) in (select * from unnest($8::text[], $9::text[]))' : ''}
    order by ${key} ${direction}
    limit $7`,
    [
      ctx.environment.id,
      recipient.collection,
      recipient.id,
      at ?? null,
      collection ?? null,
      id ?? null,
      page.size + 1,
      ...(objects ? keyValues(objects) : []),
    ],
  );
  return pageOf(page, rows.map(subscriptionOf), ({ insertedAt, object }) =>
    JSON.stringify([String(insertedAt.getTime()), object.collection, object.id]),
  );
}

function subscriptionOf(row: Row): Subscription {
  return {
    object: {
      collection: row.object_collection,
      id: row.object_id,
      properties: row.object_properties ?? {},
      created_at: row.object_created_at ?? row.inserted_at,
      updated_at: row.object_updated_at ?? row.inserted_at,
    },
    recipient: {
      collection: row.recipient_collection,
      id: row.recipient_id,
      properties: row.recipient_properties ?? {},
      created_at: row.recipient_created_at ?? row.inserted_at,
      updated_at: row.recipient_updated_at ?? row.inserted_at,
    },
    properties: row.properties,
    insertedAt: row.inserted_at,
    updatedAt: row.updated_at,
  };
}

/** In the order in which the request names the recipients. */
function inOrder(rows: readonly Row[], keys: readonly RecipientKey[]): Subscription[] {
  const byKey = new Map(
    rows.map((row) => {
      const subscription = subscriptionOf(row);
      return [keyText(subscription.recipient), subscription];
    }),
  );
  return keys.flatMap((key) => byKey.get(keyText(key)) ?? []);
}

function parseRecipients(value: unknown): {
  readonly keys: readonly RecipientKey[];
  readonly identify: readonly InlineRecipient[];
} {
  if (!Array.isArray(value)) throw invalidField('recipients', 'must be a list');
  if (value.length === 0) throw invalidField('recipients', 'must have at least one recipient');
  if (value.length > RECIPIENT_LIMIT) {
    throw invalidField(
      'recipients',
      `must have at most ${RECIPIENT_LIMIT} recipients, not ${value.length}`,
    );
  }
  const keys = new Map<string, RecipientKey>();
  const identify: InlineRecipient[] = [];
  for (const [index, item] of value.entries()) {
    const { key, inline } = parseRecipient(item, `recipients[${index}]`);
    if (inline) identify.push(inline);
    keys.set(keyText(key), key);
  }
  return { keys: [...keys.values()], identify };
}

function propertiesText(properties: JsonObject | null | undefined): string | null | undefined {
  if (properties === undefined || properties === null) return properties;
  const text = JSON.stringify(properties);
  if (text.length > PROPERTIES_CHARACTERS) {
    throw invalidField(
      'properties',
      `must have at most ${PROPERTIES_CHARACTERS} characters as JSON, not ${text.length}; what all subscribers share belongs into the object`,
    );
  }
  return text;
}

function keyValues(keys: readonly RecipientKey[]): [collections: string, ids: string] {
  return [textArray(keys.map(({ collection }) => collection)), textArray(keys.map(({ id }) => id))];
}

function cursorKey({ after, before }: PageRequest, parts: number): readonly string[] {
  const cursor = after ?? before;
  if (cursor === undefined) return [];
  try {
    const key: unknown = JSON.parse(cursor);
    if (
      Array.isArray(key) &&
      key.length === parts &&
      key.every((part) => typeof part === 'string') &&
      (parts === 2 || /^\d{1,15}$/.test(key[0] ?? ''))
    ) {
      return key;
    }
  } catch {
    // Told below.
  }
  throw invalidField(
    after === undefined ? 'before' : 'after',
    'is not a cursor of an earlier answer',
  );
}
