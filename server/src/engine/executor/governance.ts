import type { Queryable } from '../../db/database.ts';
import { type Governance, loadGovernance } from '../orders/rules.ts';

/** The orders in force, as this process knows them. */
export type KnownOrders = {
  readonly current: () => Governance;
  /** There are others, which `reload` has not loaded yet: until then no provider may be called. */
  readonly tellChanged: () => void;
  readonly isChanged: () => boolean;
  /** Loads what is in force after the call; those who ask meanwhile share one statement. */
  readonly reload: () => Promise<Governance>;
  /** Whose environments these are, where one of the orders asks for that. */
  readonly accountsOf: (
    orders: Governance,
    environmentIds: Iterable<number>,
  ) => Promise<ReadonlyMap<number, number>>;
};

/**
 * Knows them from the start; an environment never changes its account. `loadDb` is for the orders alone: they do not
 * wait behind what a slow database is asked by deliveries.
 */
export async function createKnownOrders(db: Queryable, loadDb = db): Promise<KnownOrders> {
  let known = await loadGovernance(loadDb);
  let told = 0;
  let heeded = 0;
  let loading: Promise<unknown> = Promise.resolve();
  let next: Promise<Governance> | undefined;
  const accounts = new Map<number, number>();

  async function load(): Promise<Governance> {
    const toldBefore = told;
    const loaded = await loadGovernance(loadDb);
    if (loaded.version > known.version) known = loaded;
    heeded = toldBefore;
    return known;
  }

  /** One after the other. What began before a call may not have seen what the call is about. */
  function reload(): Promise<Governance> {
    next ??= loading
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        const current = load();
        loading = current;
        return current;
      });
    return next;
  }

  return {
    current: () => known,
    tellChanged: () => {
      told += 1;
    },
    isChanged: () => heeded < told,
    reload,
    accountsOf: async ({ rules }, environmentIds) => {
      if (!rules.some((rule) => rule.scope.accountId !== undefined)) return accounts;
      const missing = [...environmentIds].filter((id) => !accounts.has(id));
      if (missing.length === 0) return accounts;
      const rows = await db.query<{ id: number; account_id: number }>(
        `select id, account_id
         from environment
         where id = any($1::int[])`,
        [missing],
      );
      for (const row of rows) accounts.set(row.id, row.account_id);
      return accounts;
    },
  };
}
