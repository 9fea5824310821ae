import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { migrate } from '../../src/db/migrate.ts';
import { StartError } from '../../src/db/start-error.ts';
import { startChild } from '../support/child.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';

const CHILD = join(import.meta.dirname, 'migrate-process.ts');
const log = silentLog;

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase({ empty: true });
  onTestFinished(() => database.drop());
  return database;
}

async function directoryWith(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-migrations-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  for (const [name, sql] of Object.entries(files)) await writeFile(join(directory, name), sql);
  return directory;
}

const TWO = {
  '0001_bell.sql': 'create table bell (rings int); insert into bell values (1);',
  '0002_tower.sql': '-- breaking\ncreate table tower (bells int);',
};

test('migrations are applied in order, once, each with its row', async () => {
  const { db, url } = await emptyDatabase();
  const directory = await directoryWith(TWO);
  expect(await migrate(url, { log, directory })).toEqual({ applied: [1, 2] });
  expect(await migrate(db, { log, directory })).toEqual({ applied: [] });
  expect(await db.query('select number, name, breaking from migration order by number')).toEqual([
    { number: 1, name: 'bell', breaking: false },
    { number: 2, name: 'tower', breaking: true },
  ]);
});

test('several processes that migrate one database at once apply each migration once', async () => {
  const { db, url } = await emptyDatabase();
  const children = [1, 2, 3].map(() => startChild(CHILD, [url]));
  onTestFinished(async () => {
    for (const child of children) await child.end();
  });
  const answers = await Promise.all(children.map((child) => child.answer));
  const applied = answers.flatMap((answer) => (answer as { applied: number[] }).applied);
  const rows = await db.query<{ number: number }>('select number from migration order by number');
  expect(applied.toSorted((a, b) => a - b)).toEqual(rows.map((row) => row.number));
  expect(rows.length).toBeGreaterThan(0);
});

test('a migration that fails is rolled back whole, and the ones before it stay', async () => {
  const { db } = await emptyDatabase();
  const directory = await directoryWith({
    ...TWO,
    '0003_wrong.sql': 'create table half (a int); select 1 / 0;',
  });
  await expect(migrate(db, { log, directory })).rejects.toThrow(
    'Migration 0003_wrong failed and was rolled back: division by zero',
  );
  expect(
    await db.query(`select to_regclass('half') as half, to_regclass('tower')::text as tower`),
  ).toEqual([{ half: null, tower: 'tower' }]);
});

test('a migration that was edited after it was applied is refused by name', async () => {
  const { db } = await emptyDatabase();
  const directory = await directoryWith(TWO);
  await migrate(db, { log, directory });
  await writeFile(join(directory, '0001_bell.sql'), 'create table bell (rings bigint);');
  const refusal = migrate(db, { log, directory });
  await expect(refusal).rejects.toThrow(StartError);
  await expect(refusal).rejects.toThrow('Migration 0001_bell was edited');
});

test('an old release runs on a newer schema unless a breaking migration made it', async () => {
  const { db } = await emptyDatabase();
  const old = await directoryWith({ '0001_bell.sql': TWO['0001_bell.sql'] });
  const newer = await directoryWith({});
  await cp(old, newer, { recursive: true });
  await writeFile(join(newer, '0002_more.sql'), 'create table more (a int);');
  await migrate(db, { log, directory: newer });
  expect(await migrate(db, { log, directory: old })).toEqual({ applied: [] });

  await writeFile(join(newer, '0003_other.sql'), '-- breaking\ndrop table bell;');
  await migrate(db, { log, directory: newer });
  await expect(migrate(db, { log, directory: old })).rejects.toThrow(
    /newer Belfry .*\(breaking migration 0003_other\)/,
  );
});

test('line ends that a checkout changed are no edit', async () => {
  const { db } = await emptyDatabase();
  const directory = await directoryWith({ '0001_bell.sql': 'select 1;\nselect 2;\n' });
  await migrate(db, { log, directory });
  await writeFile(join(directory, '0001_bell.sql'), 'select 1;\r\nselect 2;\r\n');
  expect(await migrate(db, { log, directory })).toEqual({ applied: [] });
});

test('files with one number twice or a name of another shape are refused', async () => {
  const { db } = await emptyDatabase();
  const twice = await directoryWith({ '0001_a.sql': '', '0001_b.sql': '' });
  await expect(migrate(db, { log, directory: twice })).rejects.toThrow(
    'number 1; renumber 0001_b.sql',
  );
  const odd = await directoryWith({ 'bell.sql': '' });
  await expect(migrate(db, { log, directory: odd })).rejects.toThrow('not named like a migration');
});
