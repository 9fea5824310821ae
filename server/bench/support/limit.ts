import { plainArray, textArray } from '../../src/db/array-literal.ts';
import type { Database } from '../../src/db/database.ts';
import { formatAddress } from '../../src/lib/address.ts';

const ROWS = 500;
const CONNECTIONS = 3;
/** A stream that no server uses, so that ids cannot meet. */
const STREAM = 4_000;

/**
 * The limit of the same work: a loop that writes the rows of `runs` recipient runs (run, message, event)
 * set-wise, 500 a statement on three connections, with no engine. Returns runs a second.
 */
export async function bareLimit(
  db: Database,
  environmentId: number,
  channelId: string,
  runs: number,
): Promise<number> {
  let next = 0;
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (next < runs) {
        const sequence = next / ROWS + 1;
        next += ROWS;
        await writeRows(db, environmentId, channelId, sequence);
      }
    }),
  );
  return (next / (performance.now() - startedMs)) * 1_000;
}

async function writeRows(
  db: Database,
  environmentId: number,
  channelId: string,
  sequence: number,
): Promise<void> {
  const nowMs = Date.now();
  const indexes = Array.from({ length: ROWS }, (_, i) => i);
  await db.query({ name: 'limit', text: TEXT }, [
    environmentId,
    channelId,
    formatAddress(nowMs, STREAM, sequence, 0, 63),
    new Date(nowMs).toISOString(),
    plainArray(indexes.map((i) => formatAddress(nowMs, STREAM, sequence, i, 0))),
    plainArray(indexes.map((i) => formatAddress(nowMs, STREAM, sequence, i, 1))),
    plainArray(indexes.map((i) => formatAddress(nowMs, STREAM, sequence, i, 32))),
    textArray(indexes.map((i) => `user-${(sequence * ROWS + i) % 100_000}`)),
    textArray(indexes.map(() => CONTENT)),
    textArray(indexes.map(() => STEPS)),
  ]);
}

const CONTENT = JSON.stringify({
  body: 'Hi **User 12345**, Ada sent you 42 EUR (pro).',
  action_url: 'https://example.com/payments/p-1',
});
const STEPS = '[{"step_ref":"in_app_feed_1","step_type":"channel","outcome":"message"}]';

const TEXT = `with row as (
  select * from unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::json[], $10::json[])
    as r(run_id, message_id, event_id, recipient_id, content, steps)
), runs as (
  insert into recipient_run
    (id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, executed_at)
  select run_id, $1::int, $3::uuid, '$users', recipient_id, 3, 0, steps, $4::timestamptz from row
), messages as (
  insert into message
    (id, environment_id, channel_id, channel_type, collection, recipient_id, workflow_run_id, recipient_run_id,
     workflow_key, version_id, step_ref, status, content, inserted_at)
  select message_id, $1, $2::uuid, 2, '$users', recipient_id, $3, run_id, 'bench', 1, 'in_app_feed_1', 2, content, $4
  from row
), events as (
  insert into message_event (id, message_id, environment_id, type, inserted_at)
  select event_id, message_id, $1, 5, $4 from row
)
select 1`;
