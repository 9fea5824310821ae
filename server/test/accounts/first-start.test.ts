import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
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
