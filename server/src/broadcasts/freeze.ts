import { plainArray, textArray } from '../db/array-literal.ts';
import type { Database } from '../db/database.ts';
import type { Clock } from '../lib/clock.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Broadcast } from './broadcast.ts';
import { type Reached, type ReadSource, readSource } from './read-source.ts';

const PAGE_RECIPIENTS = 500;
/** The default canary: this share, and not more than so many. */
const CANARY_SHARE = 0.01;
const CANARY_LIMIT = 100;

/** One broadcast's freezing, in steps. What it remembers is what the last page says. */
export type Freezing = {
  /** Reads a piece and writes the pages that are full; false when there is nothing left to do. */
  readonly step: () => Promise<boolean>;
};

export function createFreezing(
  { db, clock }: { readonly db: Database; readonly clock: Clock },
  broadcast: Pick<Broadcast, 'id' | 'environment_id' | 'source' | 'tenant' | 'created_at'>,
): Freezing {
  const read: ReadSource = readSource(broadcast.source, {
    environmentId: broadcast.environment_id,
    tenant: broadcast.tenant,
    nowMs: broadcast.created_at.getTime(),
  });
  let at: { page: number; position: string } | undefined;
  /** Read, and not yet a page. */
  let rest: readonly Reached[] = [];

  return {
    step: async () => {
      at ??= await lastPosition(db, broadcast.id);
      const { reached, next } = await read(db, at.position);
      const all = [...rest, ...reached];
      const full = next === undefined ? all.length : all.length - (all.length % PAGE_RECIPIENTS);
      const pages: Reached[][] = [];
      for (let from = 0; from < full; from += PAGE_RECIPIENTS) {
        pages.push(all.slice(from, Math.min(from + PAGE_RECIPIENTS, full)));
      }
      if (pages.length > 0 && !(await writePages(db, broadcast.id, at.page, pages))) return false;
      rest = all.slice(full);
      if (next === undefined) {
        await endFreezing(db, broadcast.id, clock.now());
        return false;
      }
      at = { page: at.page + pages.length, position: next };
      return true;
    },
  };
}

/** The number that the next page gets, and where its audience is read on. */
async function lastPosition(
  db: Database,
  broadcastId: number,
): Promise<{ page: number; position: string }> {
  const [last] = await db.query<{ page: number; position: string }>(
    `select page + 1 as page, position
     from broadcast_page
     where broadcast_id = $1
     order by page desc
     limit 1`,
    [broadcastId],
  );
  return last ?? { page: 0, position: '' };
}

/** False: the broadcast is not being frozen any more, and nothing was written. */
async function writePages(
  db: Database,
  broadcastId: number,
  firstPage: number,
  pages: readonly (readonly Reached[])[],
): Promise<boolean> {
  faultPoint('broadcast.before-page');
  const rows = await db.query(
    `with freezing as (
       select id
       from broadcast
       where id = $1
         and state = 'freezing'
       for share
     )
     insert into broadcast_page (broadcast_id, page, size, recipients, tenants, position)
     select freezing.id, p.page, p.size, p.recipients::text[], p.tenants::text[], p.position
     from freezing, unnest($2::int[], $3::smallint[], $4::text[], $5::text[], $6::text[])
       as p(page, size, recipients, tenants, position)
     returning 1`,
    [
      broadcastId,
      plainArray(pages.map((_, i) => firstPage + i)),
      plainArray(pages.map(({ length }) => length)),
      textArray(pages.map((page) => textArray(page.map(({ userId }) => userId)))),
      textArray(
        pages.map((page) =>
          page.some(({ tenant }) => tenant !== '')
            ? textArray(page.map(({ tenant }) => tenant))
            : null,
        ),
      ),
      textArray(pages.map((page) => page.at(-1)?.position ?? '')),
    ],
  );
  faultPoint('broadcast.after-page');
  return rows.length > 0;
}

async function endFreezing(db: Database, broadcastId: number, nowMs: number): Promise<void> {
  await db.query(
    `with frozen as (
       select coalesce(sum(size), 0)::int as total
       from broadcast_page
       where broadcast_id = $1
     ), sized as (
       select b.id, frozen.total,
              least(coalesce(b.canary_size, least(ceil(frozen.total * ${CANARY_SHARE}), ${CANARY_LIMIT})), frozen.total)::int
                as canary_size
       from broadcast b, frozen
       where b.id = $1
     )
     update broadcast b
     set total = sized.total,
         canary_size = sized.canary_size,
         state = case
           when sized.total = 0 then 'finished'
           when not b.starts then 'paused'
           when sized.canary_size = 0 then 'running'
           else 'canary'
         end,
         reason = case when b.starts or sized.total = 0 then null else 'It is frozen and waits to be started.' end,
         changed_at = $2
     from sized
     where b.id = sized.id
       and b.state = 'freezing'`,
    [broadcastId, new Date(nowMs)],
  );
}
