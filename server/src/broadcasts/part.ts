import type { Queryable } from '../db/database.ts';
import type { SizedPlace } from '../engine/chunk-outcomes.ts';

/** A range of a page that is in the log, and where. */
export type Part = SizedPlace & { readonly page: number; readonly first: number };

/** A page as it was frozen. */
export type Page = {
  readonly page: number;
  readonly recipients: readonly string[];
  readonly tenants: readonly string[] | null;
};

export const PART_COLUMNS = `p.page, p.first, p.size, p.slot, p.stream, p.sequence,
  (extract(epoch from p.accepted_at) * 1000)::bigint as "acceptedMs"`;

/** A broadcast's parts after one of them, in order; `(0, -1)` is before the first. */
export async function partsAfter(
  db: Queryable,
  broadcastId: number,
  after: { readonly page: number; readonly first: number },
  limit: number,
): Promise<Part[]> {
  return await db.query<Part>(
    `select ${PART_COLUMNS}
     from broadcast_part p
     where p.broadcast_id = $1
       and (p.page, p.first) > ($2::int, $3::int)
     order by p.page, p.first
     limit $4`,
    [broadcastId, after.page, after.first, limit],
  );
}

/** A broadcast's pages from a number on. */
export async function pagesFrom(
  db: Queryable,
  broadcastId: number,
  page: number,
  limit: number,
): Promise<Page[]> {
  return await db.query<Page>(
    `select page, recipients, tenants
     from broadcast_page
     where broadcast_id = $1
       and page >= $2
     order by page
     limit $3`,
    [broadcastId, page, limit],
  );
}
