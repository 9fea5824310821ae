import type { Environment, EnvironmentContext } from '../context.ts';
import { plainArray, textArray } from '../db/array-literal.ts';
import { againAfterDeadlock, type Queryable } from '../db/database.ts';
import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { RecipientKey } from './reference.ts';

/** Where a recipient is reached on a channel: push tokens, chat connections and the like. */
export type ChannelData = {
  readonly __typename: 'ChannelData';
  readonly channel_id: string;
  readonly provider?: string;
  readonly data: JsonObject;
};

export type ChannelDataWrite = RecipientKey & {
  /** The channel's id or key. */
  readonly channel: string;
  readonly data: JsonObject;
};

/** Those that clients know of; channels of others name none. */
export const channelDataProviders = [
  'push_fcm',
  'push_apns',
  'push_aws_sns',
  'push_expo',
  'push_one_signal',
  'chat_slack',
  'chat_ms_teams',
  'chat_discord',
  'http_knock_webhook',
] as const;

const providers: ReadonlySet<string> = new Set(channelDataProviders);

const DATA_BYTES = 256 * 1024;

type Channel = { readonly id: string; readonly key: string; readonly provider: string };

/** Replaces the data of these channels; within the caller's transaction. */
export async function writeChannelData(
  tx: Queryable,
  environment: Environment,
  writes: readonly ChannelDataWrite[],
): Promise<readonly Channel[]> {
  if (writes.length === 0) return [];
  const channels = await findChannels(
    tx,
    environment.accountId,
    writes.map(({ channel }) => channel),
  );
  await tx.query(
    `
    insert into channel_data (environment_id, collection, recipient_id, channel_id, data)
    select $1, given.collection, given.recipient_id, given.channel_id, given.data
    from unnest($2::text[], $3::text[], $4::uuid[], $5::jsonb[])
      as given (collection, recipient_id, channel_id, data)
    order by given.collection, given.recipient_id, given.channel_id
    on conflict (environment_id, collection, recipient_id, channel_id) do update
    set data = excluded.data,
      updated_at = now()`,
    [
      environment.id,
      textArray(writes.map(({ collection }) => collection)),
      textArray(writes.map(({ id }) => id)),
      plainArray(channels.map(({ id }) => id)),
      textArray(writes.map(({ data }) => dataText(data))),
    ],
  );
  return channels;
}

/** Replaces a recipient's data for a channel. Makes a recipient that is new. */
export async function setChannelData(
  ctx: EnvironmentContext,
  input: ChannelDataWrite,
): Promise<ChannelData> {
  const write = async (tx: Queryable): Promise<ChannelData> => {
    await tx.query(
      `
      insert into recipient (environment_id, collection, id)
      values ($1, $2, $3)
      on conflict do nothing`,
      [ctx.environment.id, input.collection, input.id],
    );
    const [channel] = await writeChannelData(tx, ctx.environment, [input]);
    if (!channel) throw new Error('channel data was not written');
    return answer(channel, normalise(input.data));
  };
  return againAfterDeadlock(() => ctx.db.transaction(write));
}

/** A recipient's data for a channel, or a 404. */
export async function getChannelData(
  ctx: EnvironmentContext,
  input: RecipientKey & { readonly channel: string },
): Promise<ChannelData> {
  const channel = await findChannel(ctx, input.channel);
  const data = await findChannelData(ctx, { ...input, channelId: channel.id });
  if (!data) {
    throw new BelfryError(
      'resource_missing',
      `${JSON.stringify(input.id)} has no channel data for channel "${channel.key}"`,
    );
  }
  return answer(channel, data);
}

type OfChannel = RecipientKey & { readonly channelId: string };

/** A recipient's data for a channel that exists; undefined when there is none. */
export async function findChannelData(
  ctx: EnvironmentContext,
  { collection, id, channelId }: OfChannel,
): Promise<JsonObject | undefined> {
  const [row] = await ctx.db.query<{ readonly data: JsonObject }>(
    `
    select data
    from channel_data
    where environment_id = $1
      and collection = $2
      and recipient_id = $3
      and channel_id = $4`,
    [ctx.environment.id, collection, id, channelId],
  );
  return row?.data;
}

/** Takes a field out of a recipient's data for a channel, unless it has changed since it was `was`. */
export async function dropChannelDataField(
  ctx: EnvironmentContext,
  input: OfChannel & { readonly field: string; readonly was: Json },
): Promise<void> {
  const { collection, id, channelId, field, was } = input;
  await ctx.db.query(
    `
    update channel_data
    set data = data - $5::text,
      updated_at = now()
    where environment_id = $1
      and collection = $2
      and recipient_id = $3
      and channel_id = $4
      and data -> $5 = $6::jsonb`,
    [ctx.environment.id, collection, id, channelId, field, JSON.stringify(was)],
  );
}

/** Removes a recipient's data for a channel. */
export async function unsetChannelData(
  ctx: EnvironmentContext,
  input: RecipientKey & { readonly channel: string },
): Promise<void> {
  const channel = await findChannel(ctx, input.channel);
  await ctx.db.query(
    `
    delete from channel_data
    where environment_id = $1
      and collection = $2
      and recipient_id = $3
      and channel_id = $4`,
    [ctx.environment.id, input.collection, input.id, channel.id],
  );
}

async function findChannel(ctx: EnvironmentContext, reference: string): Promise<Channel> {
  const [channel] = await findChannels(ctx.db, ctx.environment.accountId, [reference]);
  if (!channel) throw new Error('a channel was neither found nor refused');
  return channel;
}

/** The account's channels of these ids or keys, in this order. */
async function findChannels(
  db: Queryable,
  accountId: number,
  references: readonly string[],
): Promise<Channel[]> {
  const rows = await db.query<Channel>(
    `
    select id, key, provider
    from channel
    where account_id = $1
      and (id::text = any($2) or key = any($2))`,
    [accountId, references.map((reference) => reference.toLowerCase())],
  );
  return references.map((reference) => {
    const wanted = reference.toLowerCase();
    const channel = rows.find(({ id, key }) => id === wanted || key === wanted);
    if (channel) return channel;
    throw new BelfryError(
      'channel_invalid',
      `There is no channel ${JSON.stringify(reference.slice(0, 100))} in this account`,
    );
  });
}

function dataText(data: JsonObject): string {
  const text = JSON.stringify(normalise(data));
  if (Buffer.byteLength(text) > DATA_BYTES) throw invalidField('data', 'is larger than 256 kB');
  return text;
}

function answer(channel: Channel, data: JsonObject): ChannelData {
  const { id, provider } = channel;
  const known = providers.has(provider) ? { provider } : {};
  return { __typename: 'ChannelData', channel_id: id, ...known, data };
}

/**
 * Push data comes as a list of tokens or of devices (for AWS SNS: target ARNs or devices) and is
 * given back as both.
 */
function normalise(data: JsonObject): JsonObject {
  const push = bothForms(data, 'tokens', 'token');
  return push ?? bothForms(data, 'target_arns', 'target_arn') ?? data;
}

function bothForms(data: JsonObject, list: string, name: string): JsonObject | undefined {
  const given = data.devices ?? null;
  if (Array.isArray(given) && given.some((device) => isJsonObject(device) && name in device)) {
    const devices = given.map((device: Json, index): JsonObject => {
      if (!isJsonObject(device) || typeof device[name] !== 'string') {
        throw invalidField(`data.devices[${index}].${name}`, 'must be a string');
      }
      return { locale: null, timezone: null, ...device };
    });
    return { ...data, [list]: devices.map((device) => device[name] ?? null), devices };
  }
  const values = data[list];
  if (values === undefined || values === null) return undefined;
  if (!Array.isArray(values) || !values.every((value) => typeof value === 'string')) {
    throw invalidField(`data.${list}`, 'must be a list of strings');
  }
  const devices = values.map((value) => ({ [name]: value, locale: null, timezone: null }));
  return { ...data, [list]: values, devices };
}
