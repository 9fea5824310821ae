import type { Queryable } from '../db/database.ts';

const BATCH_MEMBERS = 2_000;
/** With all of their parts: 5,000 rows at the most, where a low rate made one of each recipient. */
const BATCH_PAGES = 10;
const BATCH_LEFTOVERS = 100;

type Leftover = { readonly kind: 'audience' | 'broadcast'; readonly id: number };

/**
 * Deletes what is left of audiences and broadcasts that do not exist any more, at most 2,000 members or ten pages a
 * statement, with a `rest` after each. Cut off anywhere, the next call goes on.
 */
export async function clearLeftovers(db: Queryable, rest: () => Promise<void>): Promise<void> {
  for (;;) {
    const leftovers = await db.query<Leftover>(
      `select kind, id
       from leftover
       order by kind, id
       limit ${BATCH_LEFTOVERS}`,
    );
    for (const { kind, id } of leftovers) {
      if (kind === 'audience') await deleteMembers(db, id, rest);
      else await deletePages(db, id, rest);
      await db.query('delete from leftover where kind = $1 and id = $2', [kind, id]);
    }
    if (leftovers.length < BATCH_LEFTOVERS) return;
  }
}

/** From the last deleted member on, so that rows that are dead already are not walked through again and again. */
async function deleteMembers(
  db: Queryable,
  audienceId: number,
  rest: () => Promise<void>,
): Promise<void> {
  let after = { user_id: '', tenant: '' };
  for (;;) {
    const batch = await db.query<{ user_id: string; tenant: string }>(
      `with batch as materialized (
         select ctid, user_id, tenant
         from audience_member
         where audience_id = $1
           and (user_id, tenant) >= ($2, $3)
         order by user_id, tenant
         limit ${BATCH_MEMBERS}
       ), gone as (
         delete from audience_member
         where ctid = any(array(select ctid from batch))
       )
       select user_id, tenant
       from batch
       order by user_id desc, tenant desc
       limit 1`,
      [audienceId, after.user_id, after.tenant],
    );
    const [last] = batch;
    if (!last) return;
    after = last;
    await rest();
  }
}

/** A page goes with its parts, so what is left is always whole pages. */
async function deletePages(
  db: Queryable,
  broadcastId: number,
  rest: () => Promise<void>,
): Promise<void> {
  for (;;) {
    const pages = await db.query(
      `with batch as materialized (
         select page
         from broadcast_page
         where broadcast_id = $1
         order by page
         limit ${BATCH_PAGES}
       ), done as (
         delete from broadcast_part_done d
         using batch
         where d.broadcast_id = $1
           and d.page = batch.page
       ), parts as (
         delete from broadcast_part p
         using batch
         where p.broadcast_id = $1
           and p.page = batch.page
       )
       delete from broadcast_page q
       using batch
       where q.broadcast_id = $1
         and q.page = batch.page
       returning 1`,
      [broadcastId],
    );
    if (pages.length === 0) return;
    await rest();
  }
}
