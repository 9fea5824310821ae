import type { TestProject } from 'vitest/node';
import { openDatabase } from '../../src/db/database.ts';
import { migrate } from '../../src/db/migrate.ts';
import { ensurePartitions } from '../../src/db/partitions.ts';
import { silentLog } from './log.ts';
import { startScratchPostgres } from './scratch-postgres.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The migrated database that every test database is a clone of. */
    readonly templateUrl: string;
  }
}

/** One server for the run. Its database belfry is the template. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startScratchPostgres();
  try {
    const db = openDatabase({
      url: postgres.url,
      max: 1,
      applicationName: 'test template',
      log: silentLog,
    });
    await migrate(db, { log: silentLog });
    await ensurePartitions(db, Date.now());
    await db.close();
  } catch (error) {
    await postgres.stop();
    throw error;
  }
  project.provide('templateUrl', postgres.url);
  return postgres.stop;
}
