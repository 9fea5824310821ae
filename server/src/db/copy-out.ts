import pg from 'pg';
import { textArray } from './array-literal.ts';

/** Rows in the text format of COPY (PostgreSQL documentation, COPY, "Text Format"): a line each, tabs between columns, `\N` for null. */
export type CopiedRows = { readonly lines: Buffer; readonly rows: number };

const FIRST_BYTES = 1 << 16;

/**
 * The rows of a query, all in memory, whose text is no string here. PostgreSQL makes it in two thirds of the time that it needs for JSON.
 */
export function copyOut(client: pg.ClientBase, query: string): Promise<CopiedRows> {
  return new Promise((resolve, reject) => {
    const copy = new CopyOut(`copy (${query}) to stdout`, (error, result) => {
      if (error) return reject(error);
      const lines = copy.lines();
      const rows = result.rowCount ?? 0;
      // Whoever believed that there was nothing would go on without these rows.
      if (rows > 0 && lines.length === 0)
        return reject(new Error('the driver lost what was copied'));
      resolve({ lines, rows });
    });
    client.query(copy);
  });
}

/**
 * The driver's own query, which would read what is copied and drop it; here it is kept. So time limits and lost connections are
 * the driver's matter as ever; the stream of pg-copy-streams takes the connection from the driver, whose time limit then ends a
 * statement that is long over.
 */
class CopyOut extends pg.Query {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #size = 0;

  /** Called by the driver for each row, whose bytes are its own again afterwards. */
  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    const size = this.#size + chunk.length;
    if (size > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(size, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#size);
      this.#bytes = larger;
    }
    chunk.copy(this.#bytes, this.#size);
    this.#size = size;
  }

  lines(): Buffer {
    return this.#bytes.subarray(0, this.#size);
  }
}

/**
 * The text of a statement with its values in the place of its parameters: for those that take none, such as COPY. The database may log
 * the text of one that fails, so nothing of customers belongs into it.
 */
export function inlined(text: string, values: readonly unknown[]): string {
  return text.replace(/\$(\d+)/g, (parameter, number: string) => {
    if (Number(number) > values.length) throw new TypeError(`${parameter} has no value`);
    const value = textOf(values[Number(number) - 1]);
    return value === null ? 'null' : pg.escapeLiteral(value);
  });
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  return Array.isArray(value) ? textArray(value.map(textOf)) : String(value);
}
