import type { Queryable } from '../db/database.ts';
import type { Broadcast, Sending } from './broadcast.ts';
import { createPace, type Pace } from './pace.ts';
import { PART_COLUMNS, type Page, type Part } from './part.ts';

/** What the feeder remembers of a broadcast: a copy of its rows, thrown away after any error. */
export type Track = {
  readonly sending: Sending;
  readonly dataText: string;
  /** In the log and not done, in order. */
  outstanding: Part[];
  /** Recipients in parts. */
  sent: number;
  /** Where the chain of parts ends: the recipient after it. */
  next: { readonly page: number; readonly first: number };
  /** Pages from `next.page` on. */
  pages: Page[];
  readonly pace: Pace;
  /** When something was frozen or done, or a person or the feeder moved it. */
  progressMs: number;
  /** When all of the canary was done and its deliveries were not. */
  canaryDoneMs: number | undefined;
  /** When parts whose runs are elsewhere are looked at again. */
  lookAgainMs: number;
};

export async function loadTrack(
  db: Queryable,
  broadcast: Broadcast,
  nowMs: number,
): Promise<Track> {
  const [sending] = await db.query<Sending>(
    `select version_id, actor, data, settings, api_key_id
     from broadcast
     where id = $1`,
    [broadcast.id],
  );
  if (!sending) throw new Error(`the broadcast ${broadcast.id} is gone`);
  const outstanding = await db.query<Part>(
    `select ${PART_COLUMNS}
     from broadcast_part p
     left join broadcast_part_done d using (broadcast_id, page, first)
     where p.broadcast_id = $1
       and d.broadcast_id is null
     order by p.page, p.first`,
    [broadcast.id],
  );
  const [ends] = await db.query<{ sent: number; done_at: Date | null }>(
    `select coalesce((
              select sum(size)
              from broadcast_part
              where broadcast_id = $1), 0)::int as sent,
            (select max(done_at)
             from broadcast_part_done
             where broadcast_id = $1) as done_at`,
    [broadcast.id],
  );
  return {
    sending,
    dataText: JSON.stringify(sending.data),
    outstanding,
    sent: ends?.sent ?? 0,
    next: await endOfChain(db, broadcast.id),
    pages: [],
    pace: createPace(nowMs),
    progressMs: Math.max(broadcast.changed_at.getTime(), ends?.done_at?.getTime() ?? 0),
    canaryDoneMs: undefined,
    lookAgainMs: 0,
  };
}

async function endOfChain(db: Queryable, broadcastId: number): Promise<Track['next']> {
  const [last] = await db.query<{ page: number; end: number; page_size: number }>(
    `select p.page, p.first + p.size as end, q.size as page_size
     from broadcast_part p
     join broadcast_page q using (broadcast_id, page)
     where p.broadcast_id = $1
     order by p.page desc, p.first desc
     limit 1`,
    [broadcastId],
  );
  if (!last) return { page: 0, first: 0 };
  return last.end < last.page_size
    ? { page: last.page, first: last.end }
    : { page: last.page + 1, first: 0 };
}
