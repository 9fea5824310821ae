import { plainArray, textArray } from '../db/array-literal.ts';
import { sqlState } from '../db/database.ts';
import type { BulkClaim, BulkStream, BulkTrigger } from '../engine/bulk-stream.ts';
import { faultPoint } from '../lib/fault-point.ts';
import { isJsonObject, type Json } from '../lib/json.ts';
import type { Logger } from '../lib/log.ts';
import { scheduleCancellationKey } from '../lib/schedule-source.ts';
import { USERS } from '../recipients/reference.ts';
import { chooseTimeZone } from '../workflows/time-zone.ts';
import type { DueSchedule } from './due-schedules.ts';
import { createNextTimes, type NextTimes } from './next-time.ts';

/** What becomes of a row of the page. */
type Move = {
  readonly schedule: DueSchedule;
  readonly lastMs: number | undefined;
  readonly nextMs: number | undefined;
  readonly trigger: BulkTrigger | undefined;
};

/**
 * The same; a schedule that the database refuses is passed over, so that it keeps no others from firing. False: not all of
 * them were handed over.
 */
export async function fireOrPassOver(
  stream: BulkStream,
  page: readonly DueSchedule[],
  around: { readonly nowMs: number; readonly log: Logger },
): Promise<boolean> {
  try {
    return await fireSchedules(stream, page, around.nowMs);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const [first, ...others] = page;
    if (first && others.length === 0) {
      around.log.error({ err: error, schedule: first.id }, 'a schedule was refused; passed over');
      return fireSchedules(stream, [{ ...first, version_id: null }], around.nowMs);
    }
    const middle = Math.ceil(page.length / 2);
    const isFirst = await fireOrPassOver(stream, page.slice(0, middle), around);
    const isSecond = await fireOrPassOver(stream, page.slice(middle), around);
    return isFirst && isSecond;
  }
}

/** Errors in the data (SQLSTATE class 22) or past a limit of PostgreSQL (54): trying again cannot help. */
function isRefusal(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && (state.startsWith('22') || state.startsWith('54'));
}

/**
 * Moves the schedules of a page on, and appends a trigger for each that is due, in one statement. False: one of them
 * changed since it was read, and nothing was written.
 */
export async function fireSchedules(
  stream: BulkStream,
  page: readonly DueSchedule[],
  nowMs: number,
): Promise<boolean> {
  const nextTimes = createNextTimes();
  const moves = page.map((schedule) => moveOn(schedule, nowMs, nextTimes));
  const triggers = moves.flatMap(({ trigger }) => (trigger ? [trigger] : []));
  faultPoint('schedule.before-append');
  if (triggers.length === 0) {
    const rows = await stream.session.query(MOVE, moveValues(moves));
    return rows.length > 0;
  }
  const claim: BulkClaim = {
    name: 'append_schedules',
    sql: claimSql,
    values: () => moveValues(moves),
    appended: () => faultPoint('schedule.after-append'),
  };
  return (await stream.appendTriggers(triggers, claim)) !== undefined;
}

function moveOn(schedule: DueSchedule, nowMs: number, nextTimes: NextTimes): Move {
  const { timezone } = chooseTimeZone(schedule.recipient_timezone, schedule.environment_timezone);
  const timing = {
    repeats: schedule.repeats,
    scheduledMs: schedule.scheduled_at?.getTime(),
    startMs: schedule.starts_at.getTime(),
    endingMs: schedule.ending_at?.getTime(),
  };
  const lastMs = schedule.last_occurrence_at?.getTime();
  const dueMs = schedule.next_occurrence_at?.getTime();
  if (dueMs === undefined || dueMs > nowMs) {
    // Woken because its recipient is in another time zone.
    const nextMs = nextTimes.first(timing, { nowMs, lastMs, timezone });
    return { schedule, lastMs, nextMs, trigger: undefined };
  }
  const nextMs = nextTimes.following(timing, { nowMs, dueMs, timezone });
  // Of an inactive workflow the last occurrence becomes a run that ends as cancelled, so that it is not lost in silence.
  const isHandedOver = schedule.is_active === true || nextMs === undefined;
  const trigger = isHandedOver ? triggerOf(schedule) : undefined;
  return { schedule, lastMs: trigger ? dueMs : lastMs, nextMs, trigger };
}

function triggerOf(schedule: DueSchedule): BulkTrigger | undefined {
  const { version_id: versionId, collection, recipient_id: id } = schedule;
  if (versionId === null) return undefined;
  return {
    dataText: schedule.data,
    request: {
      environmentId: schedule.environment_id,
      workflowKey: schedule.workflow_key,
      versionId,
      recipients: [{ recipient: collection === USERS ? id : { id, collection } }],
      actor: actorOf(schedule.actor),
      tenant: schedule.tenant,
      data: {},
      cancellationKey: scheduleCancellationKey(schedule.id),
      fanOut: false,
      settings: {},
      ...(schedule.api_key_id === null ? {} : { apiKeyId: schedule.api_key_id }),
    },
  };
}

function actorOf(actor: Json): BulkTrigger['request']['actor'] {
  if (typeof actor === 'string') return actor;
  return isJsonObject(actor)
    ? { id: String(actor.id), collection: String(actor.collection) }
    : null;
}

function moveValues(moves: readonly Move[]): unknown[] {
  return [
    plainArray(moves.map(({ schedule }) => schedule.id)),
    plainArray(moves.map(({ schedule }) => schedule.version)),
    textArray(moves.map(({ lastMs }) => isoOrNull(lastMs))),
    textArray(moves.map(({ nextMs }) => isoOrNull(nextMs))),
    textArray(moves.map(({ schedule }) => schedule.recipient_timezone)),
    moves.length,
  ];
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}

/**
 * The rows' step to their next occurrences, if all of them are as they were read: the lock waits for whoever changes
 * one, and then sees another version.
 */
function claimSql(first: number): string {
  const p = (offset: number): string => `$${first + offset}`;
  return `due as (
    select *
    from unnest(${p(0)}::uuid[], ${p(1)}::int[], ${p(2)}::timestamptz[], ${p(3)}::timestamptz[], ${p(4)}::text[])
      as d(id, version, last_at, next_at, timezone)
  ), locked as (
    select s.id
    from schedule s
    join due on due.id = s.id and due.version = s.version
    order by s.id
    for update of s
  ), claim as (
    select 1 as granted
    where (select count(*) from locked) = ${p(5)}::int
  ), moved as (
    update schedule s
    set last_occurrence_at = due.last_at,
        next_occurrence_at = due.next_at,
        wake_at = due.next_at,
        recipient_timezone = due.timezone,
        version = s.version + 1
    from due
    where s.id = due.id
      and exists (select from claim)
  )`;
}

const MOVE = { name: 'move_schedules', text: `with ${claimSql(1)} select granted from claim` };
