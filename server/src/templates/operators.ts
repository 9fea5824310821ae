import { toValue } from 'liquidjs';

/** The literals that compare by a rule of their own. */
export type RuleLiteral = 'nil' | 'empty' | 'blank';

/** Whether a value from JSON equals the literal. */
export const equalsLiteral: Readonly<Record<RuleLiteral, (value: unknown) => boolean>> = {
  nil: (value) => value === undefined || value === null,
  empty: isEmpty,
  blank: (value) => {
    if (value === undefined || value === null || value === false) return true;
    return typeof value === 'string' ? /^\s*$/.test(value) : isEmpty(value);
  },
};

/** liquidjs' comparisons of two values from JSON; with a rule literal each of them is false. */
export const orders: Readonly<Record<string, (left: unknown, right: unknown) => boolean>> = {
  '>': (left, right) => (left as number) > (right as number),
  '<': (left, right) => (left as number) < (right as number),
  '>=': (left, right) => (left as number) >= (right as number),
  '<=': (left, right) => (left as number) <= (right as number),
};

/** liquidjs' `==` for values from JSON: arrays by their items, objects by identity. */
export function equals(left: unknown, right: unknown): boolean {
  if (!Array.isArray(left)) return left === right;
  return (
    Array.isArray(right) &&
    left.length === right.length &&
    left.every((item, index) => equals(item, right[index]))
  );
}

/** liquidjs' `contains`; `isItem` decides for an array, `part` is what a text is searched for. */
export function contains(
  whole: unknown,
  part: unknown,
  isItem: (item: unknown, part: unknown) => boolean,
): boolean {
  const plain: unknown = toValue(whole);
  if (Array.isArray(plain)) return plain.some((item) => isItem(item, part));
  return typeof plain === 'string' && plain.indexOf(toValue(part) as string) > -1;
}

/** Only `false` and nothing are false in Liquid; 0 and empty text are true. */
export function isTrue(value: unknown): boolean {
  const plain: unknown = toValue(value);
  return plain !== false && plain !== undefined && plain !== null;
}

function isEmpty(value: unknown): boolean {
  if (typeof value === 'string' || Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
