import { invalidField } from '../lib/errors.ts';

/** Which part of a list is asked for. `after` and `before` are keys, decoded from their cursors. */
export type PageRequest = {
  readonly size: number;
  readonly after?: string;
  readonly before?: string;
};

export type Page<Entry> = { readonly entries: readonly Entry[]; readonly pageInfo: PageInfo };

export type PageInfo = {
  readonly __typename: 'PageInfo';
  readonly after: string | null;
  readonly before: string | null;
  readonly page_size: number;
};

const PAGE_SIZE_LIMIT = 50;

/** The page that a query asks for; `after` wins over `before`. */
export function pageRequest(query: {
  readonly after?: string | undefined;
  readonly before?: string | undefined;
  readonly page_size?: number | undefined;
}): PageRequest {
  const size = query.page_size ?? PAGE_SIZE_LIMIT;
  if (query.after) return { size, after: decodeCursor(query.after, 'after') };
  if (query.before) return { size, before: decodeCursor(query.before, 'before') };
  return { size };
}

/**
 * The page of these rows, of which one more than the page's size was read. Going backward they
 * come in reverse.
 */
export function pageOf<Row>(
  request: PageRequest,
  rows: readonly Row[],
  keyOf: (row: Row) => string,
): Page<Row> {
  const isBackward = request.before !== undefined;
  const hasMore = rows.length > request.size;
  const page = rows.slice(0, request.size);
  if (isBackward) page.reverse();
  const first = page[0];
  const last = page.at(-1);
  const hasAfter = isBackward ? first !== undefined : hasMore;
  const hasBefore = isBackward ? hasMore : request.after !== undefined;
  return {
    entries: page,
    pageInfo: {
      __typename: 'PageInfo',
      after: hasAfter && last !== undefined ? encodeCursor(keyOf(last)) : null,
      before: hasBefore && first !== undefined ? encodeCursor(keyOf(first)) : null,
      page_size: request.size,
    },
  };
}

function encodeCursor(key: string): string {
  return Buffer.from(key, 'utf8').toString('base64url');
}

function decodeCursor(cursor: string, field: string): string {
  const key = Buffer.from(cursor, 'base64url').toString('utf8');
  // What is not a cursor of ours decodes to something that does not encode to it again.
  if (encodeCursor(key) !== cursor.replace(/=+$/, '') || key.includes('\u0000')) {
    throw invalidField(field, 'is not a cursor of an earlier answer');
  }
  return key;
}
