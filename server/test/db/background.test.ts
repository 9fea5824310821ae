import { getPriority } from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { type Background, type Database, openDatabase } from '../../src/db/database.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';
import { policyOf, SCHED_IDLE } from '../support/policy.ts';
import { waitFor } from '../support/wait.ts';

const NICENESS = 10;

async function open(background?: Background): Promise<Database> {
  const { url, drop } = await createTestDatabase({ max: 1 });
  onTestFinished(() => drop());
  const db = openDatabase({
    url,
    max: 1,
    applicationName: 'test',
    log: silentLog,
    ...(background && { background }),
  });
  onTestFinished(() => db.close());
  return db;
}

async function sessionOf(db: Database): Promise<{ pid: number; workers: string }> {
  const [session] = await db.query<{ pid: number; workers: string }>(
    `select pg_backend_pid() as pid, current_setting('max_parallel_workers_per_gather') as workers`,
  );
  if (!session) throw new Error('a session says nothing of itself');
  return session;
}

test('work that can wait has a lower priority, and no workers of everybody’s', async () => {
  const usual = await sessionOf(await open());
  expect(usual.workers).not.toBe('0');
  expect(getPriority(usual.pid)).toBe(0);
  const lowered = await sessionOf(await open({ lowersSessionsTo: 'low' }));
  expect(lowered.workers).toBe('0');
  await waitFor('the lower priority', () =>
    getPriority(lowered.pid) === NICENESS ? true : undefined,
  );
});

test('work that only fills gaps has the policy for that, where there is one', async () => {
  const { pid } = await sessionOf(await open({ lowersSessionsTo: 'idle' }));
  await waitFor('the lower priority', () => (getPriority(pid) === NICENESS ? true : undefined));
  if (process.platform !== 'linux') return;
  await waitFor('the policy', async () =>
    (await policyOf(pid)) === SCHED_IDLE ? true : undefined,
  );
});

test('a connection that is opened anew has it too', async () => {
  const db = await open({ lowersSessionsTo: 'low' });
  const { pid } = await sessionOf(db);
  await db.query(`select pg_terminate_backend(${pid})`).catch(() => undefined);
  const again = await waitFor('another connection', () => sessionOf(db).catch(() => undefined));
  expect(again.pid).not.toBe(pid);
  await waitFor('the lower priority', () =>
    getPriority(again.pid) === NICENESS ? true : undefined,
  );
});

test('a process of another machine’s database is not taken for one of this machine', async () => {
  const session = await sessionOf(await open({ lowersSessionsTo: undefined }));
  expect(session.workers).toBe('0');
  expect(getPriority(session.pid)).toBe(0);
});
