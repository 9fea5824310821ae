import type { Database } from '../../src/db/database.ts';

const BATCH = 16;
/** A stream that no server uses. */
const STREAM = 4_001;

/**
 * The limit of accepting: commits of 16 small chunks each, one after the other, with no HTTP and no engine.
 * Returns chunks a second.
 */
export async function bareAppendLimit(db: Database, seconds: number): Promise<number> {
  const body = JSON.stringify({
    triggers: [{ id: 'x'.repeat(36), key: 'bench', data: { amount: 1 } }],
    runs: [[0, 'user-1']],
  });
  const startedMs = performance.now();
  let sequence = 0;
  while (performance.now() - startedMs < seconds * 1_000) {
    await db.query(
      {
        name: 'append_limit',
        text: `insert into chunk (slot, stream, sequence, lane_id, kind, run_count, slice_count, accepted_at, body)
               select 0, $1::smallint, $2::bigint + n, 0, 0, 1, 1, now(), $3::text
               from generate_series(1, $4::int) as n`,
      },
      [STREAM, sequence, body, BATCH],
    );
    sequence += BATCH;
  }
  const perSecond = sequence / ((performance.now() - startedMs) / 1_000);
  await db.query('delete from chunk where stream = $1', [STREAM]);
  return perSecond;
}
