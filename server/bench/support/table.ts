/** Figures, one a line, aligned. */
export function printTable(figures: { readonly [name: string]: unknown }): string {
  const width = Math.max(...Object.keys(figures).map((name) => name.length));
  return Object.entries(figures)
    .map(([name, value]) => `${name.padEnd(width)}  ${value}\n`)
    .join('');
}
