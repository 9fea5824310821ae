import { parseShared } from '../engine/trigger-body.ts';
import { invalidField } from '../lib/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { isUuid } from '../lib/uuid.ts';
import { type InlineRecipient, parseRecipient } from '../recipients/inline.ts';
import { keyText, type RecipientKey } from '../recipients/reference.ts';
import type { ScheduleChange } from '../schedules/change-schedules.ts';
import type { NewSchedule } from '../schedules/create-schedules.ts';
import { MAX_REPEATS } from '../schedules/schedule.ts';
import { parseRepeatRule } from '../workflows/repeat-rule.ts';
import { parseTimestamp } from '../workflows/timestamps.ts';

/** New schedules as a request has them, and whom to identify before. */
export type ScheduleBody = {
  readonly schedules: readonly NewSchedule[];
  readonly identify: readonly InlineRecipient[];
};

const MAX_RECIPIENTS = 100;
const MAX_BULK = 1_000;
const MAX_IDS = 1_000;

/** A body with one schedule for each of its recipients. */
export function parseCreateBody(body: JsonObject): ScheduleBody {
  const { recipients } = body;
  if (!Array.isArray(recipients)) throw invalidField('recipients', 'must be a list');
  const given: readonly Json[] = recipients;
  if (given.length === 0 || given.length > MAX_RECIPIENTS) {
    throw invalidField('recipients', `must have 1 to ${MAX_RECIPIENTS} recipients`);
  }
  const { schedule, identify } = parseOne(body, '');
  const inlines: InlineRecipient[] = [];
  const keys = new Map<string, RecipientKey>();
  for (const [i, recipient] of given.entries()) {
    const { key, inline } = parseRecipient(recipient, `recipients[${i}]`);
    if (inline) inlines.push(inline);
    keys.set(keyText(key), key);
  }
  return {
    schedules: [...keys.values()].map((recipient) => ({ ...schedule, recipient })),
    identify: [...inlines, ...identify],
  };
}

/** A body with a list of schedules, each with its own recipient. */
export function parseBulkBody(body: JsonObject): ScheduleBody {
  if (!Array.isArray(body.schedules)) throw invalidField('schedules', 'must be a list');
  const given: readonly Json[] = body.schedules;
  if (given.length === 0 || given.length > MAX_BULK) {
    throw invalidField('schedules', `must have 1 to ${MAX_BULK} schedules`);
  }
  const schedules: NewSchedule[] = [];
  const identify: InlineRecipient[] = [];
  for (const [i, item] of given.entries()) {
    const field = `schedules[${i}]`;
    if (!isJsonObject(item)) throw invalidField(field, 'must be an object');
    const one = parseOne(item, `${field}.`);
    const { key, inline } = parseRecipient(item.recipient, `${field}.recipient`);
    schedules.push({ ...one.schedule, recipient: key });
    identify.push(...(inline ? [inline] : []), ...one.identify);
  }
  return { schedules, identify };
}

/** Which schedules to change, how, and whom to identify before. */
export function parseUpdateBody(body: JsonObject): {
  readonly ids: readonly string[];
  readonly change: ScheduleChange;
  readonly identify: readonly InlineRecipient[];
} {
  const ids = parseIds(body);
  const { actor, tenant, data, identify } = parseShared(body);
  const change: ScheduleChange = {
    ...(body.actor !== undefined && { actor }),
    ...(body.tenant !== undefined && { tenant }),
    ...(body.data !== undefined && { data }),
    ...(body.repeats !== undefined && { repeats: parseRepeats(body.repeats, 'repeats') }),
    ...(body.scheduled_at !== undefined && {
      scheduledMs: parseTime(body.scheduled_at, 'scheduled_at') ?? null,
    }),
    ...(body.ending_at !== undefined && {
      endingMs: parseTime(body.ending_at, 'ending_at') ?? null,
    }),
  };
  return { ids, change, identify };
}

export function parseIds(body: JsonObject): string[] {
  if (!Array.isArray(body.schedule_ids)) throw invalidField('schedule_ids', 'must be a list');
  const ids: readonly Json[] = body.schedule_ids;
  if (ids.length === 0 || ids.length > MAX_IDS) {
    throw invalidField('schedule_ids', `must have 1 to ${MAX_IDS} ids`);
  }
  return ids.map((id, i) => {
    if (typeof id === 'string' && isUuid(id)) return id.toLowerCase();
    throw invalidField(`schedule_ids[${i}]`, 'must be the id of a schedule, a UUID');
  });
}

function parseOne(
  body: JsonObject,
  prefix: string,
): {
  readonly schedule: Omit<NewSchedule, 'recipient'>;
  readonly identify: readonly InlineRecipient[];
} {
  const { workflow } = body;
  if (typeof workflow !== 'string' || workflow === '') {
    throw invalidField(`${prefix}workflow`, 'must be the key of a workflow');
  }
  const { actor, tenant, data, identify } = parseShared(body);
  const repeats = parseRepeats(body.repeats, `${prefix}repeats`);
  const scheduledMs = parseTime(body.scheduled_at, `${prefix}scheduled_at`);
  if (repeats.length === 0 && scheduledMs === undefined) {
    throw invalidField(`${prefix}scheduled_at`, 'is required for a schedule without repeats');
  }
  const endingMs = parseTime(body.ending_at, `${prefix}ending_at`);
  return {
    schedule: { workflowKey: workflow, actor, tenant, data, repeats, scheduledMs, endingMs },
    identify,
  };
}

/** Rules as they are stored and answered: every field there, days as a list. */
function parseRepeats(value: Json | undefined, field: string): JsonObject[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalidField(field, 'must be a list of rules');
  const given: readonly Json[] = value;
  if (given.length > MAX_REPEATS) {
    throw invalidField(field, `must have at most ${MAX_REPEATS} rules`);
  }
  return given.map((item, i) => {
    if (!isJsonObject(item)) throw invalidField(`${field}[${i}]`, 'must be an object');
    const rule = parseRepeatRule(item);
    if (typeof rule === 'string') throw invalidField(`${field}[${i}]`, `is wrong: ${rule}`);
    return {
      frequency: rule.frequency,
      interval: rule.interval,
      days: rule.days ?? null,
      hours: rule.hours,
      minutes: rule.minutes,
      day_of_month: rule.dayOfMonth ?? null,
    };
  });
}

function parseTime(value: Json | undefined, field: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  const timeMs = parseTimestamp(value);
  if (timeMs !== undefined) return timeMs;
  throw invalidField(field, 'must be an ISO 8601 timestamp such as "2026-12-24T18:00:00Z"');
}
