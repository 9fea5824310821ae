import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { type DatabasePool, openDatabase, openSession } from '../../src/db/database.ts';
import { silentLog } from './log.ts';

export type TestDatabase = {
  readonly url: string;
  readonly db: DatabasePool;
  /** Closes `db`, ends every other session, and removes the database. */
  readonly drop: () => Promise<void>;
};

/**
 * A migrated database of its own, partitions of today included.
 *
 * @example
 *   const test = await createTestDatabase();
 *   afterAll(test.drop);
 */
export async function createTestDatabase(options?: {
  /** Without tables. */
  readonly empty?: boolean;
  /** Connections of `db` at the most, 4 by default. */
  readonly max?: number;
}): Promise<TestDatabase> {
  const templateUrl = inject('templateUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(
    templateUrl,
    options?.empty
      ? `create database ${name}`
      : `create database ${name} template belfry strategy file_copy`,
  );
  const url = templateUrl.replace('@/belfry?', `@/${name}?`);
  const db = openDatabase({
    url,
    max: options?.max ?? 4,
    applicationName: 'test',
    log: silentLog,
  });
  return {
    url,
    db,
    drop: async () => {
      await db.close();
      await administer(templateUrl, `drop database ${name} with (force)`);
    },
  };
}

// From the database postgres, because the template must have no session while it is copied.
async function administer(templateUrl: string, statement: string): Promise<void> {
  const session = await openSession({
    url: templateUrl.replace('@/belfry?', '@/postgres?'),
    applicationName: 'test databases',
    log: silentLog,
  });
  try {
    await session.query(statement);
  } finally {
    await session.close();
  }
}
