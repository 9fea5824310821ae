import { mkdtemp, rm } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openDatabase } from '../../src/db/database.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { silentLog } from '../support/log.ts';
import { waitFor } from '../support/wait.ts';

/** Only Linux lists the children of a process. */
const LOWERED = process.platform === 'linux' ? 10 : 0;

test('an autovacuum worker has a lower priority than sessions', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'belfry-vacuum-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const postgres = await startEmbeddedPostgres({
    dataDir,
    log: silentLog,
    fsync: false,
    // Often, and so gently that a worker can be met.
    settings: {
      autovacuum_naptime: '1s',
      autovacuum_vacuum_threshold: '1',
      autovacuum_vacuum_cost_delay: '100ms',
      autovacuum_vacuum_cost_limit: '1',
    },
  });
  onTestFinished(() => postgres.stop());
  const db = openDatabase({
    url: postgres.url,
    max: 1,
    applicationName: 'test',
    log: silentLog,
  });
  onTestFinished(() => db.close());
  await db.query('create table grown as select from generate_series(1, 100000)');
  await db.query('delete from grown');

  const priorities = await waitFor('a worker with its priority', async () => {
    const pids = await db.query<{ pid: number; kind: string }>(
      `select pid, backend_type as kind from pg_stat_activity
         where backend_type in ('autovacuum worker', 'client backend')`,
    );
    const of = (kind: string): number[] =>
      pids.filter((row) => row.kind === kind).map(({ pid }) => priorityOf(pid));
    const found = { workers: of('autovacuum worker'), sessions: of('client backend') };
    return found.workers.includes(LOWERED) ? found : undefined;
  });
  expect(priorities.sessions).toEqual([0]);
});

/** NaN for one that ended since it was listed. */
function priorityOf(pid: number): number {
  try {
    return getPriority(pid);
  } catch {
    return Number.NaN;
  }
}
