type Version = { readonly numbers: readonly number[]; readonly pre: readonly string[] };

const VERSION = /^v?(\d{1,15}(?:\.\d{1,15}){0,2})(?:-([\da-z.-]{1,200}))?(?:\+[\da-z.-]{0,200})?$/i;

/**
 * -1, 0 or 1: how one semantic version stands to another (semver.org, 11); undefined when one is none. `1.2`
 * stands for `1.2.0`.
 */
export function compareVersions(left: string, right: string): -1 | 0 | 1 | undefined {
  const a = parseVersion(left);
  const b = parseVersion(right);
  if (!a || !b) return undefined;
  for (let i = 0; i < 3; i++) {
    const order = Math.sign((a.numbers[i] ?? 0) - (b.numbers[i] ?? 0));
    if (order !== 0) return order < 0 ? -1 : 1;
  }
  return comparePre(a.pre, b.pre);
}

function parseVersion(text: string): Version | undefined {
  const match = VERSION.exec(text.trim());
  if (!match) return undefined;
  return {
    numbers: (match[1] ?? '').split('.').map(Number),
    pre: match[2] === undefined ? [] : match[2].split('.'),
  };
}

function comparePre(a: readonly string[], b: readonly string[]): -1 | 0 | 1 {
  if (a.length === 0 || b.length === 0) {
    // A version that is out comes after all that led to it.
    return a.length === b.length ? 0 : a.length === 0 ? 1 : -1;
  }
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const one = a[i];
    const other = b[i];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    if (one === other) continue;
    const numbers = [one, other].map((part) => /^\d+$/.test(part));
    if (numbers[0] && numbers[1]) return Number(one) < Number(other) ? -1 : 1;
    if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
    return one < other ? -1 : 1;
  }
  return 0;
}
