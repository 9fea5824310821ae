import type { Database, Queryable } from './database.ts';

/**
 * A database on one session, whose transactions nest: the first begins and commits, one inside another is a savepoint. So
 * a verb that makes a transaction can be part of a larger one. One transaction at a time; the session stays open.
 */
export function nestedTransactions(session: Queryable): Database {
  let depth = 0;
  const db: Database = {
    query: session.query,
    transaction: async (work) => {
      const point = `level_${depth}`;
      await session.query(depth === 0 ? 'begin' : `savepoint ${point}`);
      depth += 1;
      try {
        const result = await work(db);
        await session.query(depth === 1 ? 'commit' : `release savepoint ${point}`);
        return result;
      } catch (error) {
        await session.query(depth === 1 ? 'rollback' : `rollback to savepoint ${point}`);
        throw error;
      } finally {
        depth -= 1;
      }
    },
    close: async () => undefined,
  };
  return db;
}
