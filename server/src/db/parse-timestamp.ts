const ZERO = 48;

/**
 * A timestamp with time zone as the server writes it in UTC, `2026-11-21 18:59:10.123456+00`, as a Date: microseconds are cut off. In any
 * other form (another zone, the first thousand years, infinity) what `otherwise` makes of it. Lists have hundreds of these, and a
 * regular expression takes five times as long.
 */
export function parseTimestamp(text: string, otherwise: (text: string) => unknown): unknown {
  const { length } = text;
  const isUtc =
    length >= 22 &&
    length <= 29 &&
    // Date.UTC takes the years before 100 for others.
    text.charCodeAt(0) !== ZERO &&
    text.charCodeAt(4) === 45 &&
    text.charCodeAt(10) === 32 &&
    text.endsWith('+00');
  if (!isUtc) return otherwise(text);
  // After the seconds: nothing, or a point and up to six digits, of which trailing zeros are left out.
  let ms = 0;
  for (let i = 20; i < 23; i++) ms = ms * 10 + (i < length - 3 ? text.charCodeAt(i) - ZERO : 0);
  return new Date(
    Date.UTC(
      two(text, 0) * 100 + two(text, 2),
      two(text, 5) - 1,
      two(text, 8),
      two(text, 11),
      two(text, 14),
      two(text, 17),
      ms,
    ),
  );
}

function two(text: string, at: number): number {
  return (text.charCodeAt(at) - ZERO) * 10 + text.charCodeAt(at + 1) - ZERO;
}
