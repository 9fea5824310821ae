import { BelfryError } from '../lib/errors.ts';

/**
 * A query string as SDKs write it, in any of their styles:
 *
 *   a=1                     { a: '1' }
 *   a[]=1&a[]=2             { a: ['1', '2'] }      also a=1&a=2, and a[0]=1&a[1]=2
 *   o[0][id]=x              { o: [{ id: 'x' }] }
 *   o[][id]=x&o[][k]=y      { o: [{ id: 'x', k: 'y' }] }   a key that comes again begins the next one
 *   t[gt]=1  or  t.gt=1     { t: { gt: '1' } }
 *
 * Objects have no prototype, so no key can reach one.
 */
export type Query = { [key: string]: QueryValue };
type QueryValue = string | QueryValue[] | Query;

// Reading takes time that grows with its square, and happens before anybody has shown a key.
const PAIR_LIMIT = 1_000;
const DEPTH_LIMIT = 5;
const INDEX_LIMIT = 1_000;

export function parseQuery(text: string): Query {
  const root: Query = Object.create(null);
  if (text === '') return root;
  const pairs = text.split('&', PAIR_LIMIT + 1);
  if (pairs.length > PAIR_LIMIT) {
    throw new BelfryError('invalid_params', `The query has more than ${PAIR_LIMIT} parameters`);
  }
  for (const pair of pairs) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : decode(pair.slice(equals + 1));
    assign(root, segments(name), value);
  }
  return compact(root) as Query;
}

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    throw new BelfryError(
      'malformed_request',
      `The query has a broken percent encoding in ${JSON.stringify(text.slice(0, 80))}`,
    );
  }
}

/** `a[b][]` and `a.b` as their parts; the part of `[]` is empty. */
function segments(name: string): string[] {
  const bracket = name.indexOf('[');
  const head = bracket < 0 ? name : name.slice(0, bracket);
  const parts = head.split('.');
  if (bracket >= 0) {
    for (const match of name.slice(bracket).matchAll(/\[([^[\]]*)\]/g)) parts.push(match[1] ?? '');
  }
  if (parts.length > DEPTH_LIMIT) {
    throw new BelfryError(
      'invalid_params',
      `The query parameter ${JSON.stringify(name.slice(0, 80))} is nested too deeply`,
    );
  }
  return parts;
}

/**
 * Puts a value at its place. While the query is read, every container is an object; `compact`
 * makes arrays of those whose keys are indexes.
 */
function assign(root: Query, parts: readonly string[], value: string): void {
  let target = root;
  parts.forEach((part, position) => {
    const key = part === '' && position > 0 ? nextIndex(target, parts[position + 1]) : part;
    const current = target[key];
    if (position === parts.length - 1) {
      target[key] = current === undefined ? value : repeated(current, value);
      return;
    }
    if (typeof current === 'object' && !Array.isArray(current)) {
      target = current;
      return;
    }
    const container: Query = Object.create(null);
    if (current !== undefined) container['0'] = current;
    target[key] = container;
    target = container;
  });
}

/** Where the next value of a list goes: into its last object while that lacks `property`, or behind it. */
function nextIndex(list: Query, property: string | undefined): string {
  const size = Object.keys(list).length;
  const last = list[String(size - 1)];
  const isOpen = property !== undefined && property !== '' && typeof last === 'object';
  return String(isOpen && !(property in last) ? size - 1 : size);
}

function repeated(current: QueryValue, value: string): QueryValue {
  if (typeof current === 'object' && !Array.isArray(current)) {
    current[String(Object.keys(current).length)] = value;
    return current;
  }
  const list: Query = Object.create(null);
  list['0'] = current;
  list['1'] = value;
  return list;
}

function compact(value: QueryValue): QueryValue {
  if (typeof value === 'string' || Array.isArray(value)) return value;
  const keys = Object.keys(value);
  for (const key of keys) value[key] = compact(value[key] ?? '');
  const isList =
    keys.length > 0 && keys.every((key) => /^\d{1,4}$/.test(key) && Number(key) < INDEX_LIMIT);
  if (!isList) return value;
  return keys
    .map(Number)
    .sort((left, right) => left - right)
    .map((index) => value[String(index)] ?? '');
}

const failures = new WeakMap<object, Error>();

/**
 * The same, without throwing: the router calls it outside of every error handler. The failure is
 * kept for `queryFailure`, which a hook asks.
 */
export function readQuery(text: string): Query {
  try {
    return parseQuery(text);
  } catch (error) {
    const nothing: Query = Object.create(null);
    failures.set(nothing, error instanceof Error ? error : new Error('unreadable query'));
    return nothing;
  }
}

/** Why this query could not be read, or undefined. */
export function queryFailure(query: unknown): Error | undefined {
  return typeof query === 'object' && query !== null ? failures.get(query) : undefined;
}
