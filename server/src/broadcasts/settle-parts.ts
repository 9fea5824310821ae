import { plainArray } from '../db/array-literal.ts';
import type { Queryable } from '../db/database.ts';
import {
  type ChunkOutcome,
  chunkOutcomes,
  receiptedChunks,
  setAsideChunks,
} from '../engine/chunk-outcomes.ts';
import { faultPoint } from '../lib/fault-point.ts';
import type { Part } from './part.ts';
import type { Track } from './track.ts';

const LOOK_AGAIN_MS = 1_000;

type Settled = {
  readonly id: number;
  readonly track: Track;
  readonly part: Part;
  readonly outcome: ChunkOutcome;
};

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
  const settled: Settled[] = [];
  const incomplete: Settled[] = [];
  for (const [i, entry] of receipted.entries()) {
    const outcome = outcomes[i] ?? { done: 0, failed: 0 };
    if (outcome.done + outcome.failed >= entry.part.size) settled.push({ ...entry, outcome });
    else if (nowMs >= entry.track.lookAgainMs) incomplete.push({ ...entry, outcome });
  }
  if (incomplete.length > 0) settled.push(...(await withoutSetAside(db, incomplete)));
  for (const { track } of incomplete) track.lookAgainMs = nowMs + LOOK_AGAIN_MS;
  if (settled.length === 0) return;
  faultPoint('broadcast.before-done');
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
  faultPoint('broadcast.after-done');
  const gone = new Set(settled.map(({ part }) => part));
  for (const track of new Set(settled.map((entry) => entry.track))) {
    track.outstanding = track.outstanding.filter((part) => !gone.has(part));
    track.progressMs = nowMs;
  }
}

/** Those of which no order keeps anything that will be executed: what is missing was discarded. */
async function withoutSetAside(
  db: Queryable,
  incomplete: readonly Settled[],
): Promise<readonly Settled[]> {
  const parts = incomplete.map(({ part }) => part);
  const setAside = new Set(await setAsideChunks(db, parts));
  // What was released between the first look and this one is executed by now.
  const outcomes = await chunkOutcomes(db, parts);
  return incomplete.flatMap((entry, i) =>
    setAside.has(i) ? [] : [{ ...entry, outcome: outcomes[i] ?? entry.outcome }],
  );
}
