import { Temporal } from 'temporal-polyfill';

/** Where nobody said anything else. */
export const UTC = 'Etc/UTC';

/** Names that were asked for; bounded because recipients bring theirs. */
const MAX_KNOWN = 2_000;
const MAX_NAME = 100;
const NAME = /^[a-z][a-z0-9_+\-/]*$/i;
const known = new Map<string, boolean>();

/** Whether a value is the name of a time zone, such as `Europe/Berlin`. */
export function isTimeZone(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > MAX_NAME || !NAME.test(value)) return false;
  const before = known.get(value);
  if (before !== undefined) return before;
  if (known.size >= MAX_KNOWN) known.clear();
  let valid = true;
  try {
    EPOCH.toZonedDateTimeISO(value);
  } catch {
    valid = false;
  }
  known.set(value, valid);
  return valid;
}

const EPOCH = Temporal.Instant.fromEpochMilliseconds(0);

export type ChosenZone = {
  readonly timezone: string;
  /** Of the names that were to come first, one that names no time zone. */
  readonly unknown?: string;
};

/** The first name that is a time zone, in the order given (the recipient's, then the environment's), else UTC. */
export function chooseTimeZone(...names: readonly unknown[]): ChosenZone {
  let unknown: string | undefined;
  for (const name of names) {
    if (name === undefined || name === null || name === '') continue;
    if (isTimeZone(name))
      return unknown === undefined ? { timezone: name } : { timezone: name, unknown };
    unknown ??= String(name).slice(0, MAX_NAME);
  }
  return unknown === undefined ? { timezone: UTC } : { timezone: UTC, unknown };
}

export type LocalTime = {
  /** Days since 1970-01-01 on the calendar there. */
  readonly day: number;
  /** Minutes since midnight on the clock there. */
  readonly minute: number;
  /** What the clock there is ahead of UTC, in milliseconds. */
  readonly offsetMs: number;
};

/** What calendar and clock of a time zone show. Throws a RangeError for an unknown zone. */
export function localTime(timeMs: number, timezone: string): LocalTime {
  const offsetMs = offsetAt(timeMs, timezone);
  const local = timeMs + offsetMs;
  const day = Math.floor(local / DAY_MS);
  return { day, minute: Math.floor((local - day * DAY_MS) / MINUTE_MS), offsetMs };
}

/**
 * When clocks of a time zone show a minute of a day, in milliseconds since 1970. A time that is left out when
 * clocks go forward is the first moment after it; of one that comes twice, the first.
 */
export function timeOf(day: number, minute: number, timezone: string): number {
  const local = day * DAY_MS + minute * MINUTE_MS;
  if (timezone === UTC) return local;
  const plain = Temporal.Instant.fromEpochMilliseconds(local)
    .toZonedDateTimeISO('UTC')
    .toPlainDateTime();
  const earlier = plain.toZonedDateTime(timezone, { disambiguation: 'earlier' });
  if (earlier.toPlainDateTime().equals(plain)) return earlier.epochMilliseconds;
  // In a gap "earlier" lies before it, so the transition that follows is the gap's end.
  return earlier.getTimeZoneTransition('next')?.epochMilliseconds ?? earlier.epochMilliseconds;
}

function offsetAt(timeMs: number, timezone: string): number {
  if (timezone === UTC) return 0;
  const zoned = Temporal.Instant.fromEpochMilliseconds(timeMs).toZonedDateTimeISO(timezone);
  return zoned.offsetNanoseconds / 1_000_000;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
