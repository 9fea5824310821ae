import { type Debt, NO_DEBT, repaid, waitMs } from '../lib/debt.ts';

/** Accounts that are remembered; one that is forgotten owes nothing any more. */
const MAX_ACCOUNTS = 10_000;

export type AccountBudgets = {
  /** Milliseconds until a request of the account may be sent; 0: now. */
  readonly waitMs: (accountId: number) => number;
  /** A request of the account was sent. */
  readonly spend: (accountId: number) => void;
};

/** A bucket of requests for each account: `perSecond` on average, `burst` at once. */
export function createAccountBudgets(options: {
  readonly perSecond: number;
  readonly burst: number;
  readonly nowMs: () => number;
}): AccountBudgets {
  const { perSecond, burst, nowMs } = options;
  const debts = new Map<number, Debt>();
  const debtOf = (accountId: number): Debt =>
    repaid(debts.get(accountId) ?? NO_DEBT, perSecond, nowMs());
  return {
    waitMs: (accountId) => waitMs(debtOf(accountId), perSecond, burst, 1),
    spend: (accountId) => {
      const { owed, atMs } = debtOf(accountId);
      // Last again, so that the first one is the one that spent longest ago.
      debts.delete(accountId);
      debts.set(accountId, { owed: owed + 1, atMs });
      if (debts.size <= MAX_ACCOUNTS) return;
      const oldest = debts.keys().next();
      if (!oldest.done) debts.delete(oldest.value);
    },
  };
}
