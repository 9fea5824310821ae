import type { Database } from '../../src/db/database.ts';
import { ensurePartitions } from '../../src/db/partitions.ts';
import { connectClickHouse } from '../../src/log-store/clickhouse/connect.ts';

const DAY_MS = 86_400_000;
export const SEEDED_DAYS = 30;
/** A message has so many events, a trigger so many messages. */
const EVENTS = 4;
const RECIPIENTS = 10;
const MESSAGES_AT_ONCE = 250_000;
const EVENTS_AT_ONCE = 5_000_000;
/** The first environment has half of everything. */
export const ENVIRONMENTS = 20;
export const FIRST_ENVIRONMENT = 1_001;
export const USERS = 500_000;
export const TENANTS = 5_000;
export const WORKFLOWS = 50;
export const CHANNEL = '0a4de2b6-6f9c-4f36-9d5e-0a9f4b3a7f10';

/** Triggers that follow each other are of one environment. */
const BLOCK = 64 * RECIPIENTS;

/** Of the n-th message, by its number; equal in both databases. */
const FACTS = {
  environment: `(${FIRST_ENVIRONMENT} + case when n / ${BLOCK} % 2 = 0 then 0 else 1 + n / ${2 * BLOCK} % ${ENVIRONMENTS - 1} end)`,
  user: `(n * 7919 % ${USERS})`,
  tenant: `(n / ${RECIPIENTS} * 31 % ${TENANTS})`,
  workflow: `(n / ${RECIPIENTS} * 17 % ${WORKFLOWS})`,
};

/** Triggers, runs, messages and events of the last 30 days, straight into the tables. */
export async function seedPostgres(
  db: Database,
  events: number,
  endMs: number,
  say: (line: string) => void,
): Promise<void> {
  for (let day = 0; day <= SEEDED_DAYS; day++) await ensurePartitions(db, endMs - day * DAY_MS);
  const messages = Math.floor(events / EVENTS);
  const startMs = endMs - SEEDED_DAYS * DAY_MS;
  const stepMs = (SEEDED_DAYS * DAY_MS) / messages;
  const id = (part: number, number: string) =>
    `(lpad(to_hex(ms), 12, '0') || '8000' || '8' || lpad(to_hex((${number}) * 64 + ${part}), 15, '0'))::uuid`;
  for (let from = 0; from < messages; from += MESSAGES_AT_ONCE) {
    const count = Math.min(MESSAGES_AT_ONCE, messages - from);
    await db.query(
      `with given as (
         select n, ($1::float8 + n * $2::float8)::bigint as ms
         from generate_series($3::bigint, $3::bigint + $4::bigint - 1) as n
       ), row as materialized (
         select n, ${FACTS.environment} as environment_id, 'user-' || ${FACTS.user} as user_id,
           'tenant-' || ${FACTS.tenant} as tenant, 'workflow-' || ${FACTS.workflow} as workflow,
           ${id(0, 'n')} as run_id, ${id(1, 'n')} as message_id, ms,
           (lpad(to_hex(($1::float8 + n / ${RECIPIENTS} * ${RECIPIENTS} * $2::float8)::bigint), 12, '0') || '80008'
             || lpad(to_hex(n / ${RECIPIENTS} * 64 + 63), 15, '0'))::uuid as trigger_id,
           to_timestamp(ms / 1000.0) as at
         from given
       ), triggers as (
         insert into workflow_run (id, environment_id, workflow_key, version_id, tenant, data, accepted_at)
         select trigger_id, environment_id, workflow, 1, tenant, '{}', at
         from row
         on conflict do nothing
       ), runs as (
         insert into recipient_run
           (id, environment_id, workflow_run_id, collection, recipient_id, status, error_count, steps, executed_at)
         select run_id, environment_id, trigger_id, '$users', user_id, 3, 0, '[]', at
         from row
       ), messages as (
         insert into message
           (id, environment_id, channel_id, channel_type, collection, recipient_id, tenant, workflow_run_id,
            recipient_run_id, workflow_key, version_id, step_ref, status, content, inserted_at)
         select message_id, environment_id, '${CHANNEL}', 1, '$users', user_id, tenant, trigger_id, run_id, workflow, 1,
           'mail', 1, '{}', at
         from row
       )
       insert into message_event (id, message_id, environment_id, type, inserted_at)
       select (lpad(to_hex(ms + e * 1000), 12, '0') || '80008' || lpad(to_hex(n * 64 + 32 + e), 15, '0'))::uuid, message_id,
         environment_id, 2 + e, at + e * interval '1 s'
       from row
       cross join generate_series(0, ${EVENTS - 1}) as e`,
      [startMs, stepMs, from, count],
    );
    if (from % (MESSAGES_AT_ONCE * 10) === 0) say(`PostgreSQL: ${(from + count) * EVENTS} events`);
  }
  for (const table of ['workflow_run', 'recipient_run', 'message', 'message_event']) {
    await db.query(`vacuum (analyze) ${table}`);
  }
}

/** The same events, in ClickHouse. */
export async function seedClickHouse(
  url: string,
  events: number,
  endMs: number,
  say: (line: string) => void,
): Promise<void> {
  const clickHouse = await connectClickHouse(url, { requestMs: 600_000 });
  const messages = Math.floor(events / EVENTS);
  const startMs = endMs - SEEDED_DAYS * DAY_MS;
  const stepMs = (SEEDED_DAYS * DAY_MS) / messages;
  const hex = (value: string, width: number) =>
    `leftPad(lower(hex(toUInt64(${value}))), ${width}, '0')`;
  const id = (ms: string, low: string) =>
    `toUUID(concat(substring(${hex(ms, 12)}, 1, 8), '-', substring(${hex(ms, 12)}, 9, 4), '-8000-8', substring(${hex(low, 15)}, 1, 3), '-', substring(${hex(low, 15)}, 4, 12)))`;
  const perChunk = EVENTS_AT_ONCE / EVENTS;
  for (let from = 0; from < messages; from += perChunk) {
    const count = Math.min(perChunk, messages - from);
    await clickHouse.command(
      `insert into event (environment_id, id, inserted_at, type, data, message_id, channel_id, channel_type, collection,
         recipient_id, tenant, workflow, workflow_run_id, run_id, step_ref)
       with toInt64(${from} + intDiv(number, ${EVENTS})) as n, number % ${EVENTS} as e,
         toInt64(round(${startMs} + n * ${stepMs})) as ms
       select ${inClickHouse(FACTS.environment)}, ${id('ms + e * 1000', `n * 64 + 32 + e`)},
         fromUnixTimestamp64Milli(ms + e * 1000, 'UTC'), ['queued', 'sent', 'not_sent', 'delivered'][e + 1], '',
         ${id('ms', 'n * 64 + 1')}, toUUID('${CHANNEL}'), 'email', '$users',
         concat('user-', toString(${inClickHouse(FACTS.user)})), concat('tenant-', toString(${inClickHouse(FACTS.tenant)})),
         concat('workflow-', toString(${inClickHouse(FACTS.workflow)})),
         ${id(`round(${startMs} + intDiv(n, ${RECIPIENTS}) * ${RECIPIENTS} * ${stepMs})`, `intDiv(n, ${RECIPIENTS}) * 64 + 63`)},
         ${id('ms', 'n * 64')}, 'mail'
       from numbers(${count * EVENTS})`,
      { max_partitions_per_insert_block: '0' },
    );
    say(`ClickHouse: ${(from + count) * EVENTS} events`);
  }
  await clickHouse.close();
}

/** Divisions of whole numbers are whole in PostgreSQL. */
function inClickHouse(expression: string): string {
  return expression
    .replace(/case when (.+?) then (.+?) else (.+) end/, 'if($1, $2, $3)')
    .replace(/n \/ (\d+)/g, 'intDiv(n, $1)');
}
