import { invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { conditionListProblems } from '../workflows/conditions.ts';
import type { PreferencePart } from './preference-layers.ts';

/** The answer's form: every part is there. */
export type PreferenceSet = {
  readonly id: string;
  readonly categories: JsonObject;
  readonly workflows: JsonObject;
  readonly channel_types: JsonObject;
  readonly channels: JsonObject;
  readonly commercial_subscribed: Json;
};

const PARTS: readonly PreferencePart[] = ['workflows', 'categories', 'channel_types', 'channels'];

const CHANNEL_TYPES: ReadonlySet<string> = new Set([
  'email',
  'in_app_feed',
  'in_app_guide',
  'sms',
  'push',
  'chat',
  'http',
]);

/** The preferences in a request's value; other keys of it are left out. Throws 422. */
export function parsePreferences(value: unknown, field: string): JsonObject {
  if (!isJsonObject(value)) throw invalidField(field || 'body', 'must be an object');
  const prefix = field === '' ? '' : `${field}.`;
  const parsed: Record<string, Json> = {};
  for (const part of PARTS) {
    const map = value[part];
    // null says the same as nothing: no preference.
    if (map === undefined || map === null) continue;
    checkPart(part, map, `${prefix}${part}`);
    parsed[part] = map;
  }
  const commercial = value.commercial_subscribed;
  if (commercial !== undefined && commercial !== null) {
    checkChannelPreference(commercial, `${prefix}commercial_subscribed`);
    parsed.commercial_subscribed = commercial;
  }
  return parsed;
}

function checkPart(part: PreferencePart, map: Json, field: string): void {
  if (!isJsonObject(map)) throw invalidField(field, 'must be an object');
  if (part === 'channel_types' || part === 'channels') {
    checkChannelPreferences(part, map, field);
    return;
  }
  for (const [key, preference] of Object.entries(map))
    checkPreference(preference, `${field}.${key}`);
}

function checkPreference(value: Json, field: string): void {
  if (typeof value === 'boolean' || value === null) return;
  if (!isJsonObject(value)) throw invalidField(field, 'must be a boolean or an object');
  for (const part of ['channel_types', 'channels'] as const) {
    const map = value[part];
    if (map !== undefined && map !== null) checkChannelPreferences(part, map, `${field}.${part}`);
  }
  checkConditions(value.conditions, field);
}

function checkChannelPreferences(
  part: 'channel_types' | 'channels',
  map: Json,
  field: string,
): void {
  if (!isJsonObject(map)) throw invalidField(field, 'must be an object');
  for (const [key, preference] of Object.entries(map)) {
    if (part === 'channel_types' && !CHANNEL_TYPES.has(key)) {
      throw invalidField(`${field}.${key}`, `is no channel type: ${[...CHANNEL_TYPES].join(', ')}`);
    }
    checkChannelPreference(preference, `${field}.${key}`);
  }
}

function checkChannelPreference(value: Json, field: string): void {
  if (typeof value === 'boolean' || value === null) return;
  if (!isJsonObject(value)) throw invalidField(field, 'must be a boolean or {conditions}');
  checkConditions(value.conditions, field);
}

function checkConditions(value: Json | undefined, field: string): void {
  if (value === undefined || value === null) return;
  const [problem] = conditionListProblems(value, `${field}.conditions`);
  if (problem) throw invalidField(problem.path, problem.reason);
}

/** One part of a set, for the endpoints that change a single part or entry of it. */
export function parsePreferencePart(part: PreferencePart, value: unknown): JsonObject {
  return parsePreferences({ [part]: value }, '');
}

/** The set as an answer shows it. */
export function preferenceSetAnswer(id: string, preferences: JsonObject): PreferenceSet {
  return {
    id,
    categories: part(preferences, 'categories'),
    workflows: part(preferences, 'workflows'),
    channel_types: part(preferences, 'channel_types'),
    channels: part(preferences, 'channels'),
    commercial_subscribed: preferences.commercial_subscribed ?? null,
  };
}

function part(preferences: JsonObject, name: PreferencePart): JsonObject {
  const value = preferences[name];
  return isJsonObject(value) ? value : {};
}
