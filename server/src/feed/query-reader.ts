import { invalidField } from '../lib/errors.ts';
import { isJsonObject } from '../lib/json.ts';

/** Parameters as a query string or a JSON object gave them. */
export type RawParameters = { readonly [name: string]: unknown };

const MAX_TEXT = 1_000;
const MAX_ITEMS = 100;

/**
 * The value of a parameter in any of the styles that the clients use: `a`, `a[]`, and for
 * `a.b` also `a[b]` and the object `{a: {b}}`. An empty text counts as absent.
 */
export function rawParameter(parameters: RawParameters, name: string): unknown {
  const dot = name.indexOf('.');
  const outer = dot < 0 ? name : name.slice(0, dot);
  const inner = dot < 0 ? undefined : name.slice(dot + 1);
  const nested = parameters[outer];
  const value =
    parameters[name] ??
    (inner === undefined
      ? parameters[`${name}[]`]
      : (parameters[`${outer}[${inner}]`] ??
        (isJsonObject(nested) ? (nested as RawParameters)[inner] : undefined)));
  return value === '' || value === null ? undefined : value;
}

export function textParameter(parameters: RawParameters, name: string): string | undefined {
  const value = rawParameter(parameters, name);
  return value === undefined ? undefined : checkedText(value, name);
}

export function choiceParameter<const Choice extends string>(
  parameters: RawParameters,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const value = rawParameter(parameters, name);
  if (value === undefined) return undefined;
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw invalidField(name, `must be one of ${choices.join(', ')}`);
  return found;
}

export function booleanParameter(parameters: RawParameters, name: string): boolean | undefined {
  const value = rawParameter(parameters, name);
  if (value === undefined) return undefined;
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw invalidField(name, 'must be true or false');
}

export function textsParameter(
  parameters: RawParameters,
  name: string,
  most = MAX_ITEMS,
): string[] | undefined {
  const value = rawParameter(parameters, name);
  if (value === undefined) return undefined;
  const items: unknown[] = Array.isArray(value) ? value : [value];
  if (items.length > most) throw invalidField(name, `may have at most ${most} values`);
  return items.map((item, index) => checkedText(item, `${name}[${index}]`));
}

export function choicesParameter<const Choice extends string>(
  parameters: RawParameters,
  name: string,
  choices: readonly Choice[],
): Choice[] | undefined {
  return textsParameter(parameters, name)?.map((text) => {
    const found = choices.find((choice) => choice === text);
    if (found === undefined) throw invalidField(name, `must be one of ${choices.join(', ')}`);
    return found;
  });
}

export function dateParameter(parameters: RawParameters, name: string): Date | undefined {
  const text = textParameter(parameters, name);
  if (text === undefined) return undefined;
  const date = new Date(text);
  if (Number.isNaN(date.getTime()) || Math.abs(date.getFullYear()) > 9_999) {
    throw invalidField(name, 'must be an ISO 8601 time such as 2026-01-31T12:00:00Z');
  }
  return date;
}

export function integerParameter(
  parameters: RawParameters,
  name: string,
  least: number,
  most: number,
): number | undefined {
  const value = rawParameter(parameters, name);
  if (value === undefined) return undefined;
  const number = typeof value === 'number' ? value : Number(checkedText(value, name));
  if (!Number.isInteger(number) || number < least || number > most) {
    throw invalidField(name, `must be a whole number from ${least} to ${most}`);
  }
  return number;
}

function checkedText(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalidField(name, 'must be a text');
  if (value.length > MAX_TEXT) throw invalidField(name, `is longer than ${MAX_TEXT} characters`);
  if (value.includes('\0')) throw invalidField(name, 'must not contain a NUL character');
  return value;
}
