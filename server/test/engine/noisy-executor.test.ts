import { readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ExecutorPool, startExecutorPool } from '../../src/engine/executor-pool.ts';
import { RUNS } from '../../src/engine/log/chunk.ts';
import { STREAM_LOCK_CLASS } from '../../src/engine/log/stream.ts';
import { noisyKeepMs } from '../../src/engine/noisy-standby.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { feedStep } from '../support/engine-world.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';
import { removeDataDirs, startWholeServer } from '../support/whole-server.ts';

const SESSIONS = 2;

let test: TestDatabase;
let pool: ExecutorPool;
let finished: number[];
let returned: number[];
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  test = await createTestDatabase();
  cleanups.push(test.drop);
  finished = [];
  returned = [];
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(removeDataDirs);

async function startPool(noisyKeepMs: number): Promise<void> {
  pool = startExecutorPool({
    count: 1,
    ownsDatabase: true,
    noisyKeepMs,
    log: silentLog,
    executor: {
      databaseUrl: test.url,
      concurrency: 5,
      smtpUrl: undefined,
      mailFrom: 'belfry@localhost',
      allowPrivateWebhooks: false,
      installationSecret: 'a secret of a test',
      logLevel: 'silent',
    },
    events: {
      finished: (_kind, id) => finished.push(id),
      returned: (_kind, id) => returned.push(id),
      appended: () => undefined,
      feedsChanged: () => undefined,
      lost: () => undefined,
    },
  });
  cleanups.push(pool.drain);
  await pool.started;
}

/** Assignments of nothing, numbered from `from`: each makes a session of its executor go once. */
function assign(level: 'noisy' | 'normal', from: number, count: number): void {
  for (let id = from; id < from + count; id++) {
    pool.assign(RUNS, { id, level, slot: 0, careful: false, slices: [] });
  }
}

const allFinished = (count: number) =>
  waitFor(`${count} finished`, () => (finished.length === count ? true : undefined));

/** Server processes of the sessions in which an executor writes: each holds the lock of a stream. */
async function sessions(name: string): Promise<number[]> {
  const rows = await test.db.query<{ pid: number }>(
    `select a.pid
     from pg_stat_activity a
     join pg_locks l on l.pid = a.pid
     where a.datname = current_database()
       and a.application_name = $1
       and l.locktype = 'advisory'
       and l.classid = $2::bigint::oid`,
    [`belfry ${name}`, STREAM_LOCK_CLASS],
  );
  return rows.map(({ pid }) => pid);
}

/** What Linux lowers a session by; 10 where it knows no such thing. */
async function sessionNiceness(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/autogroup`, 'utf8').catch(() => 'nice 10');
  return Number(/nice (-?\d+)/.exec(text)?.[1]);
}

const noisySessions = () => sessions('executor-noisy');

async function startNoisy(): Promise<number> {
  const [ordinary] = pool.processIds();
  pool.setNoisy(true);
  await waitFor('the executor for noisy lanes', () =>
    pool.stats().executors === 2 ? true : undefined,
  );
  const pid = pool.processIds().find((id) => id !== ordinary);
  if (pid === undefined) throw new Error('the executor for noisy lanes has no process');
  return pid;
}

describe('work of noisy lanes', () => {
  it('is done by the others while it has no executor of its own', async () => {
    await startPool(60_000);
    assign('noisy', 1, 8);
    await allFinished(8);
    expect(pool.processIds()).toHaveLength(1);
  });

  it('has an executor of its own at a lower priority, with few sessions', async () => {
    await startPool(60_000);
    const pid = await startNoisy();
    expect(pool.readyCount()).toBe(1);
    const before = await noisySessions();
    assign('noisy', 1, 10);
    await allFinished(10);
    expect(getPriority(pid)).toBe(10);
    expect(getPriority(pool.processIds().find((id) => id !== pid))).toBe(0);
    const own = (await noisySessions()).filter((id) => !before.includes(id));
    expect(own.length).toBeGreaterThan(0);
    expect(own.length).toBeLessThanOrEqual(SESSIONS);
    expect(own.map((id) => getPriority(id))).toEqual(own.map(() => 10));
    await waitFor('sessions that Linux serves less', async () =>
      (await Promise.all([pid, ...own].map(sessionNiceness))).every((n) => n === 10)
        ? true
        : undefined,
    );
  });

  it('goes to the others too when it has more than its own executor can take', async () => {
    await startPool(60_000);
    await startNoisy();
    expect(await sessions('executor-1')).toEqual([]);
    assign('noisy', 1, 10);
    await allFinished(10);
    expect(await sessions('executor-1')).not.toEqual([]);
  });

  it('leaves its executor to itself: normal work never goes there', async () => {
    await startPool(60_000);
    await startNoisy();
    assign('normal', 1, 40);
    await allFinished(40);
    expect(await noisySessions()).toEqual([]);
  });

  it('comes back when its executor is killed, which is replaced', async () => {
    await startPool(60_000);
    const pid = await startNoisy();
    process.kill(pid, 'SIGSTOP');
    assign('noisy', 1, SESSIONS);
    process.kill(pid, 'SIGKILL');
    await waitFor('the work', () => (returned.length === SESSIONS ? true : undefined));
    await waitFor('another', () => (pool.stats().executors === 2 ? true : undefined));
    expect(pool.processIds()).not.toContain(pid);
    expect(pool.stats().restarts).toBe(1);
  });

  it('gives the executor up when no lane was noisy for a while, and gets another', async () => {
    await startPool(0);
    await startNoisy();
    assign('noisy', 1, SESSIONS);
    await waitFor('its end', () => {
      pool.setNoisy(false);
      return pool.processIds().length === 1 ? true : undefined;
    });
    await allFinished(SESSIONS);
    expect(returned).toEqual([]);
    expect(pool.stats().restarts).toBe(0);
    await startNoisy();
  });

  it('stands by before any lane is noisy where it is kept for ever', async () => {
    await startPool(Number.POSITIVE_INFINITY);
    await waitFor('the second', () => (pool.stats().executors === 2 ? true : undefined), 30_000);
    pool.setNoisy(false);
    assign('noisy', 1, SESSIONS);
    await allFinished(SESSIONS);
    expect(pool.stats().executors).toBe(2);
  });

  it('is kept for ever with 4 GB of memory, and for minutes with less', () => {
    expect(noisyKeepMs(3.8 * 1024 ** 3)).toBe(Number.POSITIVE_INFINITY);
    expect(noisyKeepMs(2 * 1024 ** 3)).toBe(180_000);
  });
});

it('a server whose lane becomes noisy starts an executor for it', async () => {
  const whole = await startWholeServer({ databaseUrl: test.url, executors: 1 });
  cleanups.push(whole.stop);
  const { environments } = whole.server.credentials ?? {};
  const neighbour = whole.as(environments?.production?.secret_key ?? '');
  await whole.push('flood', [feedStep('Hi {{ recipient.id }}')]);
  await whole.push('quiet', [feedStep('Hi')], 'production');
  expect(whole.server.processIds().executors).toHaveLength(1);
  const recipients = Array.from({ length: 1_000 }, (_, i) => `user-${i}`);
  await waitFor(
    'a second executor',
    async () => {
      await Promise.all([
        whole.trigger('flood', { recipients }),
        whole.trigger('flood', { recipients }),
        neighbour('quiet', { recipients: ['mara'] }),
      ]);
      return whole.server.processIds().executors.length === 2 ? true : undefined;
    },
    30_000,
  );
}, 60_000);
