import { type Liquid, toValue } from 'liquidjs';
import { charged, type FilterCall, toText } from './filters.ts';
import {
  canonicalLocale,
  dateFormat,
  formatOffset,
  type Instant,
  numberFormat,
  parseInstant,
  zoneAbbreviation,
  zoneOffset,
} from './locales.ts';
import { settingOf } from './setting.ts';

type Style = 'short' | 'medium' | 'long' | 'full';

const STYLES: readonly string[] = ['short', 'medium', 'long', 'full'];

/**
 * Dates and numbers for people. A value that is no date or number stays as it is; a locale that does not exist
 * is the environment's own, so that a recipient's bad property costs nobody a message.
 */
export function registerLocaleFilters(liquid: Liquid): void {
  registerDates(liquid);
  liquid.registerFilter('format_number', function (this: FilterCall, value: unknown, to: unknown) {
    return number(this, value, to, {});
  });
  liquid.registerFilter(
    'currency',
    function (this: FilterCall, value: unknown, code: unknown, to: unknown) {
      return number(this, value, to, money(code));
    },
  );
  liquid.registerFilter(
    'rounded_currency',
    function (this: FilterCall, value: unknown, code: unknown, to: unknown) {
      return number(this, value, to, {
        ...money(code),
        minimumFractionDigits: 0,
        maximumFractionDigits: 0,
      });
    },
  );
}

function registerDates(liquid: Liquid): void {
  liquid.registerFilter('timezone', function (this: FilterCall, value: unknown, zone: unknown) {
    const instant = instantOf(value);
    if (!instant) return value;
    const offset = zoneOffset(zoneName(this, zone), instant.ms);
    const local = new Date(instant.ms + offset * 60_000).toISOString();
    return local.replace(/\.000Z$/, 'Z').replace(/Z$/, formatOffset(offset));
  });
  const date = liquid.filters.date;
  if (typeof date === 'function') {
    liquid.registerFilter(
      'date',
      function (this: FilterCall, value: unknown, format: unknown, zone: unknown) {
        const instant = instantOf(value);
        const plain: unknown = toValue(zone);
        const named = plain !== undefined && plain !== null && plain !== '';
        // `now`, `today` and what JavaScript alone understands.
        if (!instant)
          return date.call(this as never, value, format as never, offsetArgument(plain));
        const { offset, abbreviation } = named
          ? zoneOf(this, plain, instant.ms)
          : { offset: instant.offsetMinutes, abbreviation: undefined };
        const pattern =
          abbreviation === undefined ? format : withZone(toText(format), abbreviation);
        return date.call(this as never, new Date(instant.ms), pattern as never, -offset as never);
      },
    );
  }
  liquid.registerFilter(
    'format_date_in_locale',
    function (this: FilterCall, value: unknown, to: unknown, dateStyle: unknown) {
      return dateText(this, value, to, { dateStyle: style(dateStyle, 'date_format') });
    },
  );
  liquid.registerFilter(
    'format_datetime_in_locale',
    function (
      this: FilterCall,
      value: unknown,
      to: unknown,
      dateStyle: unknown,
      timeStyle: unknown,
    ) {
      return dateText(this, value, to, {
        dateStyle: style(dateStyle, 'date_format'),
        timeStyle: style(timeStyle, 'time_format'),
      });
    },
  );
}

function dateText(
  call: FilterCall,
  value: unknown,
  to: unknown,
  options: Intl.DateTimeFormatOptions,
): unknown {
  const instant = instantOf(value);
  if (!instant) return value;
  call.context.memoryLimit.use(100);
  const timeZone = instant.offsetMinutes === 0 ? 'UTC' : formatOffset(instant.offsetMinutes);
  const text = dateFormat(locale(call, to), { ...options, timeZone }).format(instant.ms);
  // Unicode wants a narrow space before AM and PM, which many fonts of mail programs lack.
  return text.replace(/\u202f(?=[AP]M)/g, ' ');
}

function number(
  call: FilterCall,
  value: unknown,
  to: unknown,
  options: Intl.NumberFormatOptions,
): unknown {
  const plain: unknown = toValue(value);
  const amount = typeof plain === 'string' && plain.trim() !== '' ? Number(plain) : plain;
  if (typeof amount !== 'number' || !Number.isFinite(amount)) return value;
  call.context.memoryLimit.use(100);
  return numberFormat(locale(call, to), options).format(amount);
}

function money(code: unknown): Intl.NumberFormatOptions {
  const currency = toText(code) || 'USD';
  if (!/^[a-z]{3}$/i.test(currency)) {
    throw new Error(
      `${JSON.stringify(currency.slice(0, 20))} is no currency; use one such as "EUR"`,
    );
  }
  return { style: 'currency', currency: currency.toUpperCase() };
}

function locale({ liquid }: FilterCall, to: unknown): string {
  const text = toText(to);
  return (
    canonicalLocale(text) ?? canonicalLocale(settingOf(liquid).environment.defaultLocale) ?? 'en'
  );
}

function style(value: unknown, name: string): Style {
  const text = toText(value) || 'short';
  if (STYLES.includes(text)) return text as Style;
  throw new Error(
    `${name} is one of ${STYLES.join(', ')}, not ${JSON.stringify(text.slice(0, 20))}`,
  );
}

function instantOf(value: unknown): Instant | undefined {
  return parseInstant(toValue(value));
}

function zoneName(call: FilterCall, zone: unknown): string {
  const name = charged(call, zone);
  if (name === '') throw new Error('the filter "timezone" needs a zone such as "America/New_York"');
  return name;
}

/** A zone's name, or minutes as in liquidjs: how far UTC is ahead of it. */
function zoneOf(
  call: FilterCall,
  zone: unknown,
  ms: number,
): { readonly offset: number; readonly abbreviation: string | undefined } {
  if (typeof zone === 'number') return { offset: -zone, abbreviation: undefined };
  const name = zoneName(call, zone);
  return { offset: zoneOffset(name, ms), abbreviation: zoneAbbreviation(name, ms) };
}

function offsetArgument(zone: unknown): never {
  return (typeof zone === 'string' && zone !== '' ? zone : undefined) as never;
}

/** `%Z` as the zone's abbreviation; liquidjs would print the zone's whole name. */
function withZone(format: string, abbreviation: string): string {
  if (format === '') return format;
  return format.replace(/%%|%[-_0^#:]*\d{0,3}Z/g, (part) =>
    part === '%%' ? part : abbreviation.replaceAll('%', '%%'),
  );
}
