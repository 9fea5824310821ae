import type { EnvironmentContext } from '../context.ts';
import type { Broadcast, BroadcastState } from './broadcast.ts';
import { STUCK_MS } from './feeder.ts';

/** How far a broadcast is, in recipients. */
export type Progress = {
  /** Null until the audience is frozen. */
  readonly total: number | null;
  /** Frozen so far. */
  readonly frozen: number;
  /** In the log: done ones and those that will be done whatever happens. */
  readonly sent: number;
  /** Their run is recorded and did not end with an error. */
  readonly done: number;
  readonly failed: number;
  /** Discarded by an operator's order. */
  readonly discarded: number;
  /** Done, failed or discarded per second, over the last 10 s. */
  readonly per_second: number;
  /** When it will be finished at that speed, or at its rate where that is less; null when nobody can tell. */
  readonly finish_estimate_at: string | null;
  /** It should go on, and nothing was done for 60 s. */
  readonly stuck: boolean;
};

const WINDOW_MS = 10_000;
/** While it is being frozen only the feeder knows when it last got on. */
const GOING: readonly BroadcastState[] = ['canary', 'running', 'cancelling'];

type Sums = {
  readonly frozen: number;
  readonly sent: number;
  readonly settled: number;
  readonly done: number;
  readonly failed: number;
  readonly recent: number;
  readonly first_at: Date | null;
  readonly last_at: Date | null;
};

/** Adds up the broadcast's pages and parts. */
export async function broadcastProgress(
  ctx: EnvironmentContext,
  broadcast: Broadcast,
): Promise<Progress> {
  const nowMs = ctx.clock.now();
  const [sums] = await ctx.db.query<Sums>(
    `select coalesce((
              select sum(size)
              from broadcast_page
              where broadcast_id = $1), 0)::int as frozen,
            coalesce(sum(p.size), 0)::int as sent,
            coalesce(sum(p.size) filter (where d.page is not null), 0)::int as settled,
            coalesce(sum(d.done), 0)::int as done,
            coalesce(sum(d.failed), 0)::int as failed,
            coalesce(sum(p.size) filter (where d.done_at > $2), 0)::int as recent,
            min(p.accepted_at) as first_at,
            max(d.done_at) as last_at
     from broadcast_part p
     left join broadcast_part_done d using (broadcast_id, page, first)
     where p.broadcast_id = $1`,
    [broadcast.id, new Date(nowMs - WINDOW_MS)],
  );
  if (!sums) throw new Error('sums without a row');
  const elapsedMs = Math.max(1_000, nowMs - (sums.first_at?.getTime() ?? nowMs));
  const perSecond = sums.recent / (Math.min(WINDOW_MS, elapsedMs) / 1_000);
  const left = (broadcast.total ?? sums.frozen) - sums.settled;
  const isSending = broadcast.state === 'canary' || broadcast.state === 'running';
  const speed = Math.min(
    perSecond > 0 ? perSecond : (broadcast.rate ?? 0),
    broadcast.rate ?? Number.POSITIVE_INFINITY,
  );
  const progressMs = Math.max(broadcast.changed_at.getTime(), sums.last_at?.getTime() ?? 0);
  return {
    total: broadcast.total,
    frozen: sums.frozen,
    sent: sums.sent,
    done: sums.done,
    failed: sums.failed,
    discarded: sums.settled - sums.done - sums.failed,
    per_second: Math.round(perSecond * 10) / 10,
    finish_estimate_at:
      isSending && speed > 0 ? new Date(nowMs + (left / speed) * 1_000).toISOString() : null,
    stuck: GOING.includes(broadcast.state) && nowMs - progressMs > STUCK_MS,
  };
}
