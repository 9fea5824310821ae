import { plainArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import {
  type ChunkOutcome,
  chunkOutcomes,
  livesElsewhere,
  receiptedChunks,
} from '../engine/chunk-outcomes.ts';
import type { Part } from './part.ts';
import type { Track } from './track.ts';

const LOOK_AGAIN_MS = 1_000;

type Settled = { readonly track: Track; readonly part: Part; readonly outcome: ChunkOutcome };

/**
 * Records the parts that are done, of all broadcasts at once. Parts whose slices have receipts and whose runs
 * are not all there were set aside by an order, or discarded: those are looked at once a second.
 */
export async function settleParts(
  db: Queryable,
  tracks: ReadonlyMap<number, Track>,
  nowMs: number,
): Promise<void> {
  const open = [...tracks].flatMap(([id, track]) =>
    track.outstanding.map((part) => ({ id, track, part })),
  );
  const receipted = (
    await receiptedChunks(
      db,
      open.map(({ part }) => part),
    )
  ).flatMap((position) => open[position] ?? []);
  if (receipted.length === 0) return;
  const outcomes = await chunkOutcomes(
    db,
    receipted.map(({ part }) => part),
  );
  const settled: (Settled & { readonly id: number })[] = [];
  const looked = new Set<Track>();
  for (const [i, entry] of receipted.entries()) {
    const { track, part } = entry;
    const outcome = outcomes[i] ?? { done: 0, failed: 0 };
    if (outcome.done + outcome.failed < part.size) {
      if (nowMs < track.lookAgainMs) continue;
      looked.add(track);
      if (await livesElsewhere(db, part)) continue;
      // It may have been released and executed between the two looks.
      const [again] = await chunkOutcomes(db, [part]);
      settled.push({ ...entry, outcome: again ?? outcome });
    } else {
      settled.push({ ...entry, outcome });
    }
  }
  for (const track of looked) track.lookAgainMs = nowMs + LOOK_AGAIN_MS;
  if (settled.length === 0) return;
  await db.query(
    {
      name: 'settle_broadcast_parts',
      text: `insert into broadcast_part_done (broadcast_id, page, first, done, failed, done_at)
     select d.*, $6::timestamptz
     from unnest($1::int[], $2::int[], $3::smallint[], $4::smallint[], $5::smallint[]) as d
     on conflict do nothing`,
    },
    [
      plainArray(settled.map(({ id }) => id)),
      plainArray(settled.map(({ part }) => part.page)),
      plainArray(settled.map(({ part }) => part.first)),
      plainArray(settled.map(({ outcome }) => outcome.done)),
      plainArray(settled.map(({ outcome }) => outcome.failed)),
      new Date(nowMs).toISOString(),
    ],
  );
  const gone = new Set(settled.map(({ part }) => part));
  for (const track of new Set(settled.map((entry) => entry.track))) {
    track.outstanding = track.outstanding.filter((part) => !gone.has(part));
    track.progressMs = nowMs;
  }
}
