import { type Debt, NO_DEBT, repaid, waitMs } from '../lib/debt.ts';

/** Spenders that are remembered; one that is forgotten owes nothing any more. */
const MAX_SPENDERS = 10_000;

/** Of whoever spends: accounts where bodies are moved, environments where they are read. By number. */
export type RequestBudgets = {
  /** Milliseconds until a request of the spender may be sent; 0: now. */
  readonly waitMs: (spender: number) => number;
  /** A request of the spender was sent. */
  readonly spend: (spender: number) => void;
};

/** A bucket of requests for each spender: `perSecond` on average, `burst` at once. */
export function createRequestBudgets(options: {
  readonly perSecond: number;
  readonly burst: number;
  readonly nowMs: () => number;
}): RequestBudgets {
  const { perSecond, burst, nowMs } = options;
  const debts = new Map<number, Debt>();
  const debtOf = (spender: number): Debt =>
    repaid(debts.get(spender) ?? NO_DEBT, perSecond, nowMs());
  return {
    waitMs: (spender) => waitMs(debtOf(spender), perSecond, burst, 1),
    spend: (spender) => {
      const { owed, atMs } = debtOf(spender);
      // Last again, so that the first one is the one that spent longest ago.
      debts.delete(spender);
      debts.set(spender, { owed: owed + 1, atMs });
      if (debts.size <= MAX_SPENDERS) return;
      const oldest = debts.keys().next();
      if (!oldest.done) debts.delete(oldest.value);
    },
  };
}
