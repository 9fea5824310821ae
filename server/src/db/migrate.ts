import { join } from 'node:path';
import type { Logger } from '../lib/log.ts';
import { type Database, openDatabase, type Queryable } from './database.ts';
import { type Migration, readMigrations } from './migration-files.ts';
import { StartError } from './start-error.ts';

export type MigrateOptions = {
  readonly log: Logger;
  /** Where the numbered files are; Belfry's own by default. */
  readonly directory?: string;
};

type Applied = Pick<Migration, 'number' | 'name' | 'breaking' | 'checksum'>;

const OLDEST_SERVER = 150_000;
// Any constant that nobody else uses as a key of advisory locks in this database.
const LOCK_KEY = 4_400_001;

/**
 * Brings a database to the schema of this release: each numbered file in a transaction of its own,
 * together with its row in the table `migration`. Forward only. Several processes may do it at once.
 * Throws a StartError for a database that this release must not touch.
 *
 * @returns the numbers of the migrations that this call applied.
 */
export async function migrate(
  target: string | Database,
  options: MigrateOptions,
): Promise<{ readonly applied: readonly number[] }> {
  const migrations = await readMigrations(
    options.directory ?? join(import.meta.dirname, 'migrations'),
  );
  if (typeof target !== 'string') return await migrateDatabase(target, migrations, options.log);
  const db = openDatabase({
    url: target,
    max: 1,
    applicationName: 'belfry migrate',
    log: options.log,
  });
  try {
    return await migrateDatabase(db, migrations, options.log);
  } finally {
    await db.close();
  }
}

async function migrateDatabase(
  db: Database,
  migrations: readonly Migration[],
  log: Logger,
): Promise<{ readonly applied: readonly number[] }> {
  await refuseOldServer(db);
  const applied: number[] = [];
  for (;;) {
    const next = firstMissing(migrations, await readApplied(db));
    if (!next) return { applied };
    const done = await db.transaction(async (tx) => {
      await takeLock(tx, log);
      await tx.query(`
        create table if not exists migration (
          number int primary key,
          name text not null,
          checksum text not null,
          breaking boolean not null,
          applied_at timestamptz not null default now()
        )`);
      // Somebody else may have been faster while we waited for the lock.
      const missing = firstMissing(migrations, await readApplied(tx));
      if (missing) await apply(tx, missing);
      return missing;
    });
    if (!done) return { applied };
    log.info({ migration: label(done) }, 'database migrated');
    applied.push(done.number);
  }
}

async function apply(tx: Queryable, migration: Migration): Promise<void> {
  try {
    await tx.query(migration.sql);
  } catch (error) {
    throw new StartError(
      `Migration ${label(migration)} failed and was rolled back: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
  await tx.query(
    `insert into migration (number, name, checksum, breaking)
     values ($1, $2, $3, $4)`,
    [migration.number, migration.name, migration.checksum, migration.breaking],
  );
}

async function takeLock(tx: Queryable, log: Logger): Promise<void> {
  const [row] = await tx.query<{ taken: boolean }>(
    'select pg_try_advisory_xact_lock($1) as taken',
    [LOCK_KEY],
  );
  if (row?.taken) return;
  log.info('waiting for another process that migrates this database');
  await tx.query('select pg_advisory_xact_lock($1)', [LOCK_KEY]);
}

async function readApplied(db: Queryable): Promise<Applied[]> {
  const [table] = await db.query<{ found: boolean }>(
    `select to_regclass('migration') is not null as found`,
  );
  if (!table?.found) return [];
  return await db.query<Applied>(
    'select number, name, breaking, checksum from migration order by number',
  );
}

/** The first migration to apply. Refuses a database whose history is not ours. */
function firstMissing(
  migrations: readonly Migration[],
  applied: readonly Applied[],
): Migration | undefined {
  const ours = new Map(migrations.map((migration) => [migration.number, migration]));
  for (const row of applied) {
    const file = ours.get(row.number);
    if (!file && row.breaking) {
      throw new StartError(
        `The database was migrated by a newer Belfry that this one cannot share it with (breaking ` +
          `migration ${label(row)}); start that release or a newer one, or restore a backup from before it.`,
      );
    }
    if (file && file.checksum !== row.checksum) {
      throw new StartError(
        `Migration ${label(file)} was edited after it was applied to this database as ${label(row)}; ` +
          'restore the file as it was, and put the change into a new migration.',
      );
    }
  }
  const done = new Set(applied.map((row) => row.number));
  return migrations.find((migration) => !done.has(migration.number));
}

async function refuseOldServer(db: Database): Promise<void> {
  const [server] = await db.query<{ number: number; version: string; encoding: string }>(`
    select
      current_setting('server_version_num')::int as number,
      current_setting('server_version') as version,
      current_setting('server_encoding') as encoding`);
  if (!server || server.number < OLDEST_SERVER) {
    throw new StartError(
      `Belfry needs PostgreSQL 15 or newer, and this server is ${server?.version}; upgrade it, or ` +
        'unset DATABASE_URL to use the embedded one.',
    );
  }
  if (server.encoding !== 'UTF8') {
    throw new StartError(
      `The database's encoding is ${server.encoding}, and Belfry needs UTF8; create one with ` +
        "`create database belfry encoding 'UTF8' template template0`.",
    );
  }
}

function label(migration: Pick<Migration, 'number' | 'name'>): string {
  return `${String(migration.number).padStart(4, '0')}_${migration.name}`;
}
