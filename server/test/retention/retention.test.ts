import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeAudit } from '../../src/accounts/audit.ts';
import { ensurePartitions } from '../../src/db/partitions.ts';
import { formatAddress } from '../../src/lib/address.ts';
import { enforceRetention } from '../../src/retention/enforce.ts';
import { oldBefore, type RetentionDays } from '../../src/retention/retention-days.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2031, 5, 15, 12);
const ALL: RetentionDays = { logs: 90, messages: 90, apiLogs: 90, audit: 90 };
const MESSAGES: RetentionDays = {
  logs: undefined,
  messages: 90,
  apiLogs: undefined,
  audit: undefined,
};
const AUDIT: RetentionDays = {
  logs: undefined,
  messages: undefined,
  apiLogs: undefined,
  audit: 90,
};

let fixture: TestDatabase;
beforeEach(async () => {
  fixture = await createTestDatabase({ max: 6 });
  // Months and some days, as a server that has run since then would have left them.
  for (const days of [160, 90, 0]) await ensurePartitions(fixture.db, NOW - days * DAY_MS);
});
afterEach(() => fixture.drop());

const enforce = (days: RetentionDays = ALL, nowMs = NOW) =>
  enforceRetention({ db: fixture.db, log: silentLog, nowMs, days, retryMs: 20 });

async function partitionsOf(parent: string): Promise<string[]> {
  const rows = await fixture.db.query<{ name: string }>(
    `select inhrelid::regclass::text as name
     from pg_inherits
     where inhparent = $1::regclass
       and inhrelid::regclass::text like '%\\_2031\\_%'
     order by 1`,
    [parent],
  );
  return rows.map(({ name }) => name);
}

const idAt = (ms: number, index = 0) => formatAddress(ms, 1, 1, index, 0);

async function insertTrigger(ms: number): Promise<string> {
  const [row] = await fixture.db.query<{ table: string }>(
    `insert into workflow_run (id, environment_id, workflow_key, version_id, data, accepted_at)
     values ($1, 1, 'comment', 1, '{}', now())
     returning tableoid::regclass::text as table`,
    [idAt(ms)],
  );
  return row?.table ?? '';
}

test('whole partitions that are older than their period are dropped, and no others', async () => {
  const { kept } = await enforce();
  expect(kept).toEqual([]);
  // 90 days before 15 June is 17 March.
  expect(await partitionsOf('message')).toEqual([
    ...['03', '04', '05', '06', '07', '08'].map((month) => `message_2031_${month}`),
  ]);
  const days = await partitionsOf('message_event');
  expect(days[0]).toBe('message_event_2031_03_17');
  expect((await partitionsOf('recipient_run'))[0]).toBe('recipient_run_2031_03_17');
  expect((await enforce()).dropped).toEqual([]);
});

test('a class that is kept for ever loses nothing, and logs are kept no longer than messages', async () => {
  await enforce({ logs: 90, messages: undefined, apiLogs: undefined, audit: undefined });
  expect(await partitionsOf('workflow_run')).toContain('workflow_run_2031_01');
  expect(await partitionsOf('quarantine_event')).toContain('quarantine_event_2031_01');
  expect(await partitionsOf('delivery')).not.toContain('delivery_2031_02');
  expect(oldBefore({ ...ALL, messages: 30 }, 'logs', NOW)).toBe(NOW - 30 * DAY_MS);
  expect(oldBefore({ ...ALL, logs: undefined }, 'logs', NOW)).toBe(NOW - 90 * DAY_MS);
  expect(oldBefore({ ...ALL, messages: undefined }, 'messages', NOW)).toBeUndefined();
});

test('the previous month stays whatever the period, so that nobody makes it again', async () => {
  await enforce({ logs: 7, messages: 7, apiLogs: 7, audit: 7 });
  expect((await partitionsOf('message'))[0]).toBe('message_2031_05');
  expect(await ensurePartitions(fixture.db, NOW)).toEqual([]);
});

test('a run that was parked for longer than everything is kept writes its rows when it goes on', async () => {
  await enforce();
  const parkedMs = NOW - 180 * DAY_MS;
  expect(await insertTrigger(parkedMs)).toBe('workflow_run_past');
  await fixture.db.query(
    `insert into recipient_run_segment (recipient_run_id, segment, status, error_count, steps, executed_at)
     values ($1, 1, 2, 0, '[]', now())`,
    [idAt(parkedMs)],
  );
  // The bound of the past moves along, and what is in it stays until it is a year older than the period.
  await enforce(ALL, NOW + 31 * DAY_MS);
  const rows = () =>
    fixture.db.query<{ table: string }>(
      `select tableoid::regclass::text as table
       from workflow_run
       where id = $1`,
      [idAt(parkedMs)],
    );
  expect(await rows()).toEqual([{ table: 'workflow_run_past' }]);
  expect(await insertTrigger(NOW - 80 * DAY_MS)).toBe('workflow_run_past');
  await ensurePartitions(fixture.db, NOW + 300 * DAY_MS);
  await enforce(ALL, parkedMs + 457 * DAY_MS);
  expect(await rows()).toEqual([]);
});

test('a month of triggers stays while an open batch has activities of it', async () => {
  const triggeredMs = Date.UTC(2031, 0, 20);
  await insertTrigger(triggeredMs);
  await fixture.db.query(
    `insert into batch_window (environment_id, key, id, opened_at, closes_at, joined)
     values (1, gen_random_uuid(), 77, now(), now(), 1)`,
  );
  await fixture.db.query(
    `insert into batch_activity (window_id, run_id, workflow_run_id, accepted_at)
     values (77, $1, $1, now())`,
    [idAt(triggeredMs)],
  );
  const { kept } = await enforce(MESSAGES);
  expect(kept).toEqual([
    'batch_activity_2031_01',
    'batch_activity_2031_02',
    'workflow_run_2031_01',
    'workflow_run_2031_02',
  ]);
  // Closed; its run is parked with the batch that it came out of.
  await fixture.db.query('delete from batch_window');
  await fixture.db.query(
    `insert into chunk (slot, stream, sequence, lane_id, kind, run_count, slice_count, accepted_at, due_at, body)
     values (42, 1, 9, 4, 0, 1, 1, now(), now() + interval '1 day', $1)`,
    [JSON.stringify({ triggers: [], runs: [[0, 'ada', { batch: { window: 77, order: 'asc' } }]] })],
  );
  expect((await enforce(MESSAGES)).kept).toHaveLength(4);
  await fixture.db.query('truncate chunk_42');
  expect((await enforce(MESSAGES)).kept).toEqual([]);
  expect((await partitionsOf('workflow_run'))[0]).toBe('workflow_run_2031_03');
});

test('a month of triggers stays while a run that it began waits for an event', async () => {
  await fixture.db.query(
    `insert into event_wait (run_id, ref, environment_id, collection, recipient_id, kind, source, event, workflow_run_id,
                             lane_id, flow, trigger, state, expires_at)
     values ($1, 'wait_1', 1, '$users', 'ada', 'message', 'comment', 'seen', $1, 4, 0, '{}', '{}', now())`,
    [idAt(Date.UTC(2031, 1, 3))],
  );
  const { kept, dropped } = await enforce(MESSAGES);
  expect(kept).toEqual(['batch_activity_2031_02', 'workflow_run_2031_02']);
  expect(dropped).toContain('workflow_run_2031_01');
});

test('nobody waits for a partition that cannot be had: it is dropped when its readers are gone', async () => {
  const { db } = fixture;
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const reader = db.transaction(async (tx) => {
    await tx.query('select from workflow_run limit 1');
    await released;
  });
  const dropping = enforce();
  const tried = async () => {
    const rows = await db.query(
      `select
       from pg_locks
       where relation = 'workflow_run'::regclass
         and mode = 'AccessExclusiveLock'
         and not granted`,
    );
    return rows.length > 0 ? true : undefined;
  };
  await waitFor('an attempt', tried, 20_000);
  expect(await insertTrigger(NOW)).toBe('workflow_run_2031_06');
  expect(await partitionsOf('workflow_run')).toContain('workflow_run_2031_01');
  release();
  await reader;
  expect((await dropping).dropped).toContain('workflow_run_2031_01');
});

test('after more attempts than there are it is given up until the next time', async () => {
  const { db } = fixture;
  await db.transaction(async (tx) => {
    await tx.query('select from quarantine_event limit 1');
    const { kept } = await enforce(AUDIT);
    expect(kept).toContain('quarantine_event_2031_01');
  });
  expect((await enforce(AUDIT)).kept).toEqual([]);
});

test('a partition that was detached and not dropped is dropped the next time', async () => {
  await fixture.db.query('alter table message detach partition message_2031_01');
  const { dropped } = await enforce({
    logs: undefined,
    messages: undefined,
    apiLogs: undefined,
    audit: undefined,
  });
  expect(dropped).toEqual(['message_2031_01']);
});

test('badge counts that include what is dropped are forgotten with it', async () => {
  const { db } = fixture;
  await db.query(
    `insert into feed_settled (environment_id, recipient_id, channel_id, settled_before, recounted_at)
     values (1, 'ada', gen_random_uuid(), gen_random_uuid(), now())`,
  );
  await enforce(MESSAGES);
  expect(await db.query('select from feed_settled')).toEqual([]);
});

test('lines of the audit log go when they are old', async () => {
  const entry = { author: 'mara', reason: '', action: 'hold', scope: {}, concerned: {} };
  for (const days of [100, 95, 80])
    await writeAudit(fixture.db, { ...entry, reason: `${days}` }, NOW - days * DAY_MS);
  await enforce(AUDIT);
  const lines = await fixture.db.query('select reason from audit_log order by id');
  expect(lines).toEqual([{ reason: '80' }]);
});
