import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFreshness } from '../../src/log-store/freshness.ts';
import { createLogSearch, type LogSearch } from '../../src/log-store/log-search.ts';
import { startTestApi, type TestAccount, type TestApi } from '../api/api-server.ts';
import { silentLog } from '../support/log.ts';
import { createStoreWorld } from './store-world.ts';
import { write } from './written.ts';

let api: TestApi;
let account: TestAccount;
beforeAll(async () => {
  api = await startTestApi();
  account = await api.account();
});
afterAll(() => api?.close());

const events = (query = '', key = account.service_token) =>
  api.call('GET', `/control/v1/events${query}`, { key });

test('events are found by what their messages are about, with how old the answer is', async () => {
  const environmentId = account.development.id;
  await write(api.ctx.db, { environmentId, recipient: 'ada', tenant: 'acme' });
  await write(api.ctx.db, { environmentId, recipient: 'p1', collection: 'projects' });
  const { body } = await events('?recipient=ada&type=sent,bounced&tenant=acme&workflow=welcome');
  expect(body).toMatchObject({
    entries: [
      {
        __typename: 'LogEvent',
        type: 'message.sent',
        recipient: 'ada',
        tenant: 'acme',
        channel_type: 'email',
      },
    ],
    page_info: { after: null, before: null, page_size: 50 },
    lagging: false,
    source: 'live',
  });
  expect(Math.abs(Date.parse(body.data_as_of) - Date.now())).toBeLessThan(60_000);
  const [event] = body.entries;
  const ofMessage = await events(`?message_id=${event.message_id}&page_size=1`);
  expect(ofMessage.body.entries).toEqual([event]);
  const rest = await events(
    `?workflow_recipient_run_id=${event.workflow_recipient_run_id}&page_size=1&after=${ofMessage.body.page_info.after}`,
  );
  expect(rest.body.entries).toMatchObject([{ type: 'message.queued' }]);
  const ofObject = await events('?recipient=p1&collection=projects');
  expect(ofObject.body.entries[0].recipient).toEqual({ id: 'p1', collection: 'projects' });
  const counts = await events('/counts?recipient=ada');
  expect(
    counts.body.entries.map((row: { type: string; count: number }) => [row.type, row.count]),
  ).toEqual([
    ['message.queued', 1],
    ['message.sent', 1],
  ]);
});

test('another account, another environment and a caller without a service token see nothing of it', async () => {
  const stranger = await api.account();
  expect((await events('', stranger.service_token)).body.entries).toEqual([]);
  expect((await events('?environment=production')).body.entries).toEqual([]);
  expect((await events('', account.secretKey)).status).toBe(403);
  expect((await events('/counts', account.secretKey)).status).toBe(403);
});

test.each([
  ['from', '?from=yesterday'],
  ['from', '?from=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z'],
  ['from', '/counts?from=2026-01-01T00:00:00Z&until=2026-03-01T00:00:00Z'],
  ['from', '?from=2001-01-01T00:00:00Z&until=2026-03-01T00:00:00Z'],
  ['until', '?until=soon'],
  ['type', '?type=opened'],
  ['message_id', '?message_id=1'],
  ['channel_id', '?channel_id=in-app'],
  ['workflow_recipient_run_id', '?workflow_recipient_run_id=1'],
  ['collection', '?collection=projects'],
  ['after', '?after=x'],
  ['page_size', '?page_size=51'],
])('a filter that makes no sense is refused by its name: %s of %s', async (field, query) => {
  const { status, body } = await events(query);
  expect(status).toBe(422);
  expect(JSON.stringify(body)).toContain(field);
});

test('while the store is filled for the first time, and while it does not answer, the live tables do', async () => {
  const world = await createStoreWorld();
  const { db, wire } = world;
  const search: LogSearch = createLogSearch({
    ...{ url: wire.url, clock: api.ctx.clock, log: silentLog },
  });
  const one = await write(db);
  const filter = { environmentId: 1, fromMs: Date.now() - 60_000, untilMs: Date.now() + 60_000 };
  const ask = async () => {
    const { answer, source, lagging } = await search.searchEvents(db, filter, { size: 50 });
    return { ids: answer.events.map(({ id }) => id).sort(), source, lagging };
  };
  const live = { ids: [...one.eventIds].sort(), source: 'live', lagging: false };
  expect(await ask()).toEqual(live);
  expect(wire.statements).toEqual([]);
  const shipping = await world.ship();
  await shipping.settled();
  // The stand-in knows nothing of searches.
  const before = wire.statements.length;
  expect(await ask()).toEqual(live);
  const asked = wire.statements.slice(before).filter(({ query }) => query.includes('from event'));
  expect(asked).not.toEqual([]);
  await search.close();
  await world.close();
});

test('an answer is as old as what is missing of its environment', async () => {
  const world = await createStoreWorld();
  const { db } = world;
  expect(await readFreshness(db, 1)).toBeUndefined();
  const shipping = await world.ship();
  await shipping.settled();
  await shipping.close();
  const [row] = await db.query<{ at: Date }>('select shipped_at as at from log_shipper');
  const dataAsOf = row?.at;
  expect(await readFreshness(db, 1)).toMatchObject({ dataAsOf, isFilling: false });
  const before = new Date(Date.now() - 3_600_000);
  await db.query(
    `insert into log_aside (environment_id, at, source, rows, ids)
     values (2, $1, 1, 0, '{}')`,
    [before],
  );
  expect(await readFreshness(db, 2)).toMatchObject({ dataAsOf: before, isFilling: false });
  expect(await readFreshness(db, 1)).toMatchObject({ dataAsOf, isFilling: false });
  const longBefore = new Date(Date.now() - 7_200_000);
  await db.query('insert into log_gap (from_at, until_at) values ($1, now())', [longBefore]);
  expect(await readFreshness(db, 1)).toMatchObject({ dataAsOf: longBefore, isFilling: false });
  await db.query('insert into log_gap (until_at) values (now())');
  expect(await readFreshness(db, 1)).toMatchObject({ isFilling: true });
  await world.close();
});
