import { Temporal } from 'temporal-polyfill';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { Problem } from './step.ts';

/** An open time of a day, in minutes since its midnight; `until` is not part of it. */
type Opening = { readonly from: number; readonly until: number };

/** The openings of each day, Monday first. */
export type SendWindows = readonly (readonly Opening[])[];

const DAYS = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];
const DAY_MINUTES = 1_440;
/** A window of one day may fall into the hour that daylight saving skips, so a week is not enough. */
const SEARCHED_DAYS = 15;
const MAX_TRANSITIONS = 8;

/**
 * The first time (milliseconds since 1970) from `nowMs` on at which a clock in this time zone shows an open time: `nowMs`
 * itself where that is one. An hour that daylight saving skips is in no window, one that it repeats is in a window
 * twice. Undefined when nothing is open in the next 15 days.
 */
export function nextOpening(
  windows: SendWindows,
  nowMs: number,
  timezone: string,
): number | undefined {
  const now = Temporal.Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(timezone);
  if (isOpen(windows, now)) return nowMs;
  // Only a window's beginning or a change of the zone's offset can open one.
  const times = [...changesOfOffset(now), ...beginnings(windows, now)]
    .filter((time) => time.epochMilliseconds > nowMs)
    .sort(Temporal.ZonedDateTime.compare);
  return times.find((time) => isOpen(windows, time))?.epochMilliseconds;
}

/** Windows by day of a step's `send_windows`; undefined where it has none. */
export function parseSendWindows(value: Json | undefined): SendWindows | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const entries = value.filter(isJsonObject);
  return DAYS.map((day) => {
    const entry = entries.find((item: JsonObject) => item.day === day);
    return entry ? openings(entry) : [];
  });
}

/** What is wrong with a step's `send_windows`; `path` is its own. */
export function sendWindowProblems(value: Json | undefined, path: string): Problem[] {
  if (!Array.isArray(value) || value.length === 0) return [];
  const problems: Problem[] = [];
  const days = value.map((entry) => (isJsonObject(entry) ? entry.day : undefined));
  const missing = DAYS.filter((day) => !days.includes(day));
  if (missing.length > 0) problems.push({ path, reason: `lacks ${missing.join(', ')}` });
  const repeated = DAYS.filter((day) => days.filter((other) => other === day).length > 1);
  if (repeated.length > 0) problems.push({ path, reason: `has ${repeated.join(', ')} twice` });
  value.forEach((entry, index) => {
    if (isJsonObject(entry)) problems.push(...entryProblems(entry, `${path}[${index}]`));
  });
  if (problems.length > 0) return problems;
  const isShut = parseSendWindows(value)?.every((day) => day.length === 0);
  return isShut ? [{ path, reason: 'is closed all week, so nothing would ever be sent' }] : [];
}

function entryProblems({ from, until }: JsonObject, path: string): Problem[] {
  const problems: Problem[] = [];
  for (const [field, value] of Object.entries({ from, until })) {
    if (value === undefined || value === null || minutesOf(value) !== undefined) continue;
    problems.push({ path: `${path}.${field}`, reason: 'must be a time of day such as "09:00"' });
  }
  if (problems.length === 0 && startOf(from) >= endOf(until)) {
    const reason =
      'must be after "from"; a window over midnight is one until "24:00" and one on the next day';
    problems.push({ path: `${path}.until`, reason });
  }
  return problems;
}

/** A day with type `do_not_send` and times is open outside of them. */
function openings({ type, from, until }: JsonObject): Opening[] {
  const window = { from: startOf(from), until: endOf(until) };
  if (type === 'send') return [window];
  return [
    { from: 0, until: window.from },
    { from: window.until, until: DAY_MINUTES },
  ].filter((opening) => opening.from < opening.until);
}

function startOf(value: Json | undefined): number {
  return minutesOf(value) ?? 0;
}

/** Midnight is the end of the day where something ends. */
function endOf(value: Json | undefined): number {
  return minutesOf(value) || DAY_MINUTES;
}

function minutesOf(value: Json | undefined): number | undefined {
  if (typeof value !== 'string') return undefined;
  const match = /^(\d{1,2}):(\d{2})(?::00)?$/.exec(value.trim());
  if (!match) return undefined;
  const minutes = Number(match[1]) * 60 + Number(match[2]);
  return Number(match[2]) < 60 && minutes <= DAY_MINUTES ? minutes : undefined;
}

function isOpen(windows: SendWindows, time: Temporal.ZonedDateTime): boolean {
  const minute = time.hour * 60 + time.minute;
  const day = windows[time.dayOfWeek - 1] ?? [];
  return day.some(({ from, until }) => minute >= from && minute < until);
}

function beginnings(windows: SendWindows, now: Temporal.ZonedDateTime): Temporal.ZonedDateTime[] {
  const today = now.toPlainDate();
  return Array.from({ length: SEARCHED_DAYS + 1 }, (_, days) => today.add({ days })).flatMap(
    (date) =>
      (windows[date.dayOfWeek - 1] ?? []).flatMap(({ from }) => {
        const time = date.toPlainDateTime({ hour: Math.floor(from / 60), minute: from % 60 });
        return (['earlier', 'later'] as const).map((disambiguation) =>
          time.toZonedDateTime(now.timeZoneId, { disambiguation }),
        );
      }),
  );
}

function changesOfOffset(now: Temporal.ZonedDateTime): Temporal.ZonedDateTime[] {
  const end = now.add({ days: SEARCHED_DAYS });
  const changes: Temporal.ZonedDateTime[] = [];
  let next = now.getTimeZoneTransition('next');
  while (
    next &&
    changes.length < MAX_TRANSITIONS &&
    Temporal.ZonedDateTime.compare(next, end) < 0
  ) {
    changes.push(next);
    next = next.getTimeZoneTransition('next');
  }
  return changes;
}
