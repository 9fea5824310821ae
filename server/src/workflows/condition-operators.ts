import { createHash } from 'node:crypto';
import { localTime } from './time-zone.ts';
import { addDuration, parseDuration, parseTimestamp } from './timestamps.ts';

/** `value` is undefined when the variable's path leads nowhere; `timezone` is whose calendar counts. */
export type Operator = (
  value: unknown,
  argument: unknown,
  nowMs: number,
  timezone: string,
) => boolean;

/** The operators of the wire contract that need nothing but the run itself. */
export const operators: Readonly<Record<string, Operator>> = {
  equal_to: (value, argument) => equal(orBlank(value), argument),
  not_equal_to: (value, argument) => !equal(orBlank(value), argument),
  greater_than: (value, argument) => order(value, argument, (difference) => difference > 0),
  greater_than_or_equal_to: (value, argument) =>
    order(value, argument, (difference) => difference >= 0),
  less_than: (value, argument) => order(value, argument, (difference) => difference < 0),
  less_than_or_equal_to: (value, argument) =>
    order(value, argument, (difference) => difference <= 0),
  contains,
  not_contains: (value, argument) => !contains(value, argument),
  contains_all: containsAll,
  not_contains_all: (value, argument) => !containsAll(value, argument),
  empty,
  not_empty: (value) => !empty(value),
  exists: (value) => value !== undefined && value !== null,
  not_exists: (value) => value === undefined || value === null,
  is_between: (value, argument) =>
    between(
      toNumber(value),
      pair(argument)?.map((bound) => toNumber(bound)),
    ),
  is_timestamp: (value) => parseTimestamp(value) !== undefined,
  is_not_timestamp: (value) => parseTimestamp(value) === undefined,
  is_timestamp_before: (value, argument, nowMs) =>
    before(parseTimestamp(value), timeArgument(argument, nowMs)),
  is_timestamp_on_or_after: (value, argument, nowMs) =>
    onOrAfter(parseTimestamp(value), timeArgument(argument, nowMs)),
  is_timestamp_between: (value, argument) =>
    between(parseTimestamp(value), pair(argument)?.map(parseTimestamp)),
  is_timestamp_before_now: (value, _argument, nowMs) => before(parseTimestamp(value), nowMs),
  is_timestamp_on_or_after_now: (value, _argument, nowMs) =>
    onOrAfter(parseTimestamp(value), nowMs),
  is_timestamp_before_date: (value, argument, nowMs, timezone) =>
    before(
      day(value, parseTimestamp(value), timezone),
      day(argument, timeArgument(argument, nowMs), timezone),
    ),
  is_timestamp_on_or_after_date: (value, argument, nowMs, timezone) =>
    onOrAfter(
      day(value, parseTimestamp(value), timezone),
      day(argument, timeArgument(argument, nowMs), timezone),
    ),
  is_in_random_cohort: inCohort,
};

/** Operators that compare days, on the recipient's calendar. */
export const operatorsOfDays: ReadonlySet<string> = new Set([
  'is_timestamp_before_date',
  'is_timestamp_on_or_after_date',
]);

/** Operators that ignore their argument. */
export const operatorsWithoutArgument: ReadonlySet<string> = new Set([
  'empty',
  'not_empty',
  'exists',
  'not_exists',
  'is_timestamp',
  'is_not_timestamp',
  'is_timestamp_before_now',
  'is_timestamp_on_or_after_now',
]);

/** A missing path reads as empty text. */
function orBlank(value: unknown): unknown {
  return value === undefined ? '' : value;
}

/** Equal as JSON; a number or boolean also equals its own text, as texts come from forms. */
function equal(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left === 'string' && isPlain(right)) return left === String(right);
  if (typeof right === 'string' && isPlain(left)) return right === String(left);
  if (typeof left !== 'object' || typeof right !== 'object' || !left || !right) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const leftKeys = Object.keys(left);
  if (leftKeys.length !== Object.keys(right).length) return false;
  return leftKeys.every(
    (key) => Object.hasOwn(right, key) && equal(Reflect.get(left, key), Reflect.get(right, key)),
  );
}

function isPlain(value: unknown): value is number | boolean {
  return typeof value === 'number' || typeof value === 'boolean';
}

/** Numbers (also as text) by value, two texts alphabetically, anything else not at all. */
function order(left: unknown, right: unknown, test: (difference: number) => boolean): boolean {
  const a = toNumber(left);
  const b = toNumber(right);
  if (a !== undefined && b !== undefined) return test(a - b);
  if (typeof left !== 'string' || typeof right !== 'string' || left === '') return false;
  return test(left < right ? -1 : left > right ? 1 : 0);
}

function toNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

/** Text in text: substring. Text in list: membership. List and list: anything in common. */
function contains(value: unknown, argument: unknown): boolean {
  if (Array.isArray(value)) {
    const wanted: readonly unknown[] = Array.isArray(argument) ? argument : [argument];
    return wanted.some((item) => value.some((element) => equal(element, item)));
  }
  if (typeof value !== 'string') return false;
  if (Array.isArray(argument)) return argument.some((item) => contains(value, item));
  return (typeof argument === 'string' || isPlain(argument)) && value.includes(String(argument));
}

function containsAll(value: unknown, argument: unknown): boolean {
  const wanted: readonly unknown[] = Array.isArray(argument) ? argument : [argument];
  return wanted.every((item) => contains(value, item));
}

function empty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === '' ||
    (Array.isArray(value) && value.length === 0)
  );
}

function pair(argument: unknown): readonly unknown[] | undefined {
  return Array.isArray(argument) && argument.length === 2 ? argument : undefined;
}

/** Both bounds included. */
function between(
  value: number | undefined,
  bounds: readonly (number | undefined)[] | undefined,
): boolean {
  const [low, high] = bounds ?? [];
  if (value === undefined || low === undefined || high === undefined) return false;
  return value >= low && value <= high;
}

/** An ISO timestamp, `3 days ago`, `2 hours from now`, or the same as an object. */
function timeArgument(argument: unknown, nowMs: number): number | undefined {
  if (typeof argument === 'string') {
    const match = /^(\d{1,9}) (minute|hour|day|week)s? (ago|from now)$/.exec(argument.trim());
    if (!match) return parseTimestamp(argument);
    const duration = parseDuration({ unit: match[2], value: match[1] });
    return duration && relative(nowMs, duration, match[3] === 'ago');
  }
  const duration = parseDuration(argument);
  if (!duration || typeof argument !== 'object' || argument === null) return undefined;
  return relative(nowMs, duration, Reflect.get(argument, 'direction') === 'ago');
}

function relative(
  nowMs: number,
  duration: NonNullable<ReturnType<typeof parseDuration>>,
  ago: boolean,
): number {
  return addDuration(nowMs, { ...duration, value: ago ? -duration.value : duration.value });
}

function before(value: number | undefined, limit: number | undefined): boolean {
  return value !== undefined && limit !== undefined && value < limit;
}

function onOrAfter(value: number | undefined, limit: number | undefined): boolean {
  return value !== undefined && limit !== undefined && value >= limit;
}

/** Whether a value is among so many of a hundred: the same ones for ever, spread evenly by a hash. */
function inCohort(value: unknown, percentage: unknown): boolean {
  const share = toNumber(percentage);
  if (share === undefined || value === undefined || value === null || value === '') return false;
  const place = createHash('sha256').update(String(value)).digest().readUInt32BE(0) / 2 ** 32;
  return place * 100 < share;
}

const DAY_MS = 86_400_000;

const DATE = /^\s*\d{4}-\d{2}-\d{2}\s*$/;
/** The last moment that calendars know. */
const MAX_TIME_MS = 8.64e15;

/** The day of a time on the calendar of a time zone, in days since 1970-01-01. A date is that day everywhere. */
function day(source: unknown, timeMs: number | undefined, timezone: string): number | undefined {
  if (timeMs === undefined) return undefined;
  const isDate = typeof source === 'string' && DATE.test(source);
  if (isDate || Math.abs(timeMs) >= MAX_TIME_MS) return Math.floor(timeMs / DAY_MS);
  return localTime(timeMs, timezone).day;
}
