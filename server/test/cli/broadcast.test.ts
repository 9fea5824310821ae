import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { broadcastView } from '../../src/cli/broadcast-view.ts';
import { createStyle } from '../../src/cli/style.ts';
import type { JsonObject } from '../../src/lib/json.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { waitFor } from '../support/wait.ts';
import { belfry, type Started, startBelfry, stopBelfry, temporaryDirectory } from './belfry.ts';

const examples = join(import.meta.dirname, '..', '..', '..', 'examples');

const DATA = ['--data', '{"comment":"Hi","page":"Home","page_url":"https://example.com"}'];

let database: TestDatabase;
let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
let server: Started;

beforeAll(async () => {
  database = await createTestDatabase();
  directory = await temporaryDirectory();
  server = await startBelfry({ DATABASE_URL: database.url, BELFRY_DATA_DIR: directory.path });
  await run('push', examples);
  await database.db.query(
    `insert into recipient (environment_id, collection, id, properties)
     select e.id, '$users', 'user-' || n, '{}'
     from environment e, generate_series(1, 40) as n
     where e.slug = 'development'`,
  );
});
afterAll(async () => {
  await stopBelfry(server);
  await directory?.remove();
  await database?.drop();
});

const run = (...args: readonly string[]) => belfry(args, server.env);

async function runJson(...args: readonly string[]) {
  const { code, stdout, stderr } = await run('broadcast', ...args, '--json');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout);
}

test('a broadcast is started held, given a rate, resumed, watched to its end, and exported', async () => {
  const started = await runJson(
    'start',
    'new-comment',
    ...DATA,
    '--key',
    'launch',
    '--hold',
    '--rate',
    '20',
  );
  expect(started).toMatchObject({ key: 'launch', state: 'freezing', rate: 20 });
  await waitFor('it to be frozen', async () =>
    (await runJson('show', 'launch')).state === 'paused' ? true : undefined,
  );
  expect(await runJson('rate', 'launch', 'none')).toMatchObject({ rate: null, total: 40 });
  await runJson('resume', 'launch');
  await waitFor('its end', async () =>
    (await runJson('show', 'launch')).state === 'finished' ? true : undefined,
  );
  const shown = await run('broadcast', 'show', 'launch', '--watch');
  expect(shown.stdout).toContain('100.0 %');
  const file = join(directory.path, 'recipients.ndjson');
  expect(await runJson('recipients', 'launch', file)).toMatchObject({ lines: 40, final: true });
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line).status)).toEqual(lines.map(() => 'completed'));
  expect((await run('broadcast', 'list')).stdout).toContain('launch');
});

test('what cannot be done is said in a sentence, with exit code 1', async () => {
  await runJson('start', 'new-comment', ...DATA, '--key', 'short-lived', '--hold');
  await runJson('cancel', 'short-lived');
  await waitFor('it to be cancelled', async () =>
    (await runJson('show', 'short-lived')).state === 'cancelled' ? true : undefined,
  );
  const resumed = await run('broadcast', 'resume', 'short-lived');
  expect(resumed.code).toBe(1);
  expect(resumed.stderr).toMatch(/is cancelled; it can be resumed only while it is paused/);
  expect((await run('broadcast', 'rate', 'short-lived', 'fast')).stderr).toContain('"fast"');
  expect(await runJson('retry', 'short-lived')).toMatchObject({ state: 'freezing' });
});

const running: JsonObject = {
  id: '01a1fcc5-32b6-7f14-8af8-43ac40b66963',
  workflow: 'news',
  audience: null,
  state: 'running',
  reason: 'x'.repeat(300),
  canary: { size: 100, state: 'passed' },
  created_at: '2026-05-01T04:00:00.000Z',
  progress: {
    total: 1_000_000,
    frozen: 1_000_000,
    sent: 520_000,
    done: 499_990,
    failed: 9,
    discarded: 0,
    per_second: 25_000,
    finish_estimate_at: '2026-05-01T04:01:00.000Z',
    stuck: true,
  },
};

test('the view fits into its columns; the bar is full only when everybody is done', () => {
  const around = { style: createStyle(false), nowMs: Date.parse('2026-05-01T04:00:40.000Z') };
  for (const columns of [50, 80, 200]) {
    const lines = broadcastView(running, { ...around, columns });
    for (const line of lines.slice(0, 9)) expect([...line].length).toBeLessThanOrEqual(columns);
    expect(lines.join('\n')).toContain('49.9 %');
  }
  const text = broadcastView(running, { ...around, columns: 80 }).join('\n');
  expect(text).toContain('in 20 s');
  expect(text).toContain('It is stuck');
});
