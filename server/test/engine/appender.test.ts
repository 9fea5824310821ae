import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { TriggerAnswer, TriggerRequest } from '../../src/engine/engine.ts';
import { type Appender, openAppender } from '../../src/engine/log/appender.ts';
import { type ChunkRef, type RunsBody, SLICE_RUNS } from '../../src/engine/log/chunk.ts';
import { forgetIdempotencyKeys, truncateSlot } from '../../src/engine/log/maintain.ts';
import { SLOT_COUNT } from '../../src/engine/log/slots.ts';
import { openStream } from '../../src/engine/log/stream.ts';
import { parseAddress, WORKFLOW_RUN_PART } from '../../src/lib/address.ts';
import { type MovableClock, movableClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startDatabaseProxy } from '../support/database-proxy.ts';
import { silentLog } from '../support/log.ts';
import { idempotencyKey, triggerRequest, users } from '../support/triggers.ts';
import { waitFor } from '../support/wait.ts';

const DAY_MS = 86_400_000;

let test: TestDatabase;
let clock: MovableClock;
const appenders: Appender[] = [];

beforeAll(async () => {
  test = await createTestDatabase({ max: 8 });
});
afterAll(() => test.drop());
beforeEach(async () => {
  clock = movableClock(Date.UTC(2026, 2, 10, 12));
  for (const appender of appenders.splice(0)) await appender.close();
  await test.db.query('truncate chunk, receipt, idempotency');
});

async function open(
  options: {
    url?: string;
    isCrowded?: (laneId: number) => boolean;
    onAppended?: (refs: readonly ChunkRef[]) => void;
  } = {},
): Promise<Appender> {
  const appender = await openAppender({
    url: options.url ?? test.url,
    clock,
    log: silentLog,
    isCrowded: options.isCrowded ?? (() => false),
    onAppended: options.onAppended ?? (() => undefined),
  });
  appenders.push(appender);
  return appender;
}

type Stored = { stream: number; sequence: number; run_count: number; body: string };

const stored = (): Promise<Stored[]> =>
  test.db.query<Stored>(
    'select stream, sequence, run_count, body from chunk order by stream, sequence',
  );

/** Recipients as the log has them, sorted. */
async function storedRecipients(): Promise<string[]> {
  const chunks = await stored();
  return chunks
    .flatMap((chunk) => (JSON.parse(chunk.body) as RunsBody).runs.map((run) => String(run[1])))
    .sort();
}

function idOf(answer: TriggerAnswer | undefined): string {
  if (!answer || answer.kind === 'conflict') throw new Error('no run id');
  return answer.workflowRunId;
}

async function everyError(
  work: readonly Promise<unknown>[],
): Promise<PromiseSettledResult<unknown>[]> {
  return Promise.allSettled(work);
}

describe('an accepted trigger', () => {
  it('is seen by any other connection at the moment of the answer', async () => {
    const appender = await open();
    for (let i = 0; i < 20; i++) {
      await appender.append(triggerRequest({ recipients: users(1, `at-${i}`) }));
      expect(await storedRecipients()).toContain(`at-${i}-0`);
    }
  });

  it('shares its commit with those that arrive meanwhile', async () => {
    const appender = await open();
    await Promise.all(
      Array.from({ length: 2_000 }, (_, i) =>
        appender.append(
          triggerRequest({ environmentId: 1 + (i % 7), recipients: users(1, `shared-${i}`) }),
        ),
      ),
    );
    expect(appender.stats().commits).toBeLessThanOrEqual(4);
    expect(new Set(await storedRecipients()).size).toBe(2_000);
  });

  it('has the address of its first run as its id', async () => {
    const appender = await open();
    const answers = await Promise.all(
      [3, 499, 1, 1_000, 2].map((size, i) =>
        appender.append(triggerRequest({ recipients: users(size, `address-${i}`) })),
      ),
    );
    const chunks = await stored();
    answers.forEach((answer, i) => {
      const address = parseAddress(idOf(answer));
      expect(address?.part).toBe(WORKFLOW_RUN_PART);
      expect(address?.timeMs).toBe(clock.now());
      const chunk = chunks.find(
        (row) => row.stream === address?.stream && row.sequence === address.sequence,
      );
      const body = JSON.parse(chunk?.body ?? '{}') as RunsBody;
      const run = body.runs[address?.index ?? -1];
      expect(run?.[1]).toBe(`address-${i}-0`);
      expect(body.triggers[run?.[0] ?? -1]?.id).toBe(idOf(answer));
    });
  });

  it('lies in chunks of one lane and at most 500 runs, in order', async () => {
    const appender = await open();
    await Promise.all([
      appender.append(triggerRequest({ environmentId: 1, recipients: users(1_000, 'a') })),
      appender.append(triggerRequest({ environmentId: 2, recipients: users(700, 'b') })),
      appender.append(triggerRequest({ environmentId: 1, recipients: users(300, 'c') })),
    ]);
    const rows = await test.db.query<Stored & { lane_id: number; slice_count: number }>(
      'select lane_id, run_count, slice_count, body from chunk order by sequence',
    );
    const recipients = new Map<number, unknown[]>();
    for (const row of rows) {
      expect(row.run_count).toBeLessThanOrEqual(500);
      expect(row.slice_count).toBe(Math.ceil(row.run_count / SLICE_RUNS));
      const { runs, triggers } = JSON.parse(row.body) as RunsBody;
      expect(runs).toHaveLength(row.run_count);
      for (const [trigger] of runs) expect(triggers[trigger]).toBeDefined();
      const lane = recipients.get(row.lane_id) ?? [];
      lane.push(...runs.map((run) => run[1]));
      recipients.set(row.lane_id, lane);
    }
    const plain = (list: { recipient: string }[]) => list.map((entry) => entry.recipient);
    expect(recipients.get(1 * 4 + 1)).toEqual([
      ...plain(users(1_000, 'a')),
      ...plain(users(300, 'c')),
    ]);
    expect(recipients.get(2 * 4 + 1)).toEqual(plain(users(700, 'b')));
  });

  it('keeps data of any shape, and each recipient’s own', async () => {
    const appender = await open();
    const data = {
      text: 'quote " backslash \\ brace } comma , 日本 🎉',
      list: [1, null, { a: [] }],
    };
    await appender.append(
      triggerRequest({
        data,
        actor: { id: 'p1', collection: 'projects' },
        tenant: 'acme "x"',
        cancellationKey: 'k"1',
        settings: { sandbox_mode: true },
        recipients: [
          { recipient: { id: 'o"1', collection: 'pro\\jects' }, data: { own: 'yes' } },
          { recipient: 'plain' },
        ],
      }),
    );
    const [chunk] = await stored();
    const body = JSON.parse(chunk?.body ?? '') as RunsBody;
    expect(body.triggers[0]).toMatchObject({
      data,
      actor: ['projects', 'p1'],
      tenant: 'acme "x"',
      cancel: 'k"1',
      settings: { sandbox_mode: true },
      at: clock.now(),
    });
    const direct = [['pro\\jects', 'o"1'], 'plain'];
    expect(body.runs).toEqual([
      [0, ['pro\\jects', 'o"1'], { data: { own: 'yes' }, fan: { direct } }],
      [0, 'plain'],
    ]);
  });

  it('is reported to the scheduler before its caller hears of it', async () => {
    const reported: ChunkRef[] = [];
    const appender = await open({ onAppended: (refs) => reported.push(...refs) });
    const id = idOf(await appender.append(triggerRequest()));
    const address = parseAddress(id);
    expect(reported).toMatchObject([
      { stream: address?.stream, sequence: address?.sequence, runCount: 1, laneId: 5 },
    ]);
  });
});

describe('an idempotency key', () => {
  it('replays the first answer with the id of the first request', async () => {
    const appender = await open();
    const first = idempotencyKey('pay-1');
    const accepted = await appender.append(triggerRequest({ idempotency: first }));
    const again = await appender.append(triggerRequest({ idempotency: idempotencyKey('pay-1') }));
    expect(again).toEqual({
      kind: 'replayed',
      workflowRunId: idOf(accepted),
      originalRequestId: first.requestId,
    });
    expect(await stored()).toHaveLength(1);
  });

  it('with other parameters is a conflict and runs nothing', async () => {
    const appender = await open();
    await appender.append(triggerRequest({ idempotency: idempotencyKey('pay-2', 'ten') }));
    const other = await appender.append(
      triggerRequest({ idempotency: idempotencyKey('pay-2', 'twenty') }),
    );
    expect(other).toEqual({ kind: 'conflict' });
    expect(await stored()).toHaveLength(1);
  });

  it('is another one in another environment', async () => {
    const appender = await open();
    const answers = await Promise.all(
      [1, 2].map((environmentId) =>
        appender.append(triggerRequest({ environmentId, idempotency: idempotencyKey('pay-3') })),
      ),
    );
    expect(answers.map((answer) => answer.kind)).toEqual(['accepted', 'accepted']);
  });

  it('of many requests at the same time gives one run, whichever appenders they meet', async () => {
    const [one, two] = [await open(), await open()];
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        (i % 2 === 0 ? one : two).append(
          triggerRequest({
            recipients: users(1, `key-${i % 6}`),
            idempotency: idempotencyKey(`many-${i % 6}`),
          }),
        ),
      ),
    );
    expect(answers.filter((answer) => answer.kind === 'accepted')).toHaveLength(6);
    expect(answers.filter((answer) => answer.kind === 'replayed')).toHaveLength(54);
    for (let key = 0; key < 6; key++) {
      const ids = answers.filter((_, i) => i % 6 === key).map(idOf);
      expect(new Set(ids).size).toBe(1);
    }
    expect(await storedRecipients()).toHaveLength(6);
  });

  it('that is known does not keep those that arrived with it from being accepted', async () => {
    const appender = await open();
    await appender.append(triggerRequest({ idempotency: idempotencyKey('known') }));
    const answers = await Promise.all([
      appender.append(triggerRequest({ recipients: users(1, 'before') })),
      appender.append(triggerRequest({ idempotency: idempotencyKey('known') })),
      appender.append(triggerRequest({ idempotency: idempotencyKey('new') })),
      appender.append(triggerRequest({ recipients: users(1, 'after') })),
    ]);
    expect(answers.map((answer) => answer.kind)).toEqual([
      'accepted',
      'replayed',
      'accepted',
      'accepted',
    ]);
    expect(await stored()).toHaveLength(2);
  });

  it('of yesterday is remembered, one of the day before is not', async () => {
    const appender = await open();
    const first = await appender.append(triggerRequest({ idempotency: idempotencyKey('old') }));
    clock.move(DAY_MS);
    await forgetIdempotencyKeys(test.db, clock.now());
    const next = await appender.append(triggerRequest({ idempotency: idempotencyKey('old') }));
    expect(next).toMatchObject({ kind: 'replayed', workflowRunId: idOf(first) });
    clock.move(DAY_MS);
    await forgetIdempotencyKeys(test.db, clock.now());
    const last = await appender.append(triggerRequest({ idempotency: idempotencyKey('old') }));
    expect(last.kind).toBe('accepted');
  });

  it.each([2, 3, 4, 5, 6, 7])(
    'is forgotten by a server that was away for %i days',
    async (days) => {
      const before = await open();
      await before.append(triggerRequest({ idempotency: idempotencyKey('away') }));
      await before.close();
      clock.move(days * DAY_MS);
      await forgetIdempotencyKeys(test.db, clock.now());
      const after = await open();
      const answer = await after.append(triggerRequest({ idempotency: idempotencyKey('away') }));
      expect(answer.kind).toBe('accepted');
    },
  );

  it('that the database cannot store fails its own request only', async () => {
    const appender = await open();
    const [good, bad] = await everyError([
      appender.append(triggerRequest()),
      appender.append(triggerRequest({ idempotency: idempotencyKey('nul \0') })),
    ]);
    expect(bad?.status).toBe('rejected');
    expect(good?.status).toBe('fulfilled');
  });
});

describe('a lost connection', () => {
  it('in the middle of a heavy load loses and repeats nothing that was acknowledged', async () => {
    const appender = await open();
    const acknowledged = new Set<string>();
    let sent = 0;
    let loading = true;
    const sender = async (name: number): Promise<void> => {
      for (let i = 0; loading; i++) {
        const recipients = users(1 + (i % 3), `load-${name}-${i}`);
        sent += 1;
        await appender.append(
          triggerRequest({
            recipients,
            ...(i % 5 === 0 ? { idempotency: idempotencyKey(`load-${name}-${i}`) } : {}),
          }),
        );
        for (const { recipient } of recipients) acknowledged.add(recipient);
      }
    };
    const senders = Array.from({ length: 30 }, (_, name) => sender(name));
    for (let kill = 0; kill < 6; kill++) {
      const goal = sent + 300;
      await waitFor('load', () => (sent >= goal ? true : undefined), 20_000);
      await test.db.query(
        `select pg_terminate_backend(pid)
         from pg_stat_activity
         where application_name = 'belfry appender'
           and datname = current_database()`,
      );
    }
    loading = false;
    await Promise.all(senders);
    const recipients = await storedRecipients();
    expect(recipients).toEqual([...acknowledged].sort());
    expect(new Set(recipients).size).toBe(recipients.length);
  });

  it('after the commit and before its answer, with the database away for a while, repeats nothing', async () => {
    const proxy = await startDatabaseProxy(test.url);
    const appender = await open({ url: proxy.url });
    await appender.append(triggerRequest({ recipients: users(1, 'calm') }));
    proxy.loseAnswers();
    const answer = appender.append(triggerRequest({ recipients: users(1, 'doubt') }));
    await waitFor('the commit', async () =>
      (await storedRecipients()).includes('doubt-0') ? true : undefined,
    );
    proxy.refuse(true);
    proxy.cutClients();
    clock.move(1_000);
    await waitFor('two attempts', () => (proxy.refusals() >= 2 ? true : undefined));
    proxy.refuse(false);
    expect((await answer).kind).toBe('accepted');
    expect(await storedRecipients()).toEqual(['calm-0', 'doubt-0']);
    const ids = (await stored()).map(
      (chunk) => (JSON.parse(chunk.body) as RunsBody).triggers[0]?.id,
    );
    expect(ids).toContain(idOf(await answer));
    await appenders.pop()?.close();
    await proxy.close();
  });

  it('that the database has not noticed yet repeats nothing', async () => {
    const proxy = await startDatabaseProxy(test.url);
    const appender = await open({ url: proxy.url });
    const blocker = await openStream({
      url: test.url,
      applicationName: 'blocker',
      log: silentLog,
    });
    await blocker.session.query('begin');
    await blocker.session.query('lock table chunk in share mode');
    const answer = appender.append(triggerRequest({ recipients: users(1, 'frozen') }));
    const waiting = (count: number) =>
      waitFor('an insert that waits', async () => {
        const rows = await test.db.query<{ pid: number }>(
          `select pid
           from pg_stat_activity
           where application_name = 'belfry appender'
             and datname = current_database()
             and wait_event_type = 'Lock'`,
        );
        return rows.length >= count ? rows : undefined;
      });
    const [first] = await waiting(1);
    proxy.cutClients();
    // The appender either gets rid of the old session, or inserts again beside it.
    await waitFor('a reaction', async () => {
      const rows = await waiting(1);
      return rows.length > 1 || !rows.some((row) => row.pid === first?.pid) ? true : undefined;
    });
    await blocker.session.query('commit');
    await blocker.session.close();
    expect((await answer).kind).toBe('accepted');
    expect(await storedRecipients()).toEqual(['frozen-0']);
    await appenders.pop()?.close();
    await proxy.close();
  });

  it('is survived by those who wait: they are answered, not refused', async () => {
    const proxy = await startDatabaseProxy(test.url);
    const appender = await open({ url: proxy.url });
    proxy.refuse(true);
    proxy.cutClients();
    const answers = Array.from({ length: 50 }, (_, i) =>
      appender.append(triggerRequest({ recipients: users(1, `wait-${i}`) })),
    );
    await waitFor('two attempts', () => (proxy.refusals() >= 2 ? true : undefined));
    proxy.refuse(false);
    expect((await Promise.all(answers)).every((answer) => answer.kind === 'accepted')).toBe(true);
    expect(await storedRecipients()).toHaveLength(50);
    await appenders.pop()?.close();
    await proxy.close();
  });
});

describe('a stream', () => {
  it('never uses a sequence again, truncated or not', async () => {
    const appender = await open();
    const used = new Set<string>();
    const append = async (through: Appender): Promise<void> => {
      const address = parseAddress(idOf(await through.append(triggerRequest())));
      const place = `${address?.stream} ${address?.sequence}`;
      expect(used.has(place), place).toBe(false);
      used.add(place);
    };
    for (let i = 0; i < 5; i++) await append(appender);
    await appender.close();
    await test.db.query(
      `insert into receipt (slot, stream, sequence, slice, done, failed)
       select slot, stream, sequence, 0, 1, 0
       from chunk`,
    );
    for (let slot = 0; slot < SLOT_COUNT; slot++) await truncateSlot(test.db, slot);
    expect(await stored()).toHaveLength(0);
    const after = await open();
    for (let i = 0; i < 5; i++) await append(after);
    await after.close();
    const last = await open();
    await append(last);
    expect([...used].map((place) => Number(place.split(' ')[1]))).toEqual(
      Array.from(
        { length: 11 },
        (_, i) => i + Math.min(...[...used].map((p) => Number(p.split(' ')[1]))),
      ),
    );
  });

  it('is held by one session at a time', async () => {
    const options = { url: test.url, applicationName: 'test stream', log: silentLog };
    const streams = await Promise.all(Array.from({ length: 12 }, () => openStream(options)));
    expect(new Set(streams.map((stream) => stream.number)).size).toBe(12);
    await Promise.all(streams.map((stream) => stream.session.close()));
  });
});

describe('more than can be kept', () => {
  it('is refused at once with a time to come back, and what waits is still answered', async () => {
    const appender = await open();
    const request: TriggerRequest = triggerRequest();
    const work = Array.from({ length: 10_500 }, () => appender.append(request));
    const results = await everyError(work);
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBe(500);
    expect(refused[0]).toMatchObject({ reason: { code: 'rate_limited', retryAfterMs: 1_000 } });
  });

  it('of one environment leaves room for the others, who do not wait behind it', async () => {
    const appender = await open();
    const order: string[] = [];
    const flood = Array.from({ length: 12_000 }, () =>
      appender.append(triggerRequest({ environmentId: 1 })).then(
        () => order.push('flood'),
        () => undefined,
      ),
    );
    const neighbours = [2, 3, 4].map((environmentId) =>
      appender.append(triggerRequest({ environmentId })).then(() => order.push('neighbour')),
    );
    await Promise.all([...flood, ...neighbours]);
    expect(order.filter((who) => who === 'flood')).toHaveLength(10_000);
    expect(order.lastIndexOf('neighbour')).toBeLessThanOrEqual(253);
  });
});
