import { expect, test } from 'vitest';
import type { Database } from '../../src/db/database.ts';
import { lowestUuidAt } from '../../src/lib/address.ts';
import { uuidFromKsuid } from '../../src/lib/ksuid.ts';
import type { EventFilter, LogEventPage, LogStore } from '../../src/log-store/log-store.ts';
import { deleteRecipient, type Given, write } from './written.ts';

export type Subject = {
  readonly db: Database;
  readonly store: LogStore;
  /** An environment that nobody else uses. */
  readonly environment: () => Promise<number>;
  /** Resolves when the store has what was written to the live tables, and nothing that was deleted from them. */
  readonly settled: () => Promise<void>;
};

const HOUR_MS = 3_600_000;
const OTHER_CHANNEL = 'd5fb8b0b-90d3-4c9c-a1a5-5d2f4c1c5f11';

/** What every log store answers. `open` is asked in each test. */
export function conformanceSuite(open: () => Subject): void {
  const nowMs = Date.now();

  const filterOf = (environmentId: number, more: Partial<EventFilter> = {}): EventFilter => ({
    environmentId,
    fromMs: nowMs - 7 * 24 * HOUR_MS,
    untilMs: nowMs + HOUR_MS,
    ...more,
  });

  async function given(environmentId: number, ...all: readonly Given[]) {
    const { db, settled } = open();
    const written = [];
    for (const one of all) written.push(await write(db, { environmentId, ...one }));
    await settled();
    return written;
  }

  async function found(environmentId: number, more: Partial<EventFilter> = {}): Promise<string[]> {
    const page = await open().store.searchEvents(filterOf(environmentId, more), { size: 50 });
    return page.events.map((event) => `${event.recipientId} ${event.type}`);
  }

  test('an event is answered with its own facts and those of its message', async () => {
    const environment = await open().environment();
    const data = { url: 'https://a.example/?q="1"', text: 'zwölf \u2028 \\ \n' };
    const [one] = await given(environment, {
      ...{ recipient: "o'hara", collection: 'projects', tenant: 'acme', workflow: 'digest', data },
      ...{ types: ['link_clicked'], atMs: nowMs - 1_234 },
    });
    const { events } = await open().store.searchEvents(filterOf(environment), { size: 50 });
    expect(events).toEqual([
      {
        id: one?.eventIds[0],
        type: 'link_clicked',
        insertedAt: new Date(nowMs - 1_234).toISOString(),
        data,
        messageId: one?.messageId,
        channelId: '0a4de2b6-6f9c-4f36-9d5e-0a9f4b3a7f10',
        channelType: 'email',
        collection: 'projects',
        recipientId: "o'hara",
        tenant: 'acme',
        workflow: 'digest',
        workflowRunId: one?.workflowRunId,
        recipientRunId: one?.runId,
        stepRef: 'mail',
      },
    ]);
  });

  test('each filter finds what is of it and nothing else', async () => {
    const environment = await open().environment();
    const [ada] = await given(
      environment,
      { recipient: 'ada', tenant: 'acme', workflow: 'welcome', atMs: nowMs - 60_000 },
      { recipient: 'ada', collection: 'projects', workflow: 'digest', atMs: nowMs - 50_000 },
      { recipient: 'bob', tenant: '', channelId: OTHER_CHANNEL, atMs: nowMs - 40_000 },
      { recipient: 'cy', types: ['queued', 'bounced'], atMs: nowMs - 3 * HOUR_MS },
    );
    const recipient = { collection: '$users', id: 'ada' };
    const adaOnly = ['ada sent', 'ada queued'];
    expect(await found(environment, { recipient })).toEqual(adaOnly);
    expect(await found(environment, { tenant: 'acme' })).toEqual(adaOnly);
    expect(await found(environment, { tenant: '' })).toEqual(['bob sent', 'bob queued']);
    expect(await found(environment, { workflow: 'digest' })).toEqual(adaOnly);
    expect(await found(environment, { workflow: 'digest', tenant: 'acme' })).toEqual([]);
    expect(await found(environment, { workflow: 'welcome', tenant: 'acme' })).toEqual(adaOnly);
    expect(await found(environment, { channelId: OTHER_CHANNEL })).toEqual([
      'bob sent',
      'bob queued',
    ]);
    expect(await found(environment, { types: ['bounced', 'read'] })).toEqual(['cy bounced']);
    expect(await found(environment, { messageId: ada?.messageId })).toEqual(adaOnly);
    expect(await found(environment, { runId: ada?.runId })).toEqual(adaOnly);
    expect(await found(environment, { fromMs: nowMs - 55_000, recipient })).toEqual([]);
    expect(await found(environment, { untilMs: nowMs - 2 * HOUR_MS })).toEqual([
      'cy bounced',
      'cy queued',
    ]);
  });

  test('a time from which on is in the answer, a time until which is not', async () => {
    const environment = await open().environment();
    const atMs = nowMs - 5_000;
    await given(environment, { types: ['queued', 'sent', 'delivered'], atMs });
    expect(await found(environment, { fromMs: atMs + 1, untilMs: atMs + 2 })).toEqual(['ada sent']);
  });

  test('another environment sees nothing of it, whatever it asks for', async () => {
    const environment = await open().environment();
    const stranger = await open().environment();
    const [one] = await given(environment, { tenant: 'acme' });
    for (const more of [
      {},
      { messageId: one?.messageId },
      { runId: one?.runId },
      { tenant: 'acme' },
      { recipient: { collection: '$users', id: 'ada' } },
    ]) {
      expect(await found(stranger, more)).toEqual([]);
      expect(await open().store.countsPerHour(filterOf(stranger, more))).toEqual([]);
    }
  });

  test('pages lead through all events newest first and back again, also of one millisecond', async () => {
    const environment = await open().environment();
    const { store } = open();
    // Ids of the same time differ in their random part only.
    const written = await given(
      environment,
      ...Array.from({ length: 11 }, () => ({ types: ['sent'] as const, atMs: nowMs - 9_000 })),
    );
    const ids = written
      .flatMap(({ eventIds }) => eventIds)
      .sort()
      .reverse();
    const filter = filterOf(environment);
    const pages: LogEventPage[] = [await store.searchEvents(filter, { size: 4 })];
    for (let page = pages[0]; page?.pageInfo.after; page = pages.at(-1)) {
      const after = uuidFromKsuid(page.pageInfo.after);
      pages.push(await store.searchEvents(filter, { size: 4, after }));
    }
    expect(pages.map(({ events }) => events.map(({ id }) => id))).toEqual([
      ids.slice(0, 4),
      ids.slice(4, 8),
      ids.slice(8),
    ]);
    expect(pages.at(-1)?.pageInfo.after).toBeNull();
    const before = uuidFromKsuid(pages.at(-1)?.pageInfo.before ?? '');
    const back = await store.searchEvents(filter, { size: 4, before });
    expect(back.events.map(({ id }) => id)).toEqual(ids.slice(4, 8));
    const none = await store.searchEvents(filter, { size: 4, after: lowestUuidAt(nowMs - 20_000) });
    expect(none.events).toEqual([]);
  });

  test('events are counted by hour and type, those that a filter is about', async () => {
    const environment = await open().environment();
    const hourMs = Math.floor(nowMs / HOUR_MS) * HOUR_MS - 5 * HOUR_MS;
    await given(
      environment,
      { atMs: hourMs, types: ['queued', 'sent', 'delivered'] },
      { atMs: hourMs + HOUR_MS - 2, types: ['queued', 'sent'], workflow: 'digest' },
      { atMs: hourMs + HOUR_MS, types: ['queued', 'sent'] },
    );
    const { store } = open();
    const [first, second] = [hourMs, hourMs + HOUR_MS].map((ms) => new Date(ms).toISOString());
    expect(await store.countsPerHour(filterOf(environment))).toEqual([
      { hour: first, type: 'delivered', count: 1 },
      { hour: first, type: 'queued', count: 2 },
      { hour: first, type: 'sent', count: 2 },
      { hour: second, type: 'queued', count: 1 },
      { hour: second, type: 'sent', count: 1 },
    ]);
    const ofDigest = filterOf(environment, { workflow: 'digest', types: ['sent'] });
    expect(await store.countsPerHour(ofDigest)).toEqual([{ hour: first, type: 'sent', count: 1 }]);
  });

  test('more messages than are looked up by index are answered the same', async () => {
    const environment = await open().environment();
    const { db, settled, store } = open();
    await db.query(
      `with written as (
         insert into message
           (id, environment_id, channel_id, channel_type, collection, recipient_id, workflow_run_id,
            recipient_run_id, workflow_key, version_id, step_ref, status, content, inserted_at)
         select (lpad(to_hex($2::bigint + n), 12, '0') || '80008' || lpad(to_hex($1 * 10000 + n), 15, '0'))::uuid, $1,
           '0a4de2b6-6f9c-4f36-9d5e-0a9f4b3a7f10', 1, '$users', 'user-' || n % 5, '00000000-0000-8000-8000-000000000000',
           '00000000-0000-8000-8000-000000000000', 'flood', 1, 'mail', 1, '{}', to_timestamp(($2 + n) / 1000.0)
         from generate_series(1, 2500) as n
         returning id, inserted_at
       )
       insert into message_event (id, message_id, environment_id, type, inserted_at)
       select id, id, $1, 3, inserted_at
       from written`,
      [environment, nowMs - 10_000],
    );
    await settled();
    const recipient = { collection: '$users', id: 'user-3' };
    const { events } = await store.searchEvents(filterOf(environment, { recipient }), { size: 3 });
    expect(events.map(({ recipientId }) => recipientId)).toEqual(['user-3', 'user-3', 'user-3']);
    const all = await store.searchEvents(filterOf(environment), { size: 3 });
    expect(all.events.map(({ recipientId }) => recipientId)).toEqual([
      'user-0',
      'user-4',
      'user-3',
    ]);
    const counts = await store.countsPerHour(filterOf(environment));
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(2_500);
  });

  test('nothing of a deleted user is found, and everything of others', async () => {
    const environment = await open().environment();
    await given(environment, { recipient: 'gone' }, { recipient: 'stays' });
    await deleteRecipient(open().db, { environmentId: environment, recipient: 'gone' });
    await open().settled();
    expect(await found(environment)).toEqual(['stays sent', 'stays queued']);
    const again = { recipient: 'gone', atMs: Date.now() + 2_000 };
    await given(environment, again);
    expect(await found(environment)).toEqual([
      ...['gone sent', 'gone queued'],
      ...['stays sent', 'stays queued'],
    ]);
  });
}
