import { invalidField } from '../lib/errors.ts';
import { ksuidFromUuid, uuidFromKsuid } from '../lib/ksuid.ts';
import { integerParameter, type RawParameters, textParameter } from './query-reader.ts';

/** Which page of a list that is ordered by id, newest first. Bounds are row UUIDs, exclusive. */
export type PageRequest = {
  readonly size: number;
  /** Older than this row. */
  readonly after?: string | undefined;
  /** Newer than this row: those next to it. */
  readonly before?: string | undefined;
};

export type PageInfo = {
  readonly __typename: 'PageInfo';
  readonly after: string | null;
  readonly before: string | null;
  readonly page_size: number;
};

const MAX_PAGE_SIZE = 50;

export function readPage(parameters: RawParameters): PageRequest {
  return {
    size: integerParameter(parameters, 'page_size', 1, MAX_PAGE_SIZE) ?? MAX_PAGE_SIZE,
    after: cursor(parameters, 'after'),
    before: cursor(parameters, 'before'),
  };
}

function cursor(parameters: RawParameters, name: string): string | undefined {
  const text = textParameter(parameters, name);
  if (text === undefined) return undefined;
  const uuid = uuidFromKsuid(text);
  if (uuid === undefined) throw invalidField(name, 'is not a cursor that a list gave out');
  return uuid;
}

/** Whether the rows must be read oldest first: the page next to `before`. */
export function readsBackward(page: PageRequest): boolean {
  return page.before !== undefined && page.after === undefined;
}

/**
 * The page and its cursors, from up to `size + 1` rows in the order in which they were read.
 * The extra row only tells that there is more in that direction.
 */
export function cutPage<Row extends { readonly id: string }>(
  page: PageRequest,
  read: readonly Row[],
): { readonly rows: readonly Row[]; readonly info: PageInfo } {
  const backward = readsBackward(page);
  const more = read.length > page.size;
  const kept = read.slice(0, page.size);
  const rows = backward ? kept.reverse() : kept;
  const first = rows[0];
  const last = rows.at(-1);
  return {
    rows,
    info: {
      __typename: 'PageInfo',
      // Read backward, the row of the cursor itself is older; read forward, it is newer.
      after: last && (backward || more) ? ksuidFromUuid(last.id) : null,
      before:
        first && (backward ? more : page.after !== undefined) ? ksuidFromUuid(first.id) : null,
      page_size: page.size,
    },
  };
}
