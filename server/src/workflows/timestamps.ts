const ISO_8601 =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?)?$/i;

/** Milliseconds of an ISO 8601 timestamp or date; without an offset it is UTC. */
export function parseTimestamp(value: unknown): number | undefined {
  if (typeof value !== 'string' || value.length > 40) return undefined;
  const match = ISO_8601.exec(value.trim());
  if (!match) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', offset = 'Z'] = match;
  const fraction = /[.,](\d{1,3})/.exec(value)?.[1] ?? '0';
  const zone = /^[+-]\d{4}$/.test(offset) ? `${offset.slice(0, 3)}:${offset.slice(3)}` : offset;
  const time = Date.parse(
    `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction}${zone.toUpperCase()}`,
  );
  return Number.isNaN(time) ? undefined : time;
}

export const durationUnits = ['seconds', 'minutes', 'hours', 'days', 'weeks', 'months'] as const;

type DurationUnit = (typeof durationUnits)[number];

export type Duration = { readonly unit: DurationUnit; readonly value: number };

const MS = {
  seconds: 1000,
  minutes: 60_000,
  hours: 3_600_000,
  days: 86_400_000,
  weeks: 7 * 86_400_000,
} as const;

/** A value of the form `{"unit": "hours", "value": 2}`, or undefined. */
export function parseDuration(value: unknown): Duration | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const unit: unknown = Reflect.get(value, 'unit');
  const amount: unknown = Reflect.get(value, 'value');
  const known = durationUnits.find((name) => name === unit || name === `${String(unit)}s`);
  const number = typeof amount === 'string' && amount.trim() !== '' ? Number(amount) : amount;
  if (!known || typeof number !== 'number' || !Number.isFinite(number)) return undefined;
  return { unit: known, value: number };
}

/** The time a duration later; months are calendar months in UTC, cut to the month's last day. */
export function addDuration(timeMs: number, duration: Duration): number {
  if (duration.unit !== 'months') return timeMs + Math.round(duration.value * MS[duration.unit]);
  const date = new Date(timeMs);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + Math.trunc(duration.value));
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, lastDay));
  return date.getTime();
}
