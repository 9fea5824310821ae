/** What stands in place of a value that nobody should read. */
const REDACTED = '[REDACTED]';
/** What ends a string that was cut, and what says that something else was. */
const TRUNCATED = '[TRUNCATED]';
const TRUNCATED_KEY = '__knock_truncated__';

/** A body of which nothing is kept but that it was. */
export const TOO_LONG = JSON.stringify({ [TRUNCATED_KEY]: true });

const MAX_STRING_BYTES = 1_024;
const MAX_BODY_CHARACTERS = 16_384;
const MAX_DEPTH = 12;
/** Members of an object, items of a list. */
const MAX_MEMBERS = 200;
/** Values of a body that are looked at, whatever its shape. */
const MAX_VALUES = 4_000;

const SECRET_NAME =
  /passw(?:or)?d|secret|token|authorization|cookie|credential|(?:api|private|signing|access|server)[\s_-]?key/i;

type Budget = { values: number };

/**
 * A body as it may be kept: JSON text of 16,384 characters at the most, in which values under names that speak of secrets
 * are replaced and strings over 1,024 bytes cut. Undefined for what is no object or list.
 */
export function keptBody(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const text = JSON.stringify(kept(body, 0, { values: MAX_VALUES }));
  if (text.length <= MAX_BODY_CHARACTERS) return text;
  return JSON.stringify({
    [TRUNCATED_KEY]: true,
    beginning: text.slice(0, MAX_BODY_CHARACTERS / 2).toWellFormed(),
  });
}

/** A path with its query, in which values of parameters that speak of secrets are replaced. */
export function keptPath(url: string): string {
  const [path = '', query] = cutText(url, 2 * MAX_STRING_BYTES).split('?', 2);
  if (query === undefined) return path;
  const parameters = query.split('&').map((parameter) => {
    const [name = ''] = parameter.split('=', 1);
    return SECRET_NAME.test(name) ? `${name}=${REDACTED}` : parameter;
  });
  return `${path}?${parameters.join('&')}`;
}

function kept(value: unknown, depth: number, budget: Budget): unknown {
  budget.values -= 1;
  if (typeof value === 'string') return cutText(value, MAX_STRING_BYTES);
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH || budget.values <= 0) return TRUNCATED;
  return Array.isArray(value) ? keptList(value, depth, budget) : keptObject(value, depth, budget);
}

function keptList(list: readonly unknown[], depth: number, budget: Budget): unknown[] {
  const items = list.slice(0, MAX_MEMBERS).map((item) => kept(item, depth + 1, budget));
  return list.length > MAX_MEMBERS ? [...items, TRUNCATED] : items;
}

function keptObject(object: object, depth: number, budget: Budget): object {
  const entries = Object.entries(object);
  const members = entries
    .slice(0, MAX_MEMBERS)
    .map(([name, value]) => [
      cutText(name, MAX_STRING_BYTES),
      SECRET_NAME.test(name) && value !== null ? REDACTED : kept(value, depth + 1, budget),
    ]);
  if (entries.length > MAX_MEMBERS) members.push([TRUNCATED_KEY, true]);
  return Object.fromEntries(members);
}

function cutText(text: string, maxBytes: number): string {
  // Every character has a byte at least, and three at most.
  if (text.length * 3 <= maxBytes || Buffer.byteLength(text) <= maxBytes) return text;
  const room = maxBytes - TRUNCATED.length;
  const bytes = Buffer.from(text.slice(0, room)).subarray(0, room);
  return bytes.toString('utf8').replace(/\ufffd+$/, '') + TRUNCATED;
}
