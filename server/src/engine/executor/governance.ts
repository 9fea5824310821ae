import type { Queryable } from '../../db/database.ts';
import { type Governance, loadGovernance } from '../orders/rules.ts';

/** The orders in force, as this process knows them. */
export type KnownOrders = {
  readonly current: () => Governance;
  readonly reload: () => Promise<Governance>;
  /** Whose environments these are, where one of the orders asks for that. */
  readonly accountsOf: (
    orders: Governance,
    environmentIds: Iterable<number>,
  ) => Promise<ReadonlyMap<number, number>>;
};

/** Knows them from the start; an environment never changes its account. */
export async function createKnownOrders(db: Queryable): Promise<KnownOrders> {
  let known = await loadGovernance(db);
  const accounts = new Map<number, number>();

  return {
    current: () => known,
    reload: async () => {
      const loaded = await loadGovernance(db);
      // Two loads may overtake each other.
      if (loaded.version > known.version) known = loaded;
      return known;
    },
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
