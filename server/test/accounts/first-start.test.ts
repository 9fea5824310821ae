import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Config, readConfig } from '../../src/config.ts';
import type { Context } from '../../src/context.ts';
import { installationSecret, prepareFirstStart } from '../../src/first-start.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { silentLog } from '../support/log.ts';

let database: TestDatabase;
let ctx: Context;
let dataDir: string;
let config: Config;

beforeEach(async () => {
  database = await createTestDatabase();
  ctx = { db: database.db, clock: systemClock, log: silentLog };
  dataDir = await mkdtemp(join(tmpdir(), 'belfry-first-start-'));
  config = readConfig({ BELFRY_DATA_DIR: dataDir, DATABASE_URL: database.url });
});
afterEach(async () => {
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

const accounts = () => ctx.db.query('select name from account');

test('there is no account as long as its keys could not be written', async () => {
  const nowhere = { ...config, dataDir: join(dataDir, 'file', 'below') };
  await writeFile(join(dataDir, 'file'), '');
  await expect(prepareFirstStart(ctx, nowhere)).rejects.toMatchObject({ code: 'ENOTDIR' });
  expect(await accounts()).toEqual([]);
  expect(await prepareFirstStart(ctx, config)).toMatchObject({ isNew: true });
  expect(await accounts()).toEqual([{ name: 'demo' }]);
});

test('a credentials file that is no JSON stays as it is, and the start says so', async () => {
  const own = { ...config, databaseUrl: undefined };
  await prepareFirstStart(ctx, own);
  const path = join(dataDir, 'credentials.json');
  await writeFile(path, '{"account":');
  await expect(prepareFirstStart(ctx, own)).rejects.toThrow(/credentials\.json is not JSON; /);
  expect(await readFile(path, 'utf8')).toBe('{"account":');
});

test('a credentials file of another database ends the start, and stays as it is', async () => {
  await prepareFirstStart(ctx, config);
  const path = join(dataDir, 'credentials.json');
  const credentials = await readFile(path, 'utf8');
  const other = await createTestDatabase();
  try {
    const elsewhere = { ...ctx, db: other.db };
    const otherDir = { ...config, dataDir: join(dataDir, 'other') };
    expect(await prepareFirstStart(elsewhere, otherDir)).toMatchObject({ isNew: true });
    await expect(prepareFirstStart(elsewhere, config)).rejects.toThrow(
      /credentials\.json belongs to another database: .* DATABASE_URL/,
    );
    expect(await readFile(path, 'utf8')).toBe(credentials);
    await ctx.db.query('update operator_token set revoked_at = now()');
    expect(await prepareFirstStart(ctx, config)).toMatchObject({ isNew: false });
  } finally {
    await other.drop();
  }
});

test('keys that are given to every database do not make a foreign credentials file ours', async () => {
  const given = {
    ...config,
    bootstrap: { ...config.bootstrap, secretKey: 'sk_test_given-everywhere' },
  };
  await prepareFirstStart(ctx, given);
  const other = await createTestDatabase();
  try {
    const elsewhere = { ...ctx, db: other.db };
    await prepareFirstStart(elsewhere, { ...given, dataDir: join(dataDir, 'other') });
    await expect(prepareFirstStart(elsewhere, given)).rejects.toThrow(/another database/);
  } finally {
    await other.drop();
  }
});

test('a new database keeps the credentials that it finds under another name', async () => {
  await writeFile(join(dataDir, 'credentials.json'), '{"account":"former"}');
  expect(await prepareFirstStart(ctx, config)).toMatchObject({ isNew: true });
  const names = await readdir(dataDir);
  const aside = names.filter((name) => /^credentials\.json\.until-\d{8}T\d{6}$/.test(name));
  expect(aside).toHaveLength(1);
  expect(await readFile(join(dataDir, aside[0] ?? ''), 'utf8')).toBe('{"account":"former"}');
});

test('the secret of an installation stays the same and is for its owner alone', async () => {
  const secret = await installationSecret(dataDir);
  expect(secret).toMatch(/^[\w-]{43}$/);
  expect(await installationSecret(dataDir)).toBe(secret);
  expect((await stat(join(dataDir, 'secret'))).mode & 0o777).toBe(0o600);
});

test('a secret that was cut off or cannot be read is neither used nor replaced', async () => {
  const path = join(dataDir, 'secret');
  await writeFile(path, '\n');
  await expect(installationSecret(dataDir)).rejects.toThrow(/secret is cut off; /);
  expect(await readFile(path, 'utf8')).toBe('\n');
  await expect(installationSecret(join(path, 'below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});
