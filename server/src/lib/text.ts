/** Why PostgreSQL could not store this text, or undefined when it could. */
export function unstorable(text: string): string | undefined {
  if (text.includes('\u0000')) return 'contains a NUL character (\\u0000)';
  if (!text.isWellFormed()) return 'contains half of a surrogate pair (broken UTF-16)';
  return undefined;
}
