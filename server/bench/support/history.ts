import type { BenchServer } from './server.ts';

const STEP = 250_000;
const UNDER_WAY = 3;
const SPAN_MS = 86_400_000;

export const HISTORY_USERS = 100_000;
export const LARGE_FEED = 5_000;

/**
 * `rows` messages in feeds and as many runs, of the last 24 hours, as the engine would have written them: of 100,000
 * users, of whom `large` has 5,000, in ten tenants and one that is rare, five workflows; every thousandth is of a
 * second, quiet account, whose environment is `quietEnvironmentId`.
 */
export async function writeHistory(
  server: BenchServer,
  quietEnvironmentId: number,
  rows: number,
  say: (line: string) => void,
): Promise<void> {
  const nowMs = Date.now();
  const starts = Array.from({ length: Math.ceil(rows / STEP) }, (_, i) => i * STEP);
  let written = 0;
  await Promise.all(
    Array.from({ length: UNDER_WAY }, async () => {
      for (let from = starts.shift(); from !== undefined; from = starts.shift()) {
        const to = Math.min(from + STEP, rows) - 1;
        await server.db.query(WRITE, [
          server.environmentId,
          quietEnvironmentId,
          server.channels['in-app'],
          nowMs - SPAN_MS,
          SPAN_MS / rows,
          from,
          to,
          Math.max(1, Math.floor(rows / LARGE_FEED)),
        ]);
        written += to - from + 1;
        say(`${written} of ${rows} messages and runs written`);
      }
    }),
  );
  say('vacuum and analyze');
  await server.db.query('vacuum analyze message');
  await server.db.query('vacuum analyze recipient_run');
  await server.db.query('vacuum analyze workflow_run');
}

/** An id of time `ms` and number `n`, and the time as timestamptz. */
const id = (tail: string) =>
  `(lpad(to_hex(ms), 12, '0') || '8001' || to_hex(8 + (n & 3)) || lpad(to_hex(n), 11, '0') || '${tail}')::uuid`;

const WRITE = `with row as (
  select n, ($4::bigint + (n * $5::float8)::bigint) as ms,
    case when n % 1000 = 0 then $2::int else $1::int end as environment_id,
    case when n % $8::int = 7 then 'large' else 'user-' || (n * 7919::bigint % ${HISTORY_USERS} + 1) end as recipient_id,
    case when n % 100003 = 5 then 'rare' when n % 3 = 0 then null else 'tenant-' || n % 10 end as tenant
  from generate_series($6::bigint, $7::bigint) as n
), runs as (
  insert into recipient_run
    (id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, executed_at)
  select ${id('0000')}, environment_id, ${id('003f')}, '$users', recipient_id, case when n % 5000 = 3 then 4 else 3 end,
    (n % 5000 = 3)::int, '[{"step_ref":"in_app_feed_1","step_type":"channel","outcome":"message"}]',
    to_timestamp(ms / 1000.0)
  from row
), triggers as (
  insert into workflow_run (id, environment_id, workflow_key, version_id, tenant, data, accepted_at)
  select ${id('003f')}, environment_id, 'bench', 1, tenant, '{"amount": 42}', to_timestamp(ms / 1000.0)
  from row
)
insert into message
  (id, environment_id, channel_id, channel_type, collection, recipient_id, tenant, workflow_run_id, recipient_run_id,
   workflow_key, version_id, step_ref, status, content, inserted_at, seen_at, read_at)
select ${id('0001')}, environment_id, $3::uuid, 2, '$users', recipient_id, tenant, ${id('003f')}, ${id('0000')},
  'bench', 1, 'in_app_feed_1', 2,
  '{"body":"Hi **User 12345**, Ada sent you 42 EUR (pro).","action_url":"https://example.com/payments/p-1"}',
  to_timestamp(ms / 1000.0), case when n % 2 = 0 then now() end, case when n % 4 = 0 then now() end
from row`;
