import { createHash } from 'node:crypto';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import {
  CENTER_CHANNEL_TYPES,
  type CenterChannelType,
  type CenterConfig,
  type CenterRow,
} from './preference-center.ts';
import type { PreferenceSet } from './preference-set.ts';

/** One switch of the preference center. */
export type Toggle = {
  /** Names it in the form, see `toggleKey`. */
  readonly key: string;
  /** Of a row that has one for each channel type. */
  readonly channelType?: CenterChannelType;
  readonly isOn: boolean;
  /** Conditions decide; a switch could only throw them away. */
  readonly isLocked: boolean;
};

export type ToggleRow = { readonly row: CenterRow; readonly toggles: readonly Toggle[] };

/** What the browser sends: the keys of the switches that are on now, and of those that the page showed as on. */
export type SentToggles = {
  readonly on: ReadonlySet<string>;
  readonly wasOn: ReadonlySet<string>;
};

/** What a row without types of its own is about, of those that reach a person. */
const PERSONAL_TYPES: readonly CenterChannelType[] = [
  'email',
  'in_app_feed',
  'sms',
  'push',
  'chat',
];

/**
 * A switch's name in the form, from its path in a preference set: as long for each, so that a form has a bound, and it
 * says nothing of keys that are not for recipients.
 */
export function toggleKey(path: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(path)).digest('base64url').slice(0, 16);
}

/** The rows of a center with their switches, as a resolved preference set has them. */
export function toggleRows(
  { rows }: Pick<CenterConfig, 'rows'>,
  preferences: PreferenceSet,
): ToggleRow[] {
  return rows.map((row) => ({ row, toggles: togglesOf(row, preferences) }));
}

/**
 * What to merge into the set: only switches that the person turned, so that a page that was open for long undoes
 * nothing else. Undefined: nothing was turned.
 */
export function changesOf(
  rows: readonly ToggleRow[],
  preferences: PreferenceSet,
  { on, wasOn }: SentToggles,
): JsonObject | undefined {
  const parts = new Map<string, [string, Json][]>();
  let commercial: boolean | undefined;
  for (const { row, toggles } of rows) {
    const turned = toggles.filter(
      ({ key, isLocked }) => !isLocked && on.has(key) !== wasOn.has(key),
    );
    if (turned.length === 0) continue;
    if (row.type === 'commercial_subscribed') {
      commercial = turned.some(({ key }) => on.has(key));
      continue;
    }
    const part = partOf(row.type);
    parts.set(part, [...(parts.get(part) ?? []), ...entriesOf(row, turned, preferences, on)]);
  }
  if (parts.size === 0 && commercial === undefined) return undefined;
  return {
    // fromEntries defines own properties, also one named __proto__.
    ...Object.fromEntries([...parts].map(([part, of]) => [part, Object.fromEntries(of)])),
    ...(commercial !== undefined && { commercial_subscribed: commercial }),
  };
}

function togglesOf(row: CenterRow, preferences: PreferenceSet): Toggle[] {
  const identifier = row.identifier ?? '';
  switch (row.type) {
    case 'commercial_subscribed':
      return [toggle(['commercial_subscribed'], preferences.commercial_subscribed)];
    case 'channel':
      return [toggle(['channels', identifier], own(preferences.channels, identifier))];
    case 'channel_types':
      return (row.channel_types?.length ? row.channel_types : PERSONAL_TYPES).map((type) => ({
        ...toggle(['channel_types', type], own(preferences.channel_types, type)),
        channelType: type,
      }));
    default:
      return topicToggles(row, identifier, preferences);
  }
}

/** Of a workflow or a category. */
function topicToggles(row: CenterRow, identifier: string, preferences: PreferenceSet): Toggle[] {
  const part = row.type === 'workflow' ? 'workflows' : 'categories';
  const entry = own(preferences[part], identifier);
  const whole = toggle([part, identifier], entry);
  if (!row.channel_types?.length) return [whole];
  const types = isJsonObject(entry) ? entry.channel_types : undefined;
  return row.channel_types.map((type) => {
    const of = toggle([part, identifier, type], own(types, type));
    return {
      ...of,
      channelType: type,
      isOn: whole.isOn && of.isOn,
      isLocked: whole.isLocked || of.isLocked,
    };
  });
}

function toggle(path: readonly string[], value: Json | undefined): Toggle {
  const conditions = isJsonObject(value) ? value.conditions : undefined;
  return {
    key: toggleKey(path),
    isOn: value !== false,
    isLocked: Array.isArray(conditions) && conditions.length > 0,
  };
}

function entriesOf(
  row: CenterRow,
  turned: readonly Toggle[],
  preferences: PreferenceSet,
  on: ReadonlySet<string>,
): [string, Json][] {
  const identifier = row.identifier ?? '';
  const byType = turned.flatMap(({ key, channelType }): [string, boolean][] =>
    channelType === undefined ? [] : [[channelType, on.has(key)]],
  );
  if (row.type === 'channel_types') return byType;
  if (byType.length === 0) return turned.map(({ key }) => [identifier, on.has(key)]);
  const entry = own(preferences[row.type === 'workflow' ? 'workflows' : 'categories'], identifier);
  // The entry becomes an object: of one that was off, what nobody turned on has to stay off.
  const others: [string, boolean][] =
    entry === false ? CENTER_CHANNEL_TYPES.map((type) => [type, false]) : [];
  return [[identifier, { channel_types: Object.fromEntries([...others, ...byType]) }]];
}

function partOf(type: 'workflow' | 'channel' | 'category' | 'channel_types'): string {
  const parts = {
    workflow: 'workflows',
    channel: 'channels',
    category: 'categories',
    channel_types: 'channel_types',
  } as const;
  return parts[type];
}

function own(map: Json | undefined, key: string): Json | undefined {
  return isJsonObject(map) && Object.hasOwn(map, key) ? map[key] : undefined;
}
