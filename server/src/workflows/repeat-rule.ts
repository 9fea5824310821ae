import { localTime, timeOf } from './time-zone.ts';

export const frequencies = ['hourly', 'daily', 'weekly', 'monthly'] as const;
export const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

type Weekday = (typeof weekdays)[number];

/** When something repeats: of a schedule, or of a window whose end a rule gives. */
export type RepeatRule = {
  readonly frequency: (typeof frequencies)[number];
  /** Every so many hours, days, weeks or months. */
  readonly interval: number;
  /** Absent: any day; weekly: the weekday of the start. */
  readonly days?: readonly Weekday[];
  /** Not of hourly rules. */
  readonly hours: number;
  readonly minutes: number;
  /** Of monthly rules; absent: the start's. A month that is too short for it has it on its last day. */
  readonly dayOfMonth?: number;
};

const MAX_INTERVAL = 1_000;

/** A rule as JSON has it, or the sentence that says what is wrong with it. */
export function parseRepeatRule(value: object): RepeatRule | string {
  const field = (name: string): unknown => Reflect.get(value, name) ?? undefined;
  const frequency = frequencies.find((name) => name === field('frequency'));
  if (!frequency) return `"frequency" must be one of ${frequencies.join(', ')}`;
  const interval = numberIn(field('interval') ?? 1, 1, MAX_INTERVAL);
  if (interval === undefined) return `"interval" must be a whole number from 1 to ${MAX_INTERVAL}`;
  const hours = numberIn(field('hours') ?? 0, 0, 23);
  if (hours === undefined) return '"hours" must be a whole number from 0 to 23';
  const minutes = numberIn(field('minutes') ?? 0, 0, 55);
  if (minutes === undefined || minutes % 5 !== 0) {
    return '"minutes" must be a multiple of 5 from 0 to 55';
  }
  const days = parseDays(field('days'));
  if (days === null)
    return `"days" must be "weekdays", "weekends" or a list of ${weekdays.join(', ')}`;
  const isMonthly = frequency === 'monthly';
  if (days && isMonthly) return '"days" cannot be said of a monthly rule; say "day_of_month"';
  const dayOfMonth = numberIn(field('day_of_month'), 1, 31);
  if (field('day_of_month') !== undefined) {
    if (!isMonthly) return '"day_of_month" can only be said of a monthly rule';
    if (dayOfMonth === undefined) return '"day_of_month" must be a whole number from 1 to 31';
  }
  return {
    frequency,
    interval,
    hours,
    minutes,
    ...(days ? { days } : {}),
    ...(dayOfMonth === undefined ? {} : { dayOfMonth }),
  };
}

/** Undefined: any day; null: none of the forms. */
function parseDays(value: unknown): readonly Weekday[] | undefined | null {
  if (value === 'weekdays') return weekdays.slice(0, 5);
  if (value === 'weekends') return weekdays.slice(5);
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return undefined;
  if (!Array.isArray(value)) return null;
  const found = weekdays.filter((day) => value.includes(day));
  if (value.some((day) => !weekdays.includes(day))) return null;
  return found.length === weekdays.length ? undefined : found;
}

function numberIn(value: unknown, least: number, most: number): number | undefined {
  const number = typeof value === 'string' && /^\d{1,4}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isInteger(number)) return undefined;
  return number >= least && number <= most ? number : undefined;
}

/**
 * The first time after `afterMs` at which a rule applies, by the clocks of a time zone; undefined: never.
 *
 * With a start, every second week is counted from the week of the start, and so are hours, days and months.
 * Without one they are counted from 1970 on that zone's calendar (weeks from a Monday), and hours from midnight, so
 * that all who have the same rule have the same times. What clocks leave out is at the first moment after it;
 * what they show twice is the first.
 */
export function nextOccurrence(
  rule: RepeatRule,
  afterMs: number,
  timezone: string,
  startMs?: number,
): number | undefined {
  if (rule.frequency !== 'hourly') {
    const fitting = fits(
      rule,
      startMs === undefined ? undefined : localTime(startMs, timezone).day,
    );
    const { day } = localTime(afterMs, timezone);
    const minute = rule.hours * 60 + rule.minutes;
    // The day before: what a leap of a whole day left out is at its end.
    for (let ahead = -1; ahead <= farthest(rule); ahead++) {
      if (!fitting(day + ahead)) continue;
      const time = timeOf(day + ahead, minute, timezone);
      if (time > afterMs) return time;
    }
    return undefined;
  }
  return rule.interval === 1 || startMs !== undefined
    ? nextRealHour(rule, afterMs, timezone, startMs)
    : nextHourOfDay(rule, afterMs, timezone);
}

/** No rule that applies at all leaves out more days. */
function farthest({ frequency, interval }: RepeatRule): number {
  const DAYS = { hourly: 1, daily: 1, weekly: 7, monthly: 31 };
  return (interval + 1) * DAYS[frequency] * (frequency === 'daily' ? 7 : 1) + 7;
}

/** Whether a rule's days include one, a number of days since 1970-01-01. */
function fits(rule: RepeatRule, startDay: number | undefined): (day: number) => boolean {
  const { frequency, interval, days, dayOfMonth } = rule;
  const start = startDay ?? 0;
  switch (frequency) {
    case 'hourly':
      return (day) => !days || days.includes(weekdayOf(day));
    case 'daily':
      return (day) =>
        remainder(day - start, interval) === 0 && (!days || days.includes(weekdayOf(day)));
    case 'weekly': {
      const wanted = days ?? [startDay === undefined ? 'mon' : weekdayOf(start)];
      const week = startDay === undefined ? 0 : weekOf(start);
      return (day) =>
        wanted.includes(weekdayOf(day)) && remainder(weekOf(day) - week, interval) === 0;
    }
    case 'monthly': {
      const first = startDay === undefined ? { month: 0, date: 1 } : monthOf(startDay);
      const wanted = dayOfMonth ?? first.date;
      return (day) => {
        const { month, date, last } = monthOf(day);
        return date === Math.min(wanted, last) && remainder(month - first.month, interval) === 0;
      };
    }
  }
}

/** Hours as they pass, each with this minute on the clocks there, counted from the start's. */
function nextRealHour(
  rule: RepeatRule,
  afterMs: number,
  timezone: string,
  startMs: number | undefined,
): number | undefined {
  const timeIn = (hour: number): number => {
    const { minute } = localTime(hour * HOUR_MS, timezone);
    const time = hour * HOUR_MS + remainder(rule.minutes - minute, 60) * MINUTE_MS;
    // Where clocks go forward by half an hour within this one.
    return time + remainder(rule.minutes - localTime(time, timezone).minute, 60) * MINUTE_MS;
  };
  let from = Math.floor((startMs ?? 0) / HOUR_MS);
  if (startMs !== undefined && timeIn(from) < startMs) from += 1;
  const fitting = fits(rule, undefined);
  const first = Math.floor(afterMs / HOUR_MS) - 1;
  const last = first + 2 + rule.interval * HOURS_OF_WEEK;
  const { interval } = rule;
  for (let hour = first + remainder(from - first, interval); hour <= last; hour += interval) {
    const time = timeIn(hour);
    if (time > afterMs && (!rule.days || fitting(localTime(time, timezone).day))) return time;
  }
  return undefined;
}

/** Every so many hours of a day, from midnight on. */
function nextHourOfDay(rule: RepeatRule, afterMs: number, timezone: string): number | undefined {
  const fitting = fits(rule, undefined);
  const { day } = localTime(afterMs, timezone);
  for (let ahead = -1; ahead <= 8; ahead++) {
    if (!fitting(day + ahead)) continue;
    for (let hour = 0; hour < 24; hour += rule.interval) {
      const time = timeOf(day + ahead, hour * 60 + rule.minutes, timezone);
      if (time > afterMs) return time;
    }
  }
  return undefined;
}

function weekdayOf(day: number): Weekday {
  // 1970-01-01 was a Thursday.
  return weekdays[remainder(day + 3, 7)] ?? 'mon';
}

function weekOf(day: number): number {
  return Math.floor((day + 3) / 7);
}

type DayOfMonth = { readonly month: number; readonly date: number; readonly last: number };

/** Months since January 1970, the date, and the last one of the month. */
function monthOf(day: number): DayOfMonth {
  const date = new Date(day * DAY_MS);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth();
  return {
    month: (year - 1970) * 12 + month,
    date: date.getUTCDate(),
    last: new Date(Date.UTC(year, month + 1, 0)).getUTCDate(),
  };
}

function remainder(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const HOURS_OF_WEEK = 168;
