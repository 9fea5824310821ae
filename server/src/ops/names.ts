import type { Context } from '../context.ts';
import { createLruCache } from '../lib/lru.ts';

const REMEMBERED = 10_000;
const PATIENCE_MS = 500;

/** Names of accounts and environments by their ids, as far as they are known. */
export type Names = {
  readonly account: (id: number) => string | undefined;
  readonly environment: (id: number) => string | undefined;
};

type Row = {
  readonly id: number;
  readonly slug: string;
  readonly account_id: number;
  readonly name: string;
};

/**
 * Names for people. They never change, so what was read once is known while the database is away; what is
 * not known by then stays an id, after half a second at the most.
 */
export function createNames(ctx: Context) {
  const accounts = createLruCache<string>(REMEMBERED, Number.POSITIVE_INFINITY);
  const environments = createLruCache<string>(REMEMBERED, Number.POSITIVE_INFINITY);

  const read = async (ids: readonly number[]): Promise<void> => {
    const rows = await ctx.db.query<Row>(
      `
      select e.id, e.slug, e.account_id, a.name
      from environment e
      join account a on a.id = e.account_id
      where e.id = any($1::int[])`,
      [ids],
    );
    for (const { id, slug, account_id: accountId, name } of rows) {
      environments.set(String(id), slug, 0);
      accounts.set(String(accountId), name, 0);
    }
  };

  return async (environmentIds: ReadonlySet<number>): Promise<Names> => {
    const missing = [...environmentIds].filter((id) => !environments.get(String(id), 0));
    if (missing.length > 0) {
      const reading = read(missing).catch((error) =>
        ctx.log.debug({ err: error }, 'names of accounts cannot be read'),
      );
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, PATIENCE_MS);
      });
      await Promise.race([reading, late]);
      clearTimeout(timer);
    }
    return {
      account: (id) => accounts.get(String(id), 0),
      environment: (id) => environments.get(String(id), 0),
    };
  };
}
