type Expected = 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'comma or end';

const BLANK = /[ \t\r\n]*/y;
const TOKEN =
  /("(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)|[{}[\],:]/y;

/**
 * Where a text stops being JSON: the offset of the first token that cannot stand there, or the
 * text's length when it ends too early. JSON.parse knows it too, and tells it only for some errors.
 */
export function jsonErrorOffset(text: string): number {
  const open: string[] = [];
  let expected: Expected = 'value';
  let at = 0;
  for (;;) {
    at = matchAt(BLANK, text, at)?.end ?? at;
    const token = matchAt(TOKEN, text, at);
    if (!token) return at;
    const next = after(token, expected, open);
    if (!next) return at;
    expected = next;
    at = token.end;
  }
}

type Token = { readonly text: string; readonly isText: boolean; readonly end: number };

function matchAt(pattern: RegExp, text: string, at: number): Token | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  return match
    ? { text: match[0], isText: match[1] !== undefined, end: pattern.lastIndex }
    : undefined;
}

/** What may follow a token, or undefined when the token may not stand here. */
function after(token: Token, expected: Expected, open: string[]): Expected | undefined {
  const container = open.at(-1);
  switch (token.text) {
    case '{':
    case '[':
      if (expected !== 'value' && expected !== 'value or end') return undefined;
      open.push(token.text);
      return token.text === '{' ? 'key or end' : 'value or end';
    case '}':
    case ']':
      if (container !== (token.text === '}' ? '{' : '[')) return undefined;
      if (!expected.endsWith('or end')) return undefined;
      open.pop();
      return 'comma or end';
    case ',':
      if (expected !== 'comma or end' || !container) return undefined;
      return container === '{' ? 'key' : 'value';
    case ':':
      return expected === 'colon' ? 'value' : undefined;
    default:
      if (expected === 'key' || expected === 'key or end')
        return token.isText ? 'colon' : undefined;
      return expected === 'value' || expected === 'value or end' ? 'comma or end' : undefined;
  }
}
