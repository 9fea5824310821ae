import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BULK, laneOf } from '../../src/engine/log/chunk.ts';
import { RUN_STATUS } from '../../src/engine/status.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { deleteRecipient } from '../../src/recipients/delete-recipients.ts';
import { identify } from '../../src/recipients/identify.ts';
import { deleteSchedules, updateSchedules } from '../../src/schedules/change-schedules.ts';
import type { NewSchedule } from '../../src/schedules/create-schedules.ts';
import { readDue } from '../../src/schedules/due-schedules.ts';
import { fireSchedules } from '../../src/schedules/fire-schedules.ts';
import * as rows from '../support/engine-rows.ts';
import { appendedRuns, delayStep, feedStep } from '../support/engine-world.ts';
import { createScheduleWorld, daily, type ScheduleWorld } from './support.ts';

let schedules: ScheduleWorld;
beforeEach(async () => {
  schedules = await createScheduleWorld();
});
afterEach(() => schedules.close());

const at = (text: string): void => schedules.world.clock.moveTo(Date.parse(text));
const ADA = { collection: '$users', id: 'ada' };
const MINUTE_MS = 60_000;

async function ada(properties: JsonObject): Promise<void> {
  await identify(schedules.world.ctx, { ...ADA, properties });
}

/** When a schedule fires, so many times; the clock is moved to each, and nothing fires in between. */
async function occurrences(
  schedule: Partial<NewSchedule>,
  count: number,
): Promise<(string | null)[]> {
  const { id, next_occurrence_at } = await schedules.create(schedule);
  let next = next_occurrence_at;
  const times: (string | null)[] = [];
  while (times.length < count) {
    times.push(next?.toISOString() ?? null);
    if (!next) break;
    schedules.world.clock.moveTo(next.getTime() - 1);
    expect(await schedules.fire()).toEqual([]);
    schedules.world.clock.move(1);
    expect(await schedules.fire()).toHaveLength(1);
    expect(await schedules.fire()).toEqual([]);
    const row = await schedules.row(id);
    expect(row.last_occurrence_at).toEqual(next);
    next = row.next_occurrence_at;
  }
  return times;
}

describe('a schedule', () => {
  test('fires once at its time, and then never again', async () => {
    at('2026-12-01T00:00:00Z');
    const scheduledMs = Date.parse('2026-12-24T18:00:00Z');
    expect(await occurrences({ scheduledMs }, 2)).toEqual(['2026-12-24T18:00:00.000Z', null]);
  });

  test('in the past fires at once', async () => {
    const scheduledMs = schedules.world.clock.now() - MINUTE_MS;
    await schedules.create({ scheduledMs });
    expect(await schedules.fire()).toHaveLength(1);
  });

  test('repeats at nine on the recipient’s clock when clocks go forward and back', async () => {
    await ada({ timezone: 'America/New_York' });
    at('2026-03-07T00:00:00Z');
    const repeats = [daily(9)];
    expect(await occurrences({ repeats }, 3)).toEqual([
      '2026-03-07T14:00:00.000Z',
      '2026-03-08T13:00:00.000Z',
      '2026-03-09T13:00:00.000Z',
    ]);
    await schedules.world.test.db.query('delete from schedule');
    at('2026-10-31T00:00:00Z');
    expect(await occurrences({ repeats: [daily(1, 30)] }, 3)).toEqual([
      '2026-10-31T05:30:00.000Z',
      '2026-11-01T05:30:00.000Z',
      '2026-11-02T06:30:00.000Z',
    ]);
  });

  test('on the 31st fires on leap days, and past 2038-01-19', async () => {
    at('2028-01-31T12:00:00Z');
    const repeats = [{ frequency: 'monthly', day_of_month: 31 }];
    expect(await occurrences({ repeats }, 2)).toEqual([
      '2028-02-29T00:00:00.000Z',
      '2028-03-31T00:00:00.000Z',
    ]);
    await schedules.world.test.db.query('delete from schedule');
    at('2038-01-19T03:14:07Z');
    expect(await occurrences({ repeats: [{ frequency: 'hourly', minutes: 15 }] }, 2)).toEqual([
      '2038-01-19T03:15:00.000Z',
      '2038-01-19T04:15:00.000Z',
    ]);
  });

  test('begins to repeat with its start, and stops with its end', async () => {
    at('2026-05-01T00:00:00Z');
    const times = await occurrences(
      {
        repeats: [{ frequency: 'weekly', interval: 2, hours: 8 }],
        scheduledMs: Date.parse('2026-05-12T06:00:00Z'),
        endingMs: Date.parse('2026-06-09T08:00:00Z'),
      },
      4,
    );
    expect(times).toEqual([
      '2026-05-12T08:00:00.000Z',
      '2026-05-26T08:00:00.000Z',
      '2026-06-09T08:00:00.000Z',
      null,
    ]);
  });

  test('that was missed for days fires once, and goes on after now', async () => {
    at('2026-05-01T00:00:00Z');
    const { id } = await schedules.create({ repeats: [daily(9)] });
    at('2026-05-10T15:00:00Z');
    expect(await schedules.fire()).toHaveLength(1);
    const row = await schedules.row(id);
    expect(row.last_occurrence_at?.toISOString()).toBe('2026-05-01T09:00:00.000Z');
    expect(row.next_occurrence_at?.toISOString()).toBe('2026-05-11T09:00:00.000Z');
  });

  test('repeats nothing when the clock is put back, not even when it is changed then', async () => {
    at('2026-05-01T00:00:00Z');
    const { id } = await schedules.create({ repeats: [daily(9)] });
    at('2026-05-01T09:00:01Z');
    expect(await schedules.fire()).toHaveLength(1);
    at('2026-05-01T07:00:00Z');
    expect(await schedules.fire()).toEqual([]);
    const change = { repeats: [daily(9)] };
    const [row] = await updateSchedules(schedules.world.ctx, { ids: [id], change });
    expect(row?.next_occurrence_at?.toISOString()).toBe('2026-05-02T09:00:00.000Z');
    at('2026-05-01T09:00:02Z');
    expect(await schedules.fire()).toEqual([]);
  });

  test('follows its recipient into another time zone, also into one that is ahead', async () => {
    at('2026-05-01T00:00:00Z');
    await ada({ timezone: 'America/New_York' });
    const { id } = await schedules.create({ repeats: [daily(9)] });
    await ada({ timezone: 'Europe/Berlin' });
    expect(await schedules.fire()).toEqual([]);
    expect((await schedules.row(id)).next_occurrence_at?.toISOString()).toBe(
      '2026-05-01T07:00:00.000Z',
    );
    await ada({ name: 'Ada' });
    const due = await readDue(schedules.world.test.db, schedules.world.clock.now());
    expect(due.schedules).toEqual([]);
  });

  test('of a user who is deleted is gone', async () => {
    await schedules.create({ scheduledMs: schedules.world.clock.now() });
    await deleteRecipient(schedules.world.ctx, ADA);
    expect(await schedules.fire()).toEqual([]);
  });
});

describe('an occurrence', () => {
  test('is of the version that is published then, on the bulk lane, without fan-out, with what the schedule says', async () => {
    const { world } = schedules;
    const { workflowKey, versionId } = await world.workflow({ steps: [feedStep('First')] });
    const { id } = await schedules.create({
      workflowKey,
      recipient: { collection: 'projects', id: 'p1' },
      actor: { collection: 'projects', id: 'p2' },
      tenant: 'acme',
      data: { word: 'hello "you"' },
      scheduledMs: world.clock.now() + MINUTE_MS,
    });
    const later = await world.publish(workflowKey, { steps: [feedStep('Second')] });
    expect(later).not.toBe(versionId);
    world.clock.move(MINUTE_MS);
    expect(await schedules.fire()).toMatchObject([
      {
        laneId: laneOf(world.ctx.environment.id, BULK),
        recipient: ['projects', 'p1'],
        state: undefined,
        trigger: {
          key: workflowKey,
          version: later,
          actor: ['projects', 'p2'],
          tenant: 'acme',
          data: { word: 'hello "you"' },
          cancel: `$schedule:${id}`,
          settings: {},
        },
      },
    ]);
  });

  test('that is the last one of a workflow that is inactive becomes a run that is cancelled and says why', async () => {
    const { world } = schedules;
    const { workflowKey } = await world.workflow({ steps: [feedStep('Off')] });
    const { id } = await schedules.create({ workflowKey, scheduledMs: world.clock.now() });
    await world.test.db.query('update workflow set active = false where key = $1', [workflowKey]);
    await fireOne(id);
    const refs = schedules.appended();
    const [fired] = await schedules.fired(refs);
    expect(fired).toMatchObject({ trigger: { key: workflowKey, cancel: `$schedule:${id}` } });
    expect((await schedules.row(id)).next_occurrence_at).toBeNull();
    await world.executeAll(refs);
    const runId = fired?.trigger.id ?? '';
    expect(await rows.runsOf(world.test.db, runId)).toMatchObject([
      { status: RUN_STATUS.cancelled, steps: [{ outcome: 'halted', reason: 'workflow_inactive' }] },
    ]);
    expect(await rows.messagesOf(world.test.db, runId)).toEqual([]);
  });

  test('of a workflow that is inactive is passed over when another follows', async () => {
    at('2026-05-01T00:00:00Z');
    const { workflowKey } = await schedules.world.workflow({ steps: [feedStep('Off')] });
    const { id } = await schedules.create({ workflowKey, repeats: [daily(9)] });
    await schedules.world.test.db.query('update workflow set active = false where key = $1', [
      workflowKey,
    ]);
    at('2026-05-01T09:00:00Z');
    expect(await schedules.fire()).toEqual([]);
    const row = await schedules.row(id);
    expect(row.last_occurrence_at).toBeNull();
    expect(row.next_occurrence_at?.toISOString()).toBe('2026-05-02T09:00:00.000Z');
  });

  test('is handed over once though two clocks read it and hand it over at once', async () => {
    const { world } = schedules;
    const now = world.clock.now();
    const row = await schedules.create({ scheduledMs: now });
    const { schedules: page } = await readDue(world.test.db, now);
    const streams = await Promise.all([schedules.openStream(), schedules.openStream()]);
    const won = await Promise.all(streams.map((stream) => fireSchedules(stream, page, now)));
    await Promise.all(streams.map((stream) => stream.close()));
    expect(won.sort()).toEqual([false, true]);
    expect(await schedules.fired(schedules.appended())).toHaveLength(1);
    expect((await schedules.row(row.id)).last_occurrence_at).toEqual(new Date(now));
  });

  test('of a page in which one changed since it was read is not handed over, nor are the others', async () => {
    const { world } = schedules;
    const now = world.clock.now();
    const changed = await schedules.create({ scheduledMs: now });
    const gone = await schedules.create({ scheduledMs: now });
    const stays = await schedules.create({ scheduledMs: now });
    const { schedules: page } = await readDue(world.test.db, now);
    await updateSchedules(world.ctx, { ids: [changed.id], change: { data: { new: true } } });
    await deleteSchedules(world.ctx, { ids: [gone.id] });
    const stream = await schedules.openStream();
    expect(await fireSchedules(stream, page, now)).toBe(false);
    await stream.close();
    expect(schedules.appended()).toEqual([]);
    expect((await schedules.row(stays.id)).last_occurrence_at).toBeNull();
    const fired = await schedules.fire();
    expect(fired.map(({ trigger }) => JSON.stringify(trigger.data)).sort()).toEqual([
      '{"new":true}',
      '{}',
    ]);
  });

  test('that is handed over and not begun, or paused, ends when its schedule is deleted', async () => {
    const { world } = schedules;
    const { workflowKey } = await world.workflow({ steps: [delayStep(60), feedStep('Never')] });
    const one = { workflowKey, scheduledMs: world.clock.now() };
    const paused = await schedules.create(one);
    const queued = await schedules.create({ ...one, recipient: { ...ADA, id: 'bob' } });
    await schedules.create({ ...one, recipient: { ...ADA, id: 'eve' } });
    await fireOne(paused.id);
    const waiting = appendedRuns(await world.execute(schedules.appended()));
    expect(waiting).toHaveLength(1);
    await fireOne(queued.id);
    const refs = schedules.appended();
    await deleteSchedules(world.ctx, { ids: [paused.id, queued.id] });
    await world.executeAll([...refs, ...waiting]);
    const runs = await world.test.db.query<{ recipient_id: string; status: number }>(
      `select r.recipient_id, coalesce(s.status, r.status) as status
       from recipient_run r
       left join recipient_run_segment s on s.recipient_run_id = r.id
       order by 1`,
    );
    expect(runs).toEqual([
      { recipient_id: 'ada', status: RUN_STATUS.cancelled },
      { recipient_id: 'bob', status: RUN_STATUS.cancelled },
    ]);
    await schedules.fire();
  });

  /** Hands over the occurrence of one schedule. */
  async function fireOne(id: string): Promise<void> {
    const { world } = schedules;
    const { schedules: page } = await readDue(world.test.db, world.clock.now());
    const stream = await schedules.openStream();
    const chosen = page.filter((schedule) => schedule.id === id);
    expect(await fireSchedules(stream, chosen, world.clock.now())).toBe(true);
    await stream.close();
  }
});

describe('many that are due at once', () => {
  test('are handed over in pages, each once', async () => {
    await schedules.makeDue(
      schedules.world.ctx.environment.id,
      1_300,
      new Date(schedules.world.clock.now()),
    );
    const { schedules: page } = await readDue(schedules.world.test.db, schedules.world.clock.now());
    expect(page.length).toBeLessThanOrEqual(500);
    const fired = await schedules.fire();
    expect(fired).toHaveLength(1_300);
    expect(new Set(fired.map(({ recipient }) => recipient)).size).toBe(1_300);
  });

  test('of one environment do not delay those of another by more than a page', async () => {
    const { world } = schedules;
    const [other] = await world.test.db.query<{ id: number }>(
      `select id from environment where slug = 'production'`,
    );
    const now = world.clock.now();
    await schedules.makeDue(world.ctx.environment.id, 1_300, new Date(now - MINUTE_MS));
    await schedules.makeDue(other?.id ?? 0, 3, new Date(now));
    const { schedules: page } = await readDue(world.test.db, now);
    expect(page.filter(({ environment_id: id }) => id === other?.id)).toHaveLength(3);
  });

  test('with much data are read a few at a time', async () => {
    const data = { text: 'x'.repeat(3 * 1024 * 1024) };
    const scheduledMs = schedules.world.clock.now();
    for (let i = 0; i < 3; i++) await schedules.create({ data, scheduledMs });
    const { schedules: page } = await readDue(schedules.world.test.db, scheduledMs);
    expect(page).toHaveLength(2);
    expect(await schedules.fire()).toHaveLength(3);
  });
});
