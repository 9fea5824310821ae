import { stripVTControlCharacters } from 'node:util';
import type { Style } from './style.ts';

const GAP = '  ';
const CELL_CHARACTERS = 60;

/** Rows under their headings, columns aligned. A cell that is too long is cut with an ellipsis. */
export function table(
  style: Style,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const cells = rows.map((row) => row.map(cell));
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...cells.map((row) => width(row[column] ?? ''))),
  );
  const line = (row: readonly string[]) =>
    row
      .map((text, column) => text + ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(text))))
      .join(GAP)
      .trimEnd();
  return [style.dim(line(headings)), ...cells.map(line)].join('\n');
}

/** Names and values below each other, the values aligned. */
export function fields(
  style: Style,
  pairs: readonly (readonly [name: string, value: string | null | undefined])[],
): string {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== null && value !== '');
  const longest = Math.max(0, ...shown.map(([name]) => name.length));
  return shown
    .map(([name, value]) => `${style.dim(name.padEnd(longest))}${GAP}${value}`)
    .join('\n');
}

// Text of others must not move the cursor or colour the terminal.
function cell(text: string): string {
  const plain = text.replaceAll(/\s+/g, ' ');
  return width(plain) === plain.length && plain.length > CELL_CHARACTERS
    ? `${plain.slice(0, CELL_CHARACTERS - 1)}…`
    : plain;
}

function width(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}
