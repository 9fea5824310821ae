/** Objects of Intl take 20 to 100 us to make, and a formatter's locale often comes from the recipient. */
const REMEMBERED = 500;

const formats = new Map<string, Intl.DateTimeFormat | Intl.NumberFormat>();

/** A formatter that is made once for as long as it is in use; throws a RangeError for what does not exist. */
export function dateFormat(
  locale: string,
  options: Intl.DateTimeFormatOptions,
): Intl.DateTimeFormat {
  return remembered(
    `d${locale}${JSON.stringify(options)}`,
    () => new Intl.DateTimeFormat(locale, options),
  );
}

/** As `dateFormat`, for numbers. */
export function numberFormat(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return remembered(
    `n${locale}${JSON.stringify(options)}`,
    () => new Intl.NumberFormat(locale, options),
  );
}

function remembered<Format extends Intl.DateTimeFormat | Intl.NumberFormat>(
  key: string,
  make: () => Format,
): Format {
  const known = formats.get(key);
  // Taken out and put back: a Map keeps insertion order, so that the first key is the one unused for longest.
  if (known) formats.delete(key);
  const format = (known as Format | undefined) ?? make();
  if (formats.size >= REMEMBERED) {
    const oldest = formats.keys().next();
    if (!oldest.done) formats.delete(oldest.value);
  }
  formats.set(key, format);
  return format;
}

/** `pt_br` as `pt-BR`; what is no locale is undefined. */
export function canonicalLocale(text: string): string | undefined {
  if (text.length === 0 || text.length > 35) return undefined;
  try {
    return Intl.getCanonicalLocales(text.replaceAll('_', '-'))[0];
  } catch {
    return undefined;
  }
}

/** A point in time, and the offset from UTC at which it was written. */
export type Instant = { readonly ms: number; readonly offsetMinutes: number };

const ISO =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:[.,]\d+)?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/**
 * ISO 8601 with or without time and offset (without: UTC), seconds since 1970, or a Date; undefined for anything
 * else. Never looks at the time zone of this machine.
 */
export function parseInstant(value: unknown): Instant | undefined {
  if (value instanceof Date) return instant(value.getTime(), 0);
  if (typeof value === 'number') return instant(value * 1000, 0);
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  if (/^-?\d{1,12}$/.test(text)) return instant(Number(text) * 1000, 0);
  const parts = ISO.exec(text);
  if (!parts) return undefined;
  const [, date, time = '00:00', seconds = ':00', zone = 'Z'] = parts;
  const offset = offsetOf(zone);
  const local = Date.parse(`${date}T${time}${seconds.replace(',', '.')}Z`);
  return instant(local - offset * 60_000, offset);
}

function offsetOf(zone: string): number {
  if (zone === 'Z' || zone === 'z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(3).replace(':', '') || 0);
  return (zone.startsWith('-') ? -1 : 1) * (hours * 60 + minutes);
}

function instant(ms: number, offsetMinutes: number): Instant | undefined {
  // What Date can hold, a day less on both sides so that no offset leads out of it.
  if (!(Math.abs(ms) < 8.64e15 - 86_400_000) || Math.abs(offsetMinutes) >= 1440) return undefined;
  return { ms, offsetMinutes };
}

/** Minutes by which a time zone's clocks are ahead of UTC; throws when there is no such zone. */
export function zoneOffset(timeZone: string, ms: number): number {
  const name = zonePart(timeZone, ms, 'longOffset');
  const match = /GMT([+-])(\d{2}):(\d{2})/.exec(name);
  if (!match) return 0;
  return (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3]));
}

/** Such as `EST`; zones without a common one give `GMT+5:30`. */
export function zoneAbbreviation(timeZone: string, ms: number): string {
  return zonePart(timeZone, ms, 'short');
}

function zonePart(timeZone: string, ms: number, timeZoneName: 'longOffset' | 'short'): string {
  let format: Intl.DateTimeFormat;
  try {
    format = dateFormat('en-US', { timeZone, timeZoneName });
  } catch {
    throw new Error(`there is no time zone ${JSON.stringify(timeZone.slice(0, 100))}`);
  }
  return format.formatToParts(ms).find(({ type }) => type === 'timeZoneName')?.value ?? '';
}

/** `+05:30` */
export function formatOffset(minutes: number): string {
  const size = Math.abs(minutes);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}
