import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publishWorkflows } from '../../src/control/publish.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';
import { feedStep } from '../support/engine-world.ts';

let api: TestApi;
let account: TestAccount;
beforeAll(async () => {
  api = await startTestApi();
  account = await api.account();
  await publishWorkflows(account.environment, [
    { key: 'reminder', content: { name: 'Reminder', steps: [feedStep('Hi')] } },
  ]);
});
afterAll(() => api.close());

const call = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: unknown) =>
  api.call(method, url, { key: account.secretKey, ...(body === undefined ? {} : { body }) });

const soon = new Date(Date.now() + 3_600_000).toISOString();
const nine = { frequency: 'daily', days: 'weekdays', hours: 9 };
const one = { workflow: 'reminder', recipients: ['ada'] };
const NOBODY = '00000000-0000-4000-8000-000000000000';

describe('schedules', () => {
  test('are created for each recipient, who is identified first, with tenant and actor', async () => {
    const { status, body } = await call('POST', '/v1/schedules', {
      workflow: 'reminder',
      recipients: [
        { id: 'mara', name: 'Mara', timezone: 'Asia/Tokyo' },
        { id: 'p1', collection: 'projects', title: 'One' },
        'mara',
      ],
      actor: { id: 'jon', name: 'Jon' },
      tenant: { id: 'acme', name: 'Acme' },
      data: { word: 'x' },
      repeats: [nine],
      ending_at: '2099-01-01T00:00:00Z',
    });
    expect(status).toBe(200);
    expect(body).toHaveLength(2);
    expect(body[0]).toMatchObject({
      __typename: 'Schedule',
      workflow: 'reminder',
      recipient: { __typename: 'User', id: 'mara', name: 'Mara' },
      actor: { __typename: 'User', id: 'jon', name: 'Jon' },
      tenant: 'acme',
      data: { word: 'x' },
      repeats: [
        {
          __typename: 'ScheduleRepeat',
          frequency: 'daily',
          interval: 1,
          days: ['mon', 'tue', 'wed', 'thu', 'fri'],
          hours: 9,
          minutes: 0,
          day_of_month: null,
        },
      ],
      scheduled_at: null,
      last_occurrence_at: null,
      // Nine o'clock in Tokyo.
      next_occurrence_at: expect.stringMatching(/T00:00:00.000Z$/),
    });
    expect(body[1]).toMatchObject({
      recipient: { __typename: 'Object', id: 'p1', collection: 'projects' },
      next_occurrence_at: expect.stringMatching(/T09:00:00.000Z$/),
    });
  });

  test('are listed of a workflow, of a tenant, of recipients, of a user or an object, the newest first', async () => {
    const made = await call('POST', '/v1/schedules', {
      workflow: 'reminder',
      recipients: ['zoe', { id: 'p9', collection: 'projects' }],
      tenant: 'globex',
      scheduled_at: soon,
    });
    const [zoe, project] = made.body.map(({ id }: { id: string }) => id);
    const ids = async (url: string): Promise<string[]> => {
      const { status, body } = await call('GET', url);
      expect(status).toBe(200);
      return body.entries.map(({ id }: { id: string }) => id);
    };
    expect((await ids('/v1/schedules?workflow=reminder&tenant=globex')).sort()).toEqual(
      [zoe, project].sort(),
    );
    expect(await ids('/v1/schedules?workflow=reminder&recipients[]=zoe')).toEqual([zoe]);
    expect(
      await ids(
        '/v1/schedules?workflow=reminder&recipients[][id]=p9&recipients[][collection]=projects',
      ),
    ).toEqual([project]);
    expect(await ids('/v1/users/zoe/schedules')).toEqual([zoe]);
    expect(await ids('/v1/users/zoe/schedules?workflow=other')).toEqual([]);
    expect(await ids('/v1/objects/projects/p9/schedules')).toEqual([project]);
    expect((await call('GET', '/v1/schedules')).status).toBe(422);
  });

  test('come in pages, forward and back', async () => {
    await call('POST', '/v1/schedules/bulk/create', {
      schedules: [0, 1, 2, 3, 4].map(() => ({
        workflow: 'reminder',
        recipient: 'paged',
        scheduled_at: soon,
      })),
    });
    const url = '/v1/users/paged/schedules?page_size=2';
    const first = (await call('GET', url)).body;
    const second = (await call('GET', `${url}&after=${first.page_info.after}`)).body;
    const third = (await call('GET', `${url}&after=${second.page_info.after}`)).body;
    const ids = [first, second, third].flatMap(({ entries }) =>
      entries.map(({ id }: { id: string }) => id),
    );
    expect(new Set(ids).size).toBe(5);
    expect(ids).toEqual([...ids].sort().reverse());
    expect(third.page_info.after).toBeNull();
    const back = (await call('GET', `${url}&before=${third.page_info.before}`)).body;
    expect(back.entries).toEqual(second.entries);
    expect((await call('GET', `${url}&after=bm9uc2Vuc2U`)).body.errors[0].field).toBe('after');
  });

  test('are given the same values at once; what is absent stays', async () => {
    const made = await call('POST', '/v1/schedules', {
      ...one,
      recipients: ['u1', 'u2'],
      repeats: [{ frequency: 'hourly' }],
      data: { a: 1 },
    });
    const ids = made.body.map(({ id }: { id: string }) => id);
    const change = { schedule_ids: ids, data: { b: 2 }, tenant: 'acme', actor: 'jon' };
    const changed = await call('PUT', '/v1/schedules', change);
    expect(changed.body).toHaveLength(2);
    for (const schedule of changed.body) {
      expect(schedule).toMatchObject({
        data: { b: 2 },
        tenant: 'acme',
        actor: { id: 'jon' },
        repeats: [{ frequency: 'hourly' }],
        next_occurrence_at: made.body[0].next_occurrence_at,
      });
    }
    const cleared = await call('PUT', '/v1/schedules', {
      schedule_ids: ids,
      data: null,
      tenant: null,
      actor: null,
    });
    expect(cleared.body[0]).toMatchObject({ data: null, tenant: null, actor: null });
  });

  test('with a start and without repeats fire once from then on', async () => {
    const made = await call('POST', '/v1/schedules', { ...one, repeats: [nine] });
    const ids = [made.body[0].id];
    const once = await call('PUT', '/v1/schedules', { schedule_ids: ids, scheduled_at: soon });
    expect(once.body[0]).toMatchObject({
      repeats: [],
      scheduled_at: soon,
      next_occurrence_at: soon,
    });
    const never = await call('PUT', '/v1/schedules', { schedule_ids: ids, scheduled_at: null });
    expect(never.body.errors[0].field).toBe('scheduled_at');
  });

  test('that are deleted are answered as they were, and gone; again is fine', async () => {
    const made = await call('POST', '/v1/schedules', { ...one, scheduled_at: soon });
    const body = { schedule_ids: [made.body[0].id, NOBODY] };
    const gone = await call('DELETE', '/v1/schedules', body);
    expect(gone.body).toMatchObject([{ id: made.body[0].id, recipient: { id: 'ada' } }]);
    expect((await call('DELETE', '/v1/schedules', body)).body).toEqual([]);
    const late = await call('PUT', '/v1/schedules', { ...body, scheduled_at: soon });
    expect(late.status).toBe(404);
  });

  test('in bulk are all created, each for its recipient, or none', async () => {
    const schedule = (recipient: unknown) => ({ workflow: 'reminder', recipient, repeats: [nine] });
    const done = await call('POST', '/v1/schedules/bulk/create', {
      schedules: [schedule('b1'), schedule({ id: 'b2', name: 'Bea' }), schedule('b1')],
    });
    expect(done.body).toMatchObject({
      __typename: 'BulkOperation',
      status: 'completed',
      success_count: 3,
      error_count: 0,
    });
    expect((await call('GET', '/v1/users/b1/schedules')).body.entries).toHaveLength(2);
    const bad = await call('POST', '/v1/schedules/bulk/create', {
      schedules: [schedule('b3'), { workflow: 'reminder', recipient: 'b4' }],
    });
    expect(bad.body.errors[0].field).toBe('schedules[1].scheduled_at');
    expect((await call('GET', '/v1/users/b3/schedules')).body.entries).toEqual([]);
  });

  test('of another environment are not there', async () => {
    const made = await call('POST', '/v1/schedules', { ...one, scheduled_at: soon });
    const key = (await api.account()).secretKey;
    const body = { schedule_ids: [made.body[0].id], scheduled_at: soon };
    expect((await api.call('PUT', '/v1/schedules', { key, body })).status).toBe(404);
    expect((await api.call('DELETE', '/v1/schedules', { key, body })).body).toEqual([]);
    expect((await call('GET', '/v1/users/ada/schedules')).body.entries[0].id).toBe(made.body[0].id);
  });

  test.each([
    [{ recipients: ['a'] }, 'workflow'],
    [{ workflow: 'reminder' }, 'recipients'],
    [{ ...one, recipients: [] }, 'recipients'],
    [{ ...one, recipients: Array(101).fill('a') }, 'recipients'],
    [one, 'scheduled_at'],
    [{ ...one, scheduled_at: 'soon' }, 'scheduled_at'],
    [{ ...one, repeats: [nine], ending_at: 5 }, 'ending_at'],
    [{ ...one, repeats: {} }, 'repeats'],
    [{ ...one, repeats: Array(11).fill(nine) }, 'repeats'],
    [{ ...one, repeats: [nine, { frequency: 'daily', minutes: 3 }] }, 'repeats[1]'],
    [{ ...one, repeats: [nine], data: [] }, 'data'],
  ])('%j is refused for one field', async (body, field) => {
    const answer = await call('POST', '/v1/schedules', body);
    expect(answer.status).toBe(422);
    expect(answer.body.errors[0].field).toBe(field);
  });

  test('of an unknown workflow are a 404, and of ids that are none a 422', async () => {
    const unknown = await call('POST', '/v1/schedules', {
      ...one,
      workflow: 'no',
      repeats: [nine],
    });
    expect(unknown.body.code).toBe('workflow_missing');
    const bad = await call('DELETE', '/v1/schedules', { schedule_ids: ['x'] });
    expect(bad.body.errors[0].field).toBe('schedule_ids[0]');
  });
});
