/** A part of a template's source: text, an output or a tag. */
export type SourcePart = { readonly kind: 'text' | 'output' | 'tag'; readonly text: string };

/**
 * The parts of a source, in order, each as it is written. `raw` and `comment` are one tag up to their end. In one pass,
 * as a source may hold anything.
 */
export function splitLiquid(source: string): SourcePart[] {
  const parts: SourcePart[] = [];
  const start = /\{[{%]/g;
  let at = 0;
  for (;;) {
    const match = start.exec(source);
    if (!match) break;
    const end = liquidEnd(source, match.index);
    if (end === undefined) break;
    if (match.index > at) parts.push({ kind: 'text', text: source.slice(at, match.index) });
    const kind = match[0] === '{{' ? 'output' : 'tag';
    parts.push({ kind, text: source.slice(match.index, end) });
    at = end;
    start.lastIndex = end;
  }
  if (at < source.length) parts.push({ kind: 'text', text: source.slice(at) });
  return parts;
}

/** Where the output or tag that begins at `begin` is over; undefined when it never is. */
export function liquidEnd(source: string, begin: number): number | undefined {
  const close = source.indexOf(source[begin + 1] === '{' ? '}}' : '%}', begin + 2);
  if (close < 0) return undefined;
  const name =
    source[begin + 1] === '%' &&
    /^-?\s*(raw|comment)\s*-?$/.exec(source.slice(begin + 2, Math.min(close, begin + 50)));
  if (!name) return close + 2;
  const last = new RegExp(`\\{%-?\\s{0,20}end${name[1]}\\s{0,20}-?%\\}`, 'g');
  last.lastIndex = close + 2;
  const match = last.exec(source);
  return match ? match.index + match[0].length : undefined;
}
