import { BelfryError, invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { parsePreferences } from './preference-set.ts';
import { parseCollection, parseId, type RecipientKey, USERS } from './reference.ts';

/** A recipient that a request brings along: what it is to be merged with. */
export type InlineRecipient = RecipientKey & {
  readonly properties: JsonObject;
  /** Preference sets by id, merged into those that exist. */
  readonly preferences?: JsonObject;
  /** Channel data by channel id, which replaces what exists. */
  readonly channelData?: JsonObject;
  /** Of a tenant: the preference set in `properties.settings` replaces the one that exists. */
  readonly replacesPreferences?: true;
};

/** A recipient of a request: who, and what to identify when it came with properties. */
export type RequestedRecipient = {
  readonly key: RecipientKey;
  readonly inline?: InlineRecipient;
  /** Merged into the trigger data of this recipient. */
  readonly triggerData?: JsonObject;
};

const PROPERTIES_BYTES = 256 * 1024;

/** Keys of a recipient that are not properties: consumed, or ours in answers. */
const CONSUMED = new Set([
  'id',
  'collection',
  'preferences',
  'channel_data',
  '$trigger_data',
  '__typename',
  'updated_at',
]);

/** A user id, an inline user, an object reference or an inline object. */
export function parseRecipient(value: unknown, field: string): RequestedRecipient {
  if (typeof value === 'string') return { key: { collection: USERS, id: parseId(value, field) } };
  if (!isJsonObject(value)) {
    throw invalidField(field, 'must be a user id, or an object with an id');
  }
  const id = parseId(value.id, `${field}.id`);
  const collection =
    value.collection === undefined || value.collection === null
      ? USERS
      : parseCollection(value.collection, `${field}.collection`);
  const key = { collection, id };
  const triggerData = parseTriggerData(value.$trigger_data, field);
  const inline = isBareReference(value) ? undefined : parseInline(key, value, field);
  return {
    key,
    ...(inline && { inline }),
    ...(triggerData && { triggerData }),
  };
}

/** The body of a request that sets this recipient: properties, preferences, channel data. */
export function parseInline(key: RecipientKey, body: JsonObject, field: string): InlineRecipient {
  const prefix = field === '' ? '' : `${field}.`;
  const properties: Record<string, Json> = {};
  for (const name in body) {
    if (CONSUMED.has(name)) continue;
    const value = body[name];
    if (value !== undefined) properties[name] = value;
  }
  const preferences = parsePreferenceSets(body.preferences, `${prefix}preferences`);
  const channelData = parseChannelDataMap(body.channel_data, `${prefix}channel_data`);
  return {
    ...key,
    properties,
    ...(preferences && { preferences }),
    ...(channelData && { channelData }),
  };
}

/** The properties as they go to the database; 422 when they are more than 256 kB. */
export function propertiesText(recipient: InlineRecipient): string {
  const text = JSON.stringify(recipient.properties);
  // A character has at least one byte and at most three of them per UTF-16 unit.
  if (text.length * 3 > PROPERTIES_BYTES && Buffer.byteLength(text) > PROPERTIES_BYTES) {
    throw tooManyProperties(recipient);
  }
  return text;
}

export function tooManyProperties(key: RecipientKey): BelfryError {
  return new BelfryError(
    'invalid_params',
    `The properties of ${JSON.stringify(key.id)} are larger than 256 kB`,
    { fields: [{ field: 'properties', message: 'are larger than 256 kB' }] },
  );
}

/** `{id, collection}` refers to an object; more than that identifies it. */
function isBareReference(value: JsonObject): boolean {
  if (value.collection === undefined) return false;
  for (const name in value) {
    if (name !== 'id' && name !== 'collection' && name !== '$trigger_data') return false;
  }
  return true;
}

function parseTriggerData(value: Json | undefined, field: string): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw invalidField(`${field}.$trigger_data`, 'must be an object');
  return value;
}

function parsePreferenceSets(value: Json | undefined, field: string): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw invalidField(field, 'must be an object of preference sets by id');
  return Object.fromEntries(
    Object.entries(value).map(([id, set]) => [
      parseId(id, field),
      parsePreferences(set, `${field}.${id}`),
    ]),
  );
}

function parseChannelDataMap(value: Json | undefined, field: string): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isJsonObject(value)) throw invalidField(field, 'must be an object of data by channel id');
  for (const [channel, data] of Object.entries(value)) {
    if (!isJsonObject(data)) throw invalidField(`${field}.${channel}`, 'must be an object');
  }
  return value;
}
