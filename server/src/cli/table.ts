import type { Style } from './style.ts';

/** Text, or text with a mark such as a colour, which takes no room. */
export type Cell = string | { readonly text: string; readonly mark: (text: string) => string };

const GAP = '  ';
const CELL_CHARACTERS = 60;

/** Rows under their headings, columns aligned. A cell that is too long is cut with an ellipsis. */
export function table(
  style: Style,
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
): string {
  const texts = rows.map((row) => row.map((cell) => short(textOf(cell))));
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...texts.map((row) => width(row[column] ?? ''))),
  );
  const padding = (text: string, column: number) =>
    ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(text)));
  const heading = headings.map((text, column) => text + padding(text, column)).join(GAP);
  const lines = rows.map((row, index) =>
    row
      .map((cell, column) => {
        const text = texts[index]?.[column] ?? '';
        return marked(cell, text) + padding(text, column);
      })
      .join(GAP)
      .trimEnd(),
  );
  return [style.dim(heading.trimEnd()), ...lines].join('\n');
}

/** Names and values below each other, the values aligned. Those without a value are left out. */
export function fields(
  style: Style,
  pairs: readonly (readonly [name: string, value: Cell | null | undefined])[],
): string {
  const shown = pairs.flatMap(([name, value]) =>
    value === undefined || value === null || textOf(value) === '' ? [] : [{ name, value }],
  );
  const longest = Math.max(0, ...shown.map(({ name }) => name.length));
  return shown
    .map(({ name, value }) => {
      return `${style.dim(name.padEnd(longest))}${GAP}${marked(value, textOf(value))}`;
    })
    .join('\n');
}

function marked(cell: Cell, text: string): string {
  return typeof cell === 'string' ? text : cell.mark(text);
}

function textOf(cell: Cell): string {
  return printable(typeof cell === 'string' ? cell : cell.text);
}

/** Ids and names are others' texts: they must not break the line or command the terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}

function short(text: string): string {
  const characters = [...text];
  return characters.length > CELL_CHARACTERS
    ? `${characters.slice(0, CELL_CHARACTERS - 1).join('')}…`
    : text;
}

function width(text: string): number {
  return [...text].length;
}
