import type { Queryable } from '../db/database.ts';
import type { Logger } from '../lib/log.ts';
import { type Broadcast, moveBroadcast } from './broadcast.ts';
import { outcomesOf } from './outcomes.ts';
import { partsAfter } from './part.ts';
import type { Track } from './track.ts';

/** How long a canary that is done waits for its deliveries: less than what counts as stuck. */
const DELIVERY_MS = 45_000;
const LOOK_AGAIN_MS = 1_000;
const PARTS = 20;

/** Goes on when few enough of the canary failed, else pauses with the reason. */
export async function judgeCanary(
  db: Queryable,
  log: Logger,
  broadcast: Broadcast,
  track: Track,
  nowMs: number,
): Promise<void> {
  if (track.canaryDoneMs !== undefined && nowMs < track.lookAgainMs) return;
  track.canaryDoneMs ??= nowMs;
  track.lookAgainMs = nowMs + LOOK_AGAIN_MS;
  const { failed, delivering } = await countOutcomes(db, broadcast.id);
  if (delivering > 0 && nowMs - track.canaryDoneMs < DELIVERY_MS) return;
  const size = broadcast.canary_size ?? 0;
  const { id, public_id } = broadcast;
  if (failed <= size * broadcast.canary_failed_share) {
    await moveBroadcast(db, { id, from: 'canary', to: 'running', nowMs, canary: 'passed' });
    return;
  }
  const reason = `${failed} of the first ${size} recipients failed, more than ${Math.round(broadcast.canary_failed_share * 1_000) / 10} %; see whom with GET /v1/broadcasts/${public_id}/recipients, then resume or cancel.`;
  if (
    await moveBroadcast(db, { id, from: 'canary', to: 'paused', nowMs, reason, canary: 'failed' })
  ) {
    log.warn(
      { broadcast: public_id, failed, size },
      'the canary of a broadcast failed; it is paused',
    );
  }
}

async function countOutcomes(
  db: Queryable,
  broadcastId: number,
): Promise<{ readonly failed: number; readonly delivering: number }> {
  let failed = 0;
  let delivering = 0;
  let after = { page: 0, first: -1 };
  for (;;) {
    const parts = await partsAfter(db, broadcastId, after, PARTS);
    for (const outcome of (await outcomesOf(db, parts)).flat()) {
      if (outcome.failed) failed += 1;
      else if (outcome.delivering) delivering += 1;
    }
    const last = parts.at(-1);
    if (!last || parts.length < PARTS) return { failed, delivering };
    after = last;
  }
}
